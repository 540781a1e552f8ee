"""Text files of one record per line, plain or gzip, read in batches of whole lines.

A batch is large enough for vectorised parsing and fits in memory whatever the file's size. A
truncated file, one of another format than its name says, and a line without end are refused
with file and line number.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from isal import igzip, isal_zlib

from pipeline.job.errors import RawDataError
from pipeline.published.raw_file import GZIP_MAGIC
from pipeline.sources.raw import SHOWN, FileCounts, check_exists

BATCH = 8 << 20  # bytes of text; few enough for the processor's cache
# How files begin that are no text, and the mend.
PACKED = {
    GZIP_MAGIC: "gzip: unpack it, or give it a name that ends in .gz",
    b"PAR1": "Parquet: give it a name that ends in .parquet",
    b"PK\x03\x04": "a zip archive or a workbook: unpack it, or save it as text (CSV UTF-8)",
}
QUOTED = 20  # bytes of a file in another encoding that a message quotes
CHUNK = 1 << 18  # bytes per read; less than MAX_LINE
MAX_LINE = 16 << 20  # bytes; the longest published record is far below 1 MiB
NEWLINE, RETURN, OPEN, CLOSE = b"\n\r{}"
BLANK = b" \t\r\n\v\f"  # what a blank line may consist of
IS_BLANK = np.isin(np.arange(256), list(BLANK))  # by byte
# igzip is three times as fast as gzip, but loses the data shortly before the damage.
IGZIP_ERROR: Any = isal_zlib.error  # its type stub does not declare a class
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, IGZIP_ERROR)


@dataclass(frozen=True)
class Batch:
    """Whole lines of a file."""

    file: Path
    first: int  # number of the first line, from 1
    text: bytes  # each line ends in a newline, except perhaps the file's last

    @cached_property
    def newlines(self) -> npt.NDArray[np.intp]:
        """Positions of the newlines in the text."""
        return np.flatnonzero(np.frombuffer(self.text, dtype=np.uint8) == NEWLINE)

    def n_objects(self) -> int | None:
        """Return the number of lines if each starts and ends like an object, else None.

        Arrow parses objects, not lines. Where each line has its own braces, no object spans two
        lines, and a line with two objects shows in the number of rows.
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

    @cached_property
    def n_lines(self) -> int:
        """The number of lines."""
        return len(self.newlines) + (self.text[-1:] not in (b"", b"\n"))

    def n_filled(self) -> int:
        """Return the number of lines that are not blank."""
        codes = np.frombuffer(self.text, dtype=np.uint8)
        starts = np.concatenate([[0], self.newlines + 1])[: self.n_lines]
        if not IS_BLANK[codes[starts]].any():
            return self.n_lines
        return int(np.count_nonzero(np.logical_or.reduceat(~IS_BLANK[codes], starts)))

    def halves(self) -> tuple[Batch, Batch]:
        """Return the lines in two batches of about the same size, the second perhaps empty."""
        middle = self.text.find(b"\n", len(self.text) // 2) + 1 or len(self.text)
        head, tail = self.text[:middle], self.text[middle:]
        second = Batch(self.file, self.first + head.count(b"\n"), tail)
        return Batch(self.file, self.first, head), second

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield `(line number, line)` for every line that is not blank."""
        for number, line in enumerate(self.text.split(b"\n"), self.first):
            if line.strip():
                yield number, line

    def table(self) -> pl.DataFrame:
        """Return the lines that are not blank as columns `line` (from 1) and `text`."""
        text = pl.Series("text", [self.text.decode("utf-8", errors="replace")])
        return (
            text.str.split("\n")
            .explode()
            .to_frame()
            .with_row_index("line", offset=self.first)
            .with_columns(pl.col("text").str.strip_chars(BLANK.decode()))
            .filter(pl.col("text") != "")
        )

    def matched(self, pattern: str) -> pl.DataFrame:
        """Return `table` and a column per named group, null where a line does not match."""
        groups = pl.col("text").str.extract_groups(pattern).alias("groups")
        return self.table().with_columns(groups).unnest("groups")


def parsed(
    counts: FileCounts, parse: Callable[[Batch, FileCounts], pl.DataFrame], header: str = ""
) -> Iterator[pl.DataFrame]:
    """Yield the rows that `parse` makes of each batch, one of each line that is not bad.

    A first line that is the `header` is left out.
    """
    n_records = 0
    for batch in batches(counts.file):
        line, _, rest = batch.text.partition(b"\n") if batch.first == 1 else (b"", b"", b"")
        if header and line.decode(errors="replace").strip() == header:
            batch = Batch(batch.file, 2, rest)
        n_records += batch.n_filled()
        table = parse(batch, counts)
        counts.n_rows += table.height
        yield table
    counts.finish(n_records)


def batches(path: Path, size: int = BATCH) -> Iterator[Batch]:
    """Yield a file's lines in batches, in order.

    Args:
        path: a text file in UTF-8, gzip-compressed if its name ends in .gz; a byte-order mark
            is left out.
        size: approximate bytes of text in a batch.

    Raises:
        RawDataError: the file does not exist, is not gzip, is in UTF-16, or is truncated or
            damaged (the last whole line is named), or a line has more than `MAX_LINE` bytes.
    """
    first, last_line = 1, b""
    chunks: list[bytes] = []  # text after the last batch
    n_bytes, n_open = 0, 0  # in these chunks, and in the unfinished line at their end
    try:
        for chunk in _without_mark(path, _chunks(path)):
            end = chunk.find(b"\n")
            if n_open + (len(chunk) if end < 0 else end) > MAX_LINE:
                raise _too_long(path, first + b"".join(chunks).count(b"\n"))
            n_after = len(chunk) - 1 - chunk.rfind(b"\n")  # all of the chunk without a newline
            n_open = n_after if end >= 0 else n_open + n_after
            n_bytes += len(chunk)
            if end < 0 or n_bytes < size:
                chunks.append(chunk)
                continue
            cut = len(chunk) - n_open
            batch = Batch(path, first, b"".join([*chunks, chunk[:cut]]))
            chunks, n_bytes = [chunk[cut:]], n_open
            first += len(batch.newlines)
            yield batch
            last_line = _last_line(batch.text)
    except DAMAGE as error:
        text = b"".join(chunks)
        n_lines = first - 1 + text.count(b"\n")
        raise _damaged(path, error, n_lines, _last_line(text) or last_line) from None
    if n_bytes:
        yield Batch(path, first, b"".join(chunks))


def _too_long(path: Path, number: int) -> RawDataError:
    return RawDataError(
        f"{path}:{number}: expected a line of at most {MAX_LINE:,} bytes, got a longer one; "
        "the file does not have one record per line"
    )


def _without_mark(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out a byte-order mark; refuse text in UTF-16 or UTF-32."""
    start = next(chunks, b"")
    for magic, mend in PACKED.items():
        if start.startswith(magic) and path.suffix != ".gz":
            raise RawDataError(f"{path}: expected text in UTF-8, got {mend}")
    zeros = [code == 0 for code in start[:4]]
    is_wide = zeros in ([False, True, False, True], [True, False, True, False])
    if is_wide or start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RawDataError(
            f"{path}: expected text in UTF-8, got UTF-16 or bytes that are no text: "
            f"{start[:QUOTED]!r}. Write the file again in UTF-8 (in Excel: CSV UTF-8)"
        )
    yield start.removeprefix(codecs.BOM_UTF8)
    yield from chunks


def _chunks(path: Path) -> Iterator[bytes]:
    check_exists(path)
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
        # Continue with gzip, whose read1 returns what it has before it reaches the damage.
        with gzip.open(path) as packed:
            packed.seek(n_bytes)
            while chunk := packed.read1(CHUNK):
                yield chunk


def _last_line(text: bytes) -> bytes:
    """Return the last line of `text` that ends in a newline."""
    end = text.rfind(b"\n")
    return text[text.rfind(b"\n", 0, end) + 1 : end] if end >= 0 else b""


def _damaged(path: Path, error: Exception, n_lines: int, last_line: bytes) -> RawDataError:
    what = "stops short" if isinstance(error, EOFError) else f"is damaged ({error})"
    start = last_line[:SHOWN].decode("utf-8", errors="replace")
    return RawDataError(
        f"{path}: the gzip stream {what}; the last whole line is line {n_lines}"
        + (f", which starts with {start!r}" if n_lines else "")
        + ". Put a whole file in its place and run download again"
    )
