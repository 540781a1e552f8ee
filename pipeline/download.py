"""Stage `download`: bring a dataset's raw files below data/raw/D, as published.

    mirror or network -> data/raw/D/<file as published>, data/raw/D/manifest.json

    python -m pipeline.download gift_cards data/raw/gift_cards
    DATA_MIRROR=/srv/mirror python -m pipeline.download taobao data/raw/taobao

DATA_MIRROR names a folder laid out as <dataset>/<file name as published>. It is looked at
before the network, and its files pass the same checks. Datasets behind a log-in can only come
from there; where to get them is in docs/data.md.

From the network, every address of a file is tried in order, with pauses that grow. What has
arrived is kept in .work/download/D/ and a later run goes on from there, unless the server's
file has changed. Checksums are compared where they are known. The manifest is written last: a
list of {file, url, bytes, sha256}, where url is the published address, whichever copy was used.

Dataset `sample` is generated from the seed instead.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline import command, params, sources
from pipeline.errors import RawDataError
from pipeline.io import sha256_of, write_json
from pipeline.schema import MANIFEST_FILE
from pipeline.sources import RawFile
from pipeline.sources import mirror as mirrors
from pipeline.sources.fetch import Fetcher
from pipeline.sources.folder import (
    Entry,
    drop,
    entry,
    manifest,
    move,
    replacing_in,
    tell_changes,
)
from pipeline.sources.mirror import Mirror
from pipeline.sources.raw import check

logger = logging.getLogger(__name__)

WORK = Path(".work/download")  # outside the declared outputs, which engines delete first
KEPT = Path(".work/manifests")  # the last manifest of each dataset, for the same reason
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")
NOT_INPUT = "ground_truth/"  # what the generator knows and no model may see

Known = Mapping[tuple[str, str], Entry]  # by (file, url)


def download(
    files: Sequence[RawFile],
    target: Path,
    work: Path,
    mirror: Mirror,
    fetcher: Fetcher,
) -> list[Entry]:
    """Bring files below `target`: from the mirror, from an earlier run, or from the network.

    Args:
        files: what to bring; optional ones may be missing.
        target: data/raw/<dataset>.
        work: where unfinished downloads wait for the next run.
        mirror: where to look before the network.
        fetcher: how the network is used.

    Returns:
        The manifest's entry of each file.

    Raises:
        RawDataError: a required file could not be had; every place that was tried is named
            with its cause.
    """
    known = {(old["file"], old["url"]): old for old in manifest(target)}
    _check_obtainable(files, target, mirror, known)
    present, arrived = [], {}
    for file in files:
        causes: list[str] = []
        if _copy(file, target, mirror, causes) or _is_kept(file, target, known):
            present.append(file)
        elif part := fetcher.fetch(file, work, causes):
            arrived[file] = part
        elif file.required:
            raise _cannot_be_had(file, target, mirror, causes)
    # Only now, so that a run that is stopped has its finished files among the unfinished
    # ones, where the next run finds them.
    for file, part in arrived.items():
        move(part, target, file.name)
    return [entry(target, file.name, file.published) for file in [*present, *arrived]]


def _check_obtainable(
    files: Sequence[RawFile], target: Path, mirror: Mirror, known: Known
) -> None:
    """Name all files at once that a person has to fetch, before anything is brought."""
    absent = [
        file for file in files if file.required and not file.urls and not _is_in(mirror, file)
    ]
    absent = [file for file in absent if not _is_kept(file, target, known)]
    if absent:
        raise RawDataError(
            f"{target}: expected {', '.join(file.name for file in absent)} in the mirror, got "
            f"no such files. {absent[0].how_to_get} them into {mirror.mend}"
        )


def _is_in(mirror: Mirror, file: RawFile) -> bool:
    return mirror.folder is not None and (mirror.folder / file.name).is_file()


def _cannot_be_had(
    file: RawFile, target: Path, mirror: Mirror, causes: list[str]
) -> RawDataError:
    tried = "\n".join(causes)
    return RawDataError(
        f"{target / file.name}: the file could not be had\n{tried}\n"
        f"Run again to go on, or put the file into {mirror.mend}"
    )


def _copy(file: RawFile, target: Path, mirror: Mirror, causes: list[str]) -> bool:
    """Copy a file from the mirror; if that fails, note why."""
    if mirror.folder is None:
        return False
    found = mirror.folder / file.name
    if not _is_in(mirror, file):
        causes.append(f"  {found} ({mirrors.VARIABLE}): no such file")
        return False
    try:
        with replacing_in(target, file.name) as partial:
            shutil.copyfile(found, partial)
            check(partial, file)
    except (OSError, RawDataError) as error:
        causes.append(f"  {found} ({mirrors.VARIABLE}): {error}")
        logger.warning("%s: not used: %s", found, error)
        return False
    logger.info("%s: copied from %s", target / file.name, found)
    return True


def _is_kept(file: RawFile, target: Path, known: Known) -> bool:
    """Tell whether an earlier run's manifest vouches for the file that is there."""
    old, path = known.get((file.name, file.published)), target / file.name
    if old is None or not path.is_file():
        return False
    kept = sha256_of(path) == str(old["sha256"])
    logger.info("%s: %s", path, "there already" if kept else "there, but not as it arrived")
    return kept


