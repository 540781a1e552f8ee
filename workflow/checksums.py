"""The sha256 of the files that params.yaml names, without reading them at every start.

They may have tens of gigabytes, and every `snakemake -n` asks. What was computed is therefore
remembered with the file's size and time of change; a file that has the same two is taken to be
the same. The memory may be deleted at any time.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipeline.job.errors import RawDataError
from pipeline.tables.io import sha256_of, write_json

MEMORY = Path(".work/checksums.json")  # {path: [bytes, time of change in ns, sha256]}
SHA256 = re.compile(r"[0-9a-f]{64}")


def remembered_sha256(path: Path, memory: Path = MEMORY) -> str | None:
    """Return the sha256 of a file's bytes in hexadecimal; read the file only if it changed.

    Args:
        path: a file, or what might have been one.
        memory: where checksums are kept. One that is absent or damaged is begun anew.

    Returns:
        64 digits; None if there is no such file.

    Raises:
        RawDataError: the file cannot be read.
    """
    try:
        if not path.is_file():
            return None
        # Before reading: a file that changes meanwhile is read again next time.
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns]
        known, name = _recall(memory), str(path.absolute())
        if known.get(name, [])[:2] == stamp:
            return str(known[name][2])
        sha256 = sha256_of(path)
    except OSError as error:
        raise RawDataError(
            f"{path}, named in params.yaml: expected a file that can be read, got {error}"
        ) from error
    write_json(known | {name: [*stamp, sha256]}, memory)
    return sha256


def _recall(memory: Path) -> dict[str, list[Any]]:
    """Return the entries of the memory that are whole."""
    try:
        entries = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if _is_whole(entry)}


def _is_whole(entry: object) -> bool:
    return (
        isinstance(entry, list)
        and [type(part) for part in entry] == [int, int, str]
        and SHA256.fullmatch(entry[2]) is not None
    )
