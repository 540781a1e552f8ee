"""Files of one record a line, plain or gzip, in batches of whole lines.

A batch is large enough for vectorised parsing and small enough for any dump. A file that stops
short, is not what its name says, or holds a line without end is refused by name and line.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.errors import RawDataError
from pipeline.sources.raw import GZIP_MAGIC, SHOWN

BATCH = 64 << 20  # bytes of text
CHUNK = 1 << 20  # bytes per read; less than MAX_LINE
MAX_LINE = 16 << 20  # bytes; the longest published record is far below 1 MiB


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines of a file."""

    file: Path
    first: int  # number of the first line, from 1
    text: bytes  # each line ends in a newline, except perhaps the file's last

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
    first, pending, last = 1, bytearray(), b""
    line = _LineLength(path)
    try:
        for chunk in _chunks(path):
            line.measure(chunk)
            pending += chunk
            cut = pending.rfind(b"\n") + 1
            if cut == 0 or len(pending) < size:
                continue
            text, pending = bytes(pending[:cut]), pending[cut:]
            yield Batch(path, first, text)
            first += text.count(b"\n")
            last = _last_line(text)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        whole = first - 1 + pending.count(b"\n")
        raise _damaged(path, error, whole, _last_line(bytes(pending)) or last) from None
    if pending:
        yield Batch(path, first, bytes(pending))


@dataclass(slots=True)
class _LineLength:
    """Watches the length of the line that is being read, chunk by chunk."""

    file: Path
    number: int = 1
    length: int = 0

    def measure(self, chunk: bytes) -> None:
        head, newline, _ = chunk.partition(b"\n")
        self.length += len(head)
        if self.length > MAX_LINE:
            raise RawDataError(
                f"{self.file}:{self.number}: expected a line of at most {MAX_LINE:,} bytes, "
                f"got a longer one; this is no file of one record a line"
            )
        if newline:
            self.number += chunk.count(b"\n")
            self.length = len(chunk) - chunk.rfind(b"\n") - 1


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
    with gzip.open(path) as packed:
        # read1 hands out what is there before it meets the damage; read would lose it.
        while chunk := packed.read1(CHUNK):
            yield chunk


def _last_line(text: bytes) -> bytes:
    """Return the last line of `text` that is ended by a newline."""
    whole, _, _ = text.rpartition(b"\n")
    return whole.rpartition(b"\n")[2]


def _damaged(path: Path, error: Exception, whole: int, last: bytes) -> RawDataError:
    short = isinstance(error, EOFError)
    what = "the gzip stream stops short" if short else f"the gzip stream is damaged ({error})"
    shown = last[:SHOWN].decode("utf-8", errors="replace")
    return RawDataError(
        f"{path}: {what}; the last whole line is line {whole}"
        + (f", which starts with {shown!r}" if whole else "")
        + ". Remove the file and fetch it again"
    )
