"""Files of one record a line, plain or gzip, in batches of whole lines.

A batch is large enough for vectorised parsing and small enough for any dump. A file that stops
short, is not what its name says, or holds a line without end is refused by name and line.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from isal import igzip, isal_zlib

from pipeline.job.errors import RawDataError
from pipeline.published.raw_file import GZIP_MAGIC
from pipeline.sources.raw import SHOWN

BATCH = 8 << 20  # bytes of text; few enough for the processor's cache
CHUNK = 1 << 18  # bytes per read; less than MAX_LINE
MAX_LINE = 16 << 20  # bytes; the longest published record is far below 1 MiB
NEWLINE, RETURN, OPEN, CLOSE = b"\n\r{}"
# igzip is three times as fast as gzip, but loses what is shortly before the damage.
IGZIP_ERROR: Any = isal_zlib.error  # its stub says that it were no class
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, IGZIP_ERROR)


@dataclass(frozen=True)
class Batch:
    """Whole lines of a file."""

    file: Path
    first: int  # number of the first line, from 1
    text: bytes  # each line ends in a newline, except perhaps the file's last

    @cached_property
    def newlines(self) -> npt.NDArray[np.intp]:
        """Where in the text its newlines are."""
        return np.flatnonzero(np.frombuffer(self.text, dtype=np.uint8) == NEWLINE)

    def n_objects(self) -> int | None:
        """Return how many lines there are if each starts and ends like an object, else None.

        Arrow goes by objects, not by lines. Where each line has its own braces, none spans two
        lines, and a line with two of them shows in the number of rows.
        """
        codes, ends = np.frombuffer(self.text, dtype=np.uint8), self.newlines
        if not len(codes) or codes[-1] != NEWLINE:
            ends = np.append(ends, len(codes))
        if ends[0] < 2:
            return None
        last = codes[ends - 1]
        last = np.where(last == RETURN, codes[ends - 2], last)
        first = np.append(codes[0], codes[ends[:-1] + 1])
        return len(ends) if (first == OPEN).all() and (last == CLOSE).all() else None

    def halves(self) -> tuple[Batch, Batch]:
        """Return the lines in two batches of about the same size, the second perhaps empty."""
        middle = self.text.find(b"\n", len(self.text) // 2) + 1 or len(self.text)
        head, tail = self.text[:middle], self.text[middle:]
        later = Batch(self.file, self.first + head.count(b"\n"), tail)
        return Batch(self.file, self.first, head), later

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield `(line number, line)` for every line that is not blank."""
        for number, line in enumerate(self.text.split(b"\n"), self.first):
            if line.strip():
                yield number, line

    def table(self) -> pl.DataFrame:
        """Return the lines that are not blank as columns `line` (from 1) and `text`."""
        whole = pl.Series("text", [self.text.decode("utf-8", errors="replace")])
        return (
            whole.str.split("\n")
            .explode()
            .to_frame()
            .with_row_index("line", offset=self.first)
            .with_columns(pl.col("text").str.strip_chars())
            .filter(pl.col("text") != "")
        )


def batches(path: Path, size: int = BATCH) -> Iterator[Batch]:
    """Yield a file's lines in batches, in order.

    Args:
        path: a text file, gzip-compressed if its name ends in .gz.
        size: bytes of text in a batch, about.

    Raises:
        RawDataError: no such file, not gzip, stops short or is damaged (the last whole line
            is named), or a line of more than `MAX_LINE` bytes.
    """
    first, pending, last = 1, _Pending(), b""
    try:
        for chunk in _chunks(path):
            cut = chunk.rfind(b"\n") + 1
            if pending.longest_with(chunk) > MAX_LINE:
                raise _too_long(path, first + pending.text().count(b"\n"))
            pending.add(chunk)
            if cut == 0 or pending.size < size:
                continue
            text, pending = pending.cut(len(chunk) - cut)
            batch = Batch(path, first, text)
            first += len(batch.newlines)
            yield batch
            last = _last_line(text)
    except DAMAGE as error:
        text = pending.text()
        whole = first - 1 + text.count(b"\n")
        raise _damaged(path, error, whole, _last_line(text) or last) from None
    if pending.size:
        yield Batch(path, first, pending.text())


@dataclass(slots=True)
class _Pending:
    """Chunks that are not in a batch yet, and the length of the line that they end in."""

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    line: int = 0

    def longest_with(self, chunk: bytes) -> int:
        """Return how long the line is that goes on in `chunk`; those within it are short."""
        end = chunk.find(b"\n")
        return self.line + (len(chunk) if end < 0 else end)

    def add(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)
        last = len(chunk) - 1 - chunk.rfind(b"\n")
        self.line = last if last < len(chunk) else self.line + last

    def text(self) -> bytes:
        return b"".join(self.chunks)

    def cut(self, n_left: int) -> tuple[bytes, _Pending]:
        """Return all but the last `n_left` bytes, and those in a _Pending of their own."""
        tail = self.chunks[-1][len(self.chunks[-1]) - n_left :]
        self.chunks[-1] = self.chunks[-1][: len(self.chunks[-1]) - n_left]
        rest = _Pending()
        if tail:
            rest.add(tail)
        return self.text(), rest


def _too_long(path: Path, number: int) -> RawDataError:
    return RawDataError(
        f"{path}:{number}: expected a line of at most {MAX_LINE:,} bytes, got a longer one; "
        "this is no file of one record a line"
    )


def _chunks(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        raise RawDataError(
            f"{path}: no such file; run `python -m pipeline.download <dataset> {path.parent}` "
            f"first"
        )
    if path.suffix != ".gz":
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
        return
    with path.open("rb") as file:
        start = file.read(SHOWN)
    if start[:2] != GZIP_MAGIC:
        raise RawDataError(f"{path}: expected a gzip file, got one that starts with {start!r}")
    yield from _unpacked(path)


def _unpacked(path: Path) -> Iterator[bytes]:
    n_bytes = 0
    try:
        with igzip.open(path) as packed:
            while chunk := packed.read1(CHUNK):
                n_bytes += len(chunk)
                yield chunk
    except DAMAGE:
        yield from _from_slow(path, n_bytes)


def _from_slow(path: Path, start: int) -> Iterator[bytes]:
    """Go on from a byte with the library that hands out what is before the damage."""
    with gzip.open(path) as packed:
        while start and (chunk := packed.read1(min(CHUNK, start))):
            start -= len(chunk)
        # read1 hands out what is there before it meets the damage; read would lose it.
        while chunk := packed.read1(CHUNK):
            yield chunk


def _last_line(text: bytes) -> bytes:
    """Return the last line of `text` that is ended by a newline."""
    end = text.rfind(b"\n")
    return text[text.rfind(b"\n", 0, end) + 1 : end] if end >= 0 else b""


def _damaged(path: Path, error: Exception, whole: int, last: bytes) -> RawDataError:
    short = isinstance(error, EOFError)
    what = "the gzip stream stops short" if short else f"the gzip stream is damaged ({error})"
    shown = last[:SHOWN].decode("utf-8", errors="replace")
    return RawDataError(
        f"{path}: {what}; the last whole line is line {whole}"
        + (f", which starts with {shown!r}" if whole else "")
        + ". Remove the file and fetch it again"
    )
