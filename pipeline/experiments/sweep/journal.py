"""The study of a search as lines of JSON, each after its checksum.

    5f0c...9a {"op_code": 4, "worker_id": "...", ...}

Optuna replays the lines. A line that a kill cut short, or that a disk changed, is thrown away
with all that follow: what is before them is the study at an earlier moment, from which a search
goes on in the same way.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class Journal:
    """A backend of optuna's JournalStorage, for one process at a time."""

    def __init__(self, path: Path) -> None:
        """Read the sound lines, and cut off the others."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        content = path.read_bytes() if path.exists() else b""
        sound = list(_sound(content))
        self.logs: list[dict[str, Any]] = [json.loads(line[_WIDTH:]) for line in sound]
        size = sum(map(len, sound))
        if size < len(content):
            log.warning(
                "%s: thrown away from line %d on, which is damaged; its trials are run again",
                path,
                len(sound) + 1,
            )
            os.truncate(path, size)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the entries from a number on."""
        return self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep entries; they are on the disk when this returns."""
        with self.path.open("ab") as file:
            for entry in logs:
                text = json.dumps(entry).encode()
                file.write(_checksum(text) + b" " + text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.logs += json.loads(json.dumps(logs))


_WIDTH = 65  # of the checksum and a blank


def _sound(content: bytes) -> Iterator[bytes]:
    """Yield the lines up to the first that is damaged."""
    for line in content.splitlines(keepends=True):
        text = line[_WIDTH:].removesuffix(b"\n")
        if line != _checksum(text) + b" " + text + b"\n":
            return
        yield line


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
