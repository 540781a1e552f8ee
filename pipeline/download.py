"""Stage `download`: bring a dataset's raw files below data/raw/D, as published.

    mirror or network -> data/raw/D/<file as published>, data/raw/D/manifest.json

    python -m pipeline.download gift_cards data/raw/gift_cards
    DATA_MIRROR=/srv/mirror python -m pipeline.download taobao data/raw/taobao

DATA_MIRROR names a folder laid out as <dataset>/<file name as published>, or an address that
starts with file:, s3:, gs: or http(s):. It is looked at before the network, and its files pass
the same checks. Datasets behind a log-in can only come from there; where to get them is in
docs/data.md.

From the network, every address of a file is tried in order, with pauses that grow; several
files, and ranges of large ones, come at once. What has arrived is kept in .work/download/D/ and
a later run goes on from there, unless the server's file has changed. Checksums are compared
where they are known. The manifest is written last: a list of {file, url, bytes, sha256}, where
url is the published address, whichever copy was used.

Dataset `sample` is generated from the seed instead.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from pipeline import params, sources
from pipeline.job import command_line
from pipeline.job.errors import RawDataError
from pipeline.sources import RawFile
from pipeline.tables.io import sha256_of, write_json
from pipeline.tables.schema import MANIFEST_FILE
from pipeline.transfer import mirror as mirrors
from pipeline.transfer.fetch import Fetcher
from pipeline.transfer.from_mirror import copy_file, copy_pictures
from pipeline.transfer.limits import Stopped, Traffic
from pipeline.transfer.mirror import Mirror
from pipeline.transfer.raw_folder import Entry, drop, entry, manifest, move, tell_changes

logger = logging.getLogger(__name__)

WORK = Path(".work/download")  # outside the declared outputs, which engines delete first
KEPT = Path(".work/manifests")  # the last manifest of each dataset, for the same reason
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
    present, absent = [], {}
    for file in files:
        causes: list[str] = []
        if copy_file(file, target, mirror, causes) or _is_kept(file, target, known):
            present.append(file)
        else:
            absent[file] = causes
    arrived = _fetch(absent, target, work, mirror, fetcher)
    # Only now, so that a run that is stopped has its finished files among the unfinished
    # ones, where the next run finds them.
    for file, part in arrived.items():
        move(part, target, file.name)
    return [entry(target, file.name, file.published) for file in [*present, *arrived]]


def _fetch(
    absent: Mapping[RawFile, list[str]],
    target: Path,
    work: Path,
    mirror: Mirror,
    fetcher: Fetcher,
) -> dict[RawFile, Path]:
    """Fetch files, several at once; the first that cannot be had stops the others.

    Args:
        absent: file -> why it does not come from the mirror's folder.
        target: data/raw/<dataset>, for the messages.
        work: see `download`.
        mirror: its address is tried before the published ones.
        fetcher: how the network is used.
    """

    def one(file: RawFile) -> Path | None:
        urls = (mirror.url(file.name), *file.urls)
        asked = replace(file, urls=tuple(url for url in urls if url))
        part = fetcher.fetch(asked, work, absent[file])
        if part is None and file.required:
            raise _cannot_be_had(file, target, mirror, absent[file])
        return part

    with ThreadPoolExecutor(fetcher.traffic.connections) as pool:
        jobs = [pool.submit(one, file) for file in absent]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:  # also where the user interrupts
            if not all(job.done() for job in jobs):
                fetcher.traffic.stop()
    errors = [error for job in jobs if (error := job.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    parts = [job.result() for job in jobs]
    return {file: part for file, part in zip(absent, parts, strict=True) if part}


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
    # At an address a file is there until it is asked for.
    if mirror.address:
        return True
    return mirror.folder is not None and (mirror.folder / file.name).is_file()


def _cannot_be_had(
    file: RawFile, target: Path, mirror: Mirror, causes: list[str]
) -> RawDataError:
    tried = "\n".join(causes)
    return RawDataError(
        f"{target / file.name}: the file could not be had\n{tried}\n"
        f"Run again to go on, or put the file into {mirror.mend}"
    )


def _is_kept(file: RawFile, target: Path, known: Known) -> bool:
    """Tell whether an earlier run's manifest vouches for the file that is there."""
    old, path = known.get((file.name, file.published)), target / file.name
    if old is None or not path.is_file():
        return False
    kept = sha256_of(path) == str(old["sha256"])
    logger.info("%s: %s", path, "there already" if kept else "there, but not as it arrived")
    return kept


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
    fetcher = _fetcher(settings.download)
    entries = download(reader.files(source), target, work, mirror, fetcher)
    return entries + copy_pictures(reader.folders(source), target, mirror, before)


def _fetcher(settings: params.Download) -> Fetcher:
    most = settings.max_megabytes_per_second
    traffic = Traffic(settings.connections, None if most is None else most * 1e6)
    return Fetcher(retries=settings.retries, timeout=settings.timeout, traffic=traffic)


def main(argv: list[str] | None = None) -> None:
    """Bring the files, write the manifest."""
    parser = command_line.parser(__doc__, "dataset", "raw")
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
    command_line.run(main)
