"""data/raw/<dataset>: the files as published, and the manifest that vouches for them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.tables.io import read_json, replacing, sha256_of, write_json
from pipeline.tables.schema import MANIFEST_FILE

logger = logging.getLogger(__name__)

Entry = dict[str, Any]  # file, url, bytes, sha256


def manifest(target: Path) -> list[Entry]:
    """Return the entries of the manifest below `target`; none if there is no manifest."""
    path = target / MANIFEST_FILE
    return list(read_json(path)) if path.exists() else []


@contextmanager
def replacing_in(target: Path, name: str) -> Iterator[Path]:
    """Like `io.replacing`; the manifest goes first, since it no longer tells the truth."""
    (target / MANIFEST_FILE).unlink(missing_ok=True)
    with replacing(target / name) as partial:
        yield partial


def move(source: Path, target: Path, name: str) -> None:
    """Move a finished file to `<target>/<name>`."""
    # Through a temporary name: the two may be on different disks.
    with replacing_in(target, name) as partial:
        shutil.move(source, partial)


def drop(target: Path, names: set[str]) -> None:
    """Remove what an earlier run left and this one does not need."""
    for name in names:
        path = target / name
        if path.resolve().is_relative_to(target.resolve()):
            path.unlink(missing_ok=True)


def tell_changes(kept: Path, entries: Sequence[Entry], target: Path) -> None:
    """Log which files are not what they were, and keep what there is now.

    Args:
        kept: where the manifest of the last download is kept; engines delete the other.
        entries: of this one.
        target: data/raw/<dataset>.
    """
    now = {one["file"]: one for one in entries}
    before = {one["file"]: one for one in read_json(kept)} if kept.exists() else now
    write_json(list(entries), kept)
    for name in sorted(now.keys() | before.keys()):
        was, is_now = _said(before.get(name)), _said(now.get(name))
        if was != is_now:
            logger.warning("%s: no longer what it was: %s, now %s", target / name, was, is_now)


def _said(one: Entry | None) -> str:
    return f"{one['bytes']:,} bytes, sha256 {one['sha256'][:16]}" if one else "not there"


def entry(target: Path, name: str, url: str) -> Entry:
    """Return the manifest's entry of the file `<target>/<name>`, published at `url`."""
    path = target / name
    size = path.stat().st_size
    return {"file": name, "url": url, "bytes": size, "sha256": sha256_of(path)}
