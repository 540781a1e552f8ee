"""Stage `download`: bring a dataset's raw files below data/raw/D, as published.

    mirror or network -> data/raw/D/<file as published>, data/raw/D/manifest.json

    python -m pipeline.download gift_cards data/raw/gift_cards
    DATA_MIRROR=/srv/mirror python -m pipeline.download taobao data/raw/taobao

DATA_MIRROR names a folder with <dataset>/<file name as published>, or an address that starts
with file:, s3:, gs: or http(s):. It is used before the network, and its files pass the same
checks. Datasets behind a log-in can only come from there; docs/data.md says where to get them.

From the network, every address of a file is tried in order, with growing pauses; several files,
and ranges of large ones, are fetched at once. What has arrived is kept in .work/download/D/ and
a later run resumes it, unless the server's file has changed. Checksums are compared where they
are known. The manifest is written last: a list of {file, url, bytes, sha256}, where url is the
published address, whichever copy was used. A file that is there already, with the checksum and
the address of the last download, is not fetched again.

Dataset `sample` is generated from the seed instead.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from pipeline import params
from pipeline.job import command_line
from pipeline.job.errors import RawDataError
from pipeline.published import files as published
from pipeline.published.raw_file import OWN, RawFile
from pipeline.tables.io import sha256_of, write_json
from pipeline.tables.kept import read_kept_json, write_kept_json
from pipeline.tables.schema import MANIFEST_FILE
from pipeline.transfer import mirror as mirrors
from pipeline.transfer.fetch import Fetcher
from pipeline.transfer.limits import Limits, Stopped
from pipeline.transfer.mirror import Mirror, copy_file, copy_pictures
from pipeline.transfer.raw_folder import Entry, entry, log_changes, manifest, move, remove
from pipeline.transfer.status import without_credentials

logger = logging.getLogger(__name__)
PUT = "Run again to resume, or put the file into"

# Outside the declared outputs, which Snakemake removes before a run.
WORK = Path(".work/download")
LAST_MANIFESTS = Path(".work/manifests")  # of each dataset
NOT_INPUT = "ground_truth/"  # known to the generator, hidden from models

Checksums = Mapping[tuple[str, str], str]  # (file, url) -> sha256


def download(
    files: Sequence[RawFile],
    target: Path,
    work: Path,
    mirror: Mirror,
    fetcher: Fetcher,
    before: Sequence[Entry] = (),
) -> list[Entry]:
    """Bring files below `target`: from the mirror, from an earlier run, or from the network.

    Args:
        files: what to bring; optional ones may be missing.
        target: data/raw/<dataset>.
        work: folder of unfinished downloads, for the next run.
        mirror: used before the network.
        fetcher: how the network is used.
        before: entries of the last manifest.

    Returns:
        The manifest's entry of each file.

    Raises:
        RawDataError: a required file is unavailable; the message lists every place that was
            tried, with the reason.
    """
    checksums = {(old["file"], old["url"]): str(old["sha256"]) for old in before}
    _check_obtainable(files, target, mirror, checksums)
    present, absent = [], {}
    for file in files:
        causes: list[str] = []
        if copy_file(file, target, mirror, causes) or _is_kept(file, target, checksums):
            present.append(file)
        else:
            absent[file] = causes
    arrived = _fetch(absent, target, work, mirror, fetcher)
    # Only now: a run that is stopped has left its finished files with the unfinished ones,
    # where the next run finds them.
    for file, part in arrived.items():
        move(part, target, file.name)
    return [entry(target, file.name, _published(file)) for file in [*present, *arrived]]


def _fetch(
    absent: Mapping[RawFile, list[str]],
    target: Path,
    work: Path,
    mirror: Mirror,
    fetcher: Fetcher,
) -> dict[RawFile, Path]:
    """Fetch files, several at once; the first failure stops the others.

    `absent` has why each file does not come from the mirror's folder. The mirror's address is
    tried before the published ones.
    """

    def fetch(file: RawFile) -> Path | None:
        urls = (mirror.url(file.name), *file.urls)
        part = fetcher.fetch(
            replace(file, urls=tuple(url for url in urls if url)), work, absent[file]
        )
        if part is None and file.required:
            tried = "\n".join(absent[file])
            raise RawDataError(
                f"{target / file.name}: the file is unavailable\n{tried}\n"
                + ("Mend the file in" if file.page.startswith(OWN) else PUT)
                + f" {mirror.where_to_put}"
            )
        return part

    with ThreadPoolExecutor(fetcher.limits.connections) as pool:
        jobs = [pool.submit(fetch, file) for file in absent]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:  # also if the user interrupts
            if not all(job.done() for job in jobs):
                fetcher.limits.stop()
    errors = [error for job in jobs if (error := job.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    parts = [job.result() for job in jobs]
    return {file: part for file, part in zip(absent, parts, strict=True) if part}


def _check_obtainable(
    files: Sequence[RawFile], target: Path, mirror: Mirror, checksums: Checksums
) -> None:
    """Name all files that a person has to fetch at once, before anything is transferred."""
    absent = [f for f in files if f.required and not f.urls and not mirror.may_have(f)]
    absent = [file for file in absent if not _is_kept(file, target, checksums)]
    if absent:
        raise RawDataError(
            f"{target}: expected {', '.join(file.name for file in absent)} in the mirror, got "
            f"no such files. {absent[0].how_to_get} them into {mirror.where_to_put}"
        )


def _is_kept(file: RawFile, target: Path, checksums: Checksums) -> bool:
    """Whether the file is there with the checksum of the last download."""
    checksum, path = checksums.get((file.name, _published(file))), target / file.name
    if checksum is None or not path.is_file():
        return False
    is_same = sha256_of(path) == checksum
    logger.info("%s: %s", path, "there already" if is_same else "there, but changed")
    return is_same


def _published(file: RawFile) -> str:
    return without_credentials(file.published)


def generate(make: Callable[[Path], None], url: str, target: Path, work: Path) -> list[Entry]:
    """Make a dataset instead of fetching it; return the manifest's entries.

    Args:
        make: writes the dataset's files below the folder it is given.
        url: their address in the manifest.
        target: data/raw/<dataset>.
        work: where they are made before they are moved.
    """
    folder = work / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make(folder)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    for name in names:
        move(folder / name, target, name)
    return [entry(target, name, url) for name in names if not name.startswith(NOT_INPUT)]


def _entries(
    dataset: str, target: Path, settings: params.Params, before: Sequence[Entry]
) -> list[Entry]:
    """Generate or download a dataset; return the manifest's entries."""
    source, work = settings.source(dataset), WORK / dataset
    if isinstance(source, params.SampleSource):
        # The generator draws pictures; only this dataset needs its imports.
        from pipeline.sources.sample import dump

        url = f"generated:sample?scale={source.scale}&seed={settings.seed}"
        return generate(
            lambda folder: dump.generate(source, settings.seed, folder), url, target, work
        )
    mirror = mirrors.find(os.environ.get(mirrors.VARIABLE), dataset)
    if isinstance(source, params.OwnFiles) and source.folder:
        mirror = Mirror(dataset=dataset, folder=Path(source.folder))
    most = settings.download.max_megabytes_per_second
    limits = Limits(settings.download.connections, None if most is None else most * 1e6)
    fetcher = Fetcher(
        retries=settings.download.retries, timeout=settings.download.timeout, limits=limits
    )
    entries = download(published.files(source), target, work, mirror, fetcher, before)
    names = {old["file"] for old in before}
    return entries + copy_pictures(published.folders(source), target, mirror, names)


def main(argv: list[str] | None = None) -> None:
    """Bring the files, write the manifest."""
    parser = command_line.parser(__doc__, "dataset", "raw")
    args = parser.parse_args(argv)

    settings = params.load().of(args.dataset)
    last = LAST_MANIFESTS / f"{args.dataset}.json"
    last_entries = read_kept_json(last) or []
    # Snakemake has removed the manifest, and left the files.
    before = manifest(args.raw) or last_entries
    entries = _entries(args.dataset, args.raw, settings, before)
    entries.sort(key=lambda new: new["file"])
    remove(args.raw, {old["file"] for old in before} - {new["file"] for new in entries})
    write_json(entries, args.raw / MANIFEST_FILE)
    log_changes(last_entries, entries, args.raw)
    write_kept_json(entries, last)
    shutil.rmtree(WORK / args.dataset, ignore_errors=True)
    logger.info(
        "%s: %d files, %d bytes", args.raw, len(entries), sum(e["bytes"] for e in entries)
    )


if __name__ == "__main__":
    command_line.run(main)
