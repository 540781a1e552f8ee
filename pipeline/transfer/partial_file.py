"""An unfinished download: <work>/<file>.part, and what is known of it, beside it.

    file.bin.part            grows from its start, or is whole
    file.bin.part.json       {url, version}
    file.bin.ranges          has its full length from the beginning, and holes
    file.bin.ranges.json     {url, version, bytes}
    file.bin.ranges.done     a line `first end` for each range that is there

The notes are written before the first byte; the line of a range after its bytes. A process that
is killed at any moment leaves what the next one can go on with. A part of `fetch`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.tables.io import write_json, write_text

Span = tuple[int, int]  # first byte, and the one after the last


@dataclass(frozen=True, slots=True)
class Part:
    """An unfinished download that grows from its start; `path` ends in .part."""

    path: Path

    @property
    def note(self) -> Path:
        """The note beside it."""
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def url(self) -> str:
        """Where it comes from; '' if that is not known."""
        return str(noted(self.note).get("url", ""))

    @property
    def version(self) -> str:
        """Which version of the file it is; '' if that is not known."""
        return str(noted(self.note).get("version", ""))

    @property
    def ranges(self) -> Ranges:
        """What there is of it in ranges."""
        return Ranges(self.path.with_suffix(".ranges"))

    def start(self, url: str, version: str) -> None:
        """Forget what there is."""
        self.path.unlink(missing_ok=True)
        write_json({"url": url, "version": version}, self.note)

    def drop(self) -> None:
        """Remove the part and all that is beside it."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.ranges.drop()


@dataclass(slots=True)
class Ranges:
    """An unfinished download that comes in ranges; `path` ends in .ranges."""

    path: Path
    done: list[Span] = field(default_factory=list)  # in no order; they do not overlap

    @property
    def note(self) -> Path:
        """The note beside it."""
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def journal(self) -> Path:
        """The list of ranges that are there."""
        return self.path.with_name(f"{self.path.name}.done")

    @property
    def url(self) -> str:
        """Where it comes from; '' if there is nothing to go on with."""
        return str(noted(self.note).get("url", "")) if self.path.exists() else ""

    @property
    def version(self) -> str:
        """Which version of the file it is."""
        return str(noted(self.note).get("version", ""))

    @property
    def size(self) -> int:
        """Bytes that the file will have; 0 if that is not known."""
        size = noted(self.note).get("bytes")
        return size if isinstance(size, int) else 0

    @property
    def had(self) -> int:
        """Bytes that have arrived."""
        return sum(end - first for first, end in self.done or self._read_journal(self.size))

    def open(self, url: str, version: str, size: int) -> None:
        """Go on with what there is if it is of this version, else begin."""
        note = {"url": url, "version": version, "bytes": size}
        if noted(self.note) != note or not self._is_whole(size):
            self.drop()
            write_json(note, self.note)
            with self.path.open("wb") as file:
                file.truncate(size)
        self.done = self._read_journal(size)
        write_text("".join(f"{first} {end}\n" for first, end in self.done), self.journal)

    def add(self, first: int, end: int) -> None:
        """Note a range whose bytes are on the disk; not by two threads at once."""
        if end > first:
            self.done.append((first, end))
            with self.journal.open("a") as journal:
                journal.write(f"{first} {end}\n")

    def missing(self, size: int, most: int) -> list[Span]:
        """Return the ranges that are not there, cut to at most so many bytes each."""
        spans, at = [], 0
        for first, end in [*sorted(self.done), (size, size)]:
            spans += [(n, min(n + most, first)) for n in range(at, first, most)]
            at = end
        return spans

    def finish(self, part: Part, url: str, version: str) -> None:
        """Turn it into `part`, now that it is whole."""
        write_json({"url": url, "version": version}, part.note)
        self.path.replace(part.path)
        self.drop()

    def drop(self) -> None:
        """Remove it and all that is beside it."""
        for path in (self.path, self.note, self.journal):
            path.unlink(missing_ok=True)
        self.done = []

    def _is_whole(self, size: int) -> bool:
        return self.path.exists() and self.path.stat().st_size == size

    def _read_journal(self, size: int) -> list[Span]:
        """Return the ranges of whole lines; the last may have been cut short by a kill."""
        if not self.journal.exists():
            return []
        spans: list[Span] = []
        for line in self.journal.read_text(errors="replace").split("\n")[:-1]:
            ends = line.split(" ")
            if len(ends) != 2 or not all(end.isascii() and end.isdigit() for end in ends):
                return []
            spans.append((int(ends[0]), int(ends[1])))
        ordered = sorted(spans)
        whole = all(0 <= first < end <= size for first, end in ordered)
        apart = all(a[1] <= b[0] for a, b in pairwise(ordered))
        return spans if whole and apart else []


def noted(note: Path) -> dict[str, Any]:
    """Return what a note says; nothing if there is none, or half of one."""
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def bar(path: Path, begun: int, total: int | None) -> Iterator[tqdm[Any]]:
    """Show how an unfinished file grows.

    Args:
        path: named for the file.
        begun: bytes that are there.
        total: bytes that it will have; None if nobody says.
    """
    # disable=None: no bar where nobody looks, such as in a log file.
    with tqdm(
        desc=path.stem, initial=begun, total=total, unit="B", unit_scale=True, disable=None
    ) as shown:
        yield shown


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at an offset of an open file; several threads may."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
