"""Work that a later run continues: files below .work, each with the checksum of its content.

A killed job leaves whole files, but a disk that filled up, lost power or went bad may not keep
them so. What is damaged is thrown away, and the work is done again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from pipeline.tables.replacing import replacing

HEADER = 65  # bytes: the sha256 in hexadecimal and a line break
log = logging.getLogger(__name__)


def write_kept(content: bytes, path: Path) -> None:
    """Write content after a line with its checksum, or leave no file."""
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(_header(content))
        file.write(content)


def read_kept(path: Path) -> bytes | None:
    """Return what `write_kept` wrote; None if it is absent, or damaged and thus removed."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if data[:HEADER] != _header(memoryview(data)[HEADER:]):
        throw_away(path, "its content does not match its checksum")
        return None
    return data[HEADER:]


def write_kept_json(value: Any, path: Path) -> None:
    """Write a value as JSON after a line with its checksum, or leave no file."""
    write_kept(json.dumps(value).encode(), path)


def read_kept_json(path: Path) -> Any:
    """Return what `write_kept_json` wrote; None if it is absent or damaged."""
    content = read_kept(path)
    return None if content is None else json.loads(content)


def throw_away(path: Path, reason: str) -> None:
    """Remove a file that is not to be believed, and say so."""
    log.warning("%s: thrown away: %s", path, reason)
    path.unlink(missing_ok=True)


def _header(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"
