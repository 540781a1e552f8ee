"""An unfinished download: <work>/<file>.part, and notes about it beside it.

    file.bin.part            grows from its start, or is complete
    file.bin.part.json       {url, version}
    file.bin.ranges          has its full length from the beginning, and holes
    file.bin.ranges.json     {url, version, bytes}
    file.bin.ranges.done     a line `first end` for each range that has arrived

The notes are written before the first byte, the line of a range after its bytes: a process that
is killed at any moment leaves files that the next one can resume.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.job.progress import Bar
from pipeline.tables.io import write_json, write_text
from pipeline.transfer.status import without_credentials

Span = tuple[int, int]  # first byte, and the one after the last


@dataclass(frozen=True, slots=True)
class PartialFile:
    """An unfinished download that grows from its start; `path` ends in .part."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def url(self) -> str:
        """Where it comes from, without credentials; '' if unknown."""
        return str(_read_note(_beside(self.path, ".json")).get("url", ""))

    @property
    def version(self) -> str:
        """Which version of the file it is; '' if unknown."""
        return str(_read_note(_beside(self.path, ".json")).get("version", ""))

    @property
    def ranges(self) -> Ranges:
        """The ranges of the file that have arrived."""
        return Ranges(self.path.with_suffix(".ranges"))

    def start(self, url: str, version: str) -> None:
        """Begin again, with nothing."""
        self.path.unlink(missing_ok=True)
        self.write_note(url, version)

    def write_note(self, url: str, version: str) -> None:
        """Write the note beside it."""
        note = {"url": without_credentials(url), "version": version}
        write_json(note, _beside(self.path, ".json"))

    def remove(self) -> None:
        """Remove the file and everything beside it."""
        self.path.unlink(missing_ok=True)
        _beside(self.path, ".json").unlink(missing_ok=True)
        self.ranges.remove()


@dataclass(slots=True)
class Ranges:
    """An unfinished download that comes in ranges; `path` ends in .ranges."""

    path: Path
    done: list[Span] = field(default_factory=list)  # in any order, without overlaps

    @property
    def note(self) -> dict[str, Any]:
        """The note beside it; empty if there is nothing to resume."""
        return _read_note(_beside(self.path, ".json")) if self.path.exists() else {}

    @property
    def received(self) -> int:
        """Bytes that have arrived."""
        size = self.note.get("bytes")
        spans = self.done or self._read_journal(size if isinstance(size, int) else 0)
        return sum(end - first for first, end in spans)

    def open(self, url: str, version: str, size: int) -> None:
        """Resume if what has arrived is of this version, else begin."""
        note = {"url": without_credentials(url), "version": version, "bytes": size}
        if self.note != note or self.path.stat().st_size != size:
            self.remove()
            write_json(note, _beside(self.path, ".json"))
            with self.path.open("wb") as file:
                file.truncate(size)
        self.done = self._read_journal(size)
        lines = "".join(f"{first} {end}\n" for first, end in self.done)
        write_text(lines, _beside(self.path, ".done"))

    def add(self, first: int, end: int) -> None:
        """Note a range whose bytes are on the disk; one thread at a time."""
        if end > first:
            self.done.append((first, end))
            with _beside(self.path, ".done").open("a") as journal:
                journal.write(f"{first} {end}\n")

    def missing(self, size: int, most: int) -> list[Span]:
        """Return the ranges that have not arrived, cut to at most so many bytes each."""
        spans, at = [], 0
        for first, end in [*sorted(self.done), (size, size)]:
            spans += [(n, min(n + most, first)) for n in range(at, first, most)]
            at = end
        return spans

    def finish(self, part: PartialFile, url: str, version: str) -> None:
        """Turn it into `part`, now that it is complete."""
        part.write_note(url, version)
        self.path.replace(part.path)
        self.remove()

    def remove(self) -> None:
        """Remove it and everything beside it."""
        for path in (self.path, _beside(self.path, ".json"), _beside(self.path, ".done")):
            path.unlink(missing_ok=True)
        self.done = []

    def _read_journal(self, size: int) -> list[Span]:
        """Return the ranges of complete lines; a kill may have cut the last one short."""
        journal = _beside(self.path, ".done")
        if not journal.exists():
            return []
        spans: list[Span] = []
        for line in journal.read_text(errors="replace").split("\n")[:-1]:
            ends = line.split(" ")
            if len(ends) != 2 or not all(end.isascii() and end.isdigit() for end in ends):
                return []
            spans.append((int(ends[0]), int(ends[1])))
        ordered = sorted(spans)
        inside = all(0 <= first < end <= size for first, end in ordered)
        apart = all(a[1] <= b[0] for a, b in pairwise(ordered))
        return spans if inside and apart else []


def progress_bar(path: Path, start: int, total: int | None) -> Bar:
    """Return a bar of the bytes of an unfinished file, to be used in a `with` block.

    Args:
        path: named for the file.
        start: bytes that have arrived.
        total: bytes that it will have; None if unknown.
    """
    return Bar(desc=path.stem, initial=start, total=total, unit="B", unit_scale=True)


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at an offset of an open file; several threads may."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _read_note(path: Path) -> dict[str, Any]:
    """Return the content of a note; {} if it is absent or incomplete."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}