def copy_pictures(
    folders: Sequence[str], target: Path, mirror: Mirror, before: set[str]
) -> list[Entry]:
    """Copy the pictures that the mirror has.

    Args:
        folders: folders of pictures, such as images.
        target: data/raw/<dataset>.
        mirror: where they are; without a mirror, what is there stays.
        before: the files of the last manifest.

    Returns:
        The manifest's entries of the pictures.
    """
    if mirror.folder is None:
        names = {name for name in before if name.split("/")[0] in folders}
        return [_picture(target, name) for name in names if (target / name).is_file()]
    paths = (path for folder in folders for path in (mirror.folder / folder).rglob("*"))
    found = (path for path in paths if path.suffix.lower() in PICTURES and path.is_file())
    names = {path.relative_to(mirror.folder).as_posix() for path in found}
    for name in sorted(names):
        with replacing_in(target, name) as partial:
            shutil.copyfile(mirror.folder / name, partial)
    if folders:
        logger.info("%s: %d pictures copied from the mirror", target, len(names))
    return [_picture(target, name) for name in names]


def _picture(target: Path, name: str) -> Entry:
    return entry(target, name, f"mirror:{name}")


def generate(make: Callable[[Path], None], url: str, target: Path, work: Path) -> list[Entry]:
    """Make a dataset instead of fetching it; return the manifest's entries.

    Args:
        make: writes the dataset's files below the folder it is given.
        url: what stands for their address in the manifest.
        target: data/raw/<dataset>.
        work: where they are made before they are moved.
    """
    made = work / "generated"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    make(made)
    names = sorted(p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file())
    for name in names:
        move(made / name, target, name)
    return [entry(target, name, url) for name in names if not name.startswith(NOT_INPUT)]


def _bring(
    dataset: str, target: Path, settings: params.Params, before: set[str]
) -> list[Entry]:
    source, work = settings.source(dataset), WORK / dataset
    reader = sources.get(source.format)
    if isinstance(source, params.SampleSource) and reader.generate:
        make = functools.partial(reader.generate, source, settings.seed)
        url = f"generated:sample?scale={source.scale}&seed={settings.seed}"
        return generate(make, url, target, work)
    mirror = mirrors.find(os.environ.get(mirrors.VARIABLE), dataset)
    if isinstance(source, params.TablesSource) and source.folder:
        mirror = Mirror(dataset=dataset, place=Path(source.folder))
    fetcher = Fetcher(retries=settings.download.retries, timeout=settings.download.timeout)
    entries = download(reader.files(source), target, work, mirror, fetcher)
    return entries + copy_pictures(reader.folders(source), target, mirror, before)


def main(argv: list[str] | None = None) -> None:
    """Bring the files, write the manifest."""
    parser = command.parser("download", __doc__)
    parser.add_argument("dataset", help="a name below `sources` in params.yaml")
    parser.add_argument("raw", type=Path, help="folder for the raw files: data/raw/D")
    args = parser.parse_args(argv)

    settings = params.load()
    before = {old["file"] for old in manifest(args.raw)}
    entries = _bring(args.dataset, args.raw, settings, before)
    entries.sort(key=lambda new: new["file"])
    drop(args.raw, before - {new["file"] for new in entries})
    write_json(entries, args.raw / MANIFEST_FILE)
    tell_changes(KEPT / f"{args.dataset}.json", entries, args.raw)
    shutil.rmtree(WORK / args.dataset, ignore_errors=True)
    logger.info(
        "%s: %d files, %d bytes", args.raw, len(entries), sum(e["bytes"] for e in entries)
    )


if __name__ == "__main__":
    command.run(main)
