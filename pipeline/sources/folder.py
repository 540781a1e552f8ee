"""data/raw/<dataset>: the files as published, and the manifest that vouches for them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.io import read_json, replacing, sha256_of
from pipeline.schema import MANIFEST_FILE

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


def entry(target: Path, name: str, url: str) -> Entry:
    """Return the manifest's entry of the file `<target>/<name>`, published at `url`."""
    path = target / name
    size = path.stat().st_size
    return {"file": name, "url": url, "bytes": size, "sha256": sha256_of(path)}
