"""data/raw/<dataset>: the files as published, and the manifest with their checksums."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.tables.io import read_json, replacing, sha256_of
from pipeline.tables.schema import MANIFEST_FILE

logger = logging.getLogger(__name__)

Entry = dict[str, Any]  # file, url, bytes, sha256


def manifest(target: Path) -> list[Entry]:
    """Return the entries of the manifest below `target`; none if there is no manifest."""
    path = target / MANIFEST_FILE
    return list(read_json(path)) if path.exists() else []


@contextmanager
def replacing_in(target: Path, name: str) -> Iterator[Path]:
    """Like `io.replacing`; removes the manifest first, which is no longer true."""
    (target / MANIFEST_FILE).unlink(missing_ok=True)
    with replacing(target / name) as partial:
        yield partial


def move(source: Path, target: Path, name: str) -> None:
    """Move a finished file to `<target>/<name>`."""
    # Through a temporary name: the two may be on different disks.
    with replacing_in(target, name) as partial:
        shutil.move(source, partial)


def remove(target: Path, names: set[str]) -> None:
    """Remove files of an earlier run that this one does not have."""
    for name in names:
        path = target / name
        if path.resolve().is_relative_to(target.resolve()):
            path.unlink(missing_ok=True)


def log_changes(before: Sequence[Entry], entries: Sequence[Entry], target: Path) -> None:
    """Log which files differ from those of the last download.

    Args:
        before: entries of the last download; none if there was none.
        entries: of this one.
        target: data/raw/<dataset>.
    """
    old, new = (
        {entry["file"]: _content(entry) for entry in some} for some in (before, entries)
    )
    for name in sorted(old.keys() | new.keys()) if old else []:
        was, is_now = old.get(name, "absent"), new.get(name, "absent")
        if was != is_now:
            logger.warning(
                "%s: changed since the last download: %s, now %s", target / name, was, is_now
            )


def _content(entry: Entry) -> str:
    return f"{entry['bytes']:,} bytes, sha256 {entry['sha256'][:16]}"


def entry(target: Path, name: str, url: str) -> Entry:
    """Return the manifest's entry of the file `<target>/<name>`, published at `url`."""
    path = target / name
    size = path.stat().st_size
    return {"file": name, "url": url, "bytes": size, "sha256": sha256_of(path)}
