"""CSV and TSV: one reader of records, in blocks, with the line on which each begins.

A record has as many fields as the header. In CSV a field may be quoted, and then hold
separators, line breaks and doubled quotes; any other quote is a character, as for Python's csv.
TSV has no quoting. Blank lines are skipped.

A block whose quotes are all in pairs is read in bulk by Arrow, once the separators outside of
quotes have been counted. Any other is halved until the odd lines are alone, and these are read
by Python's csv. A bad record counts with all of its lines: a quote that is never closed takes
every line after it.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.csv

from pipeline.job.errors import RawDataError
from pipeline.sources import read_ahead
from pipeline.sources.lines import BLANK, NEWLINE, RETURN, Batch, batches
from pipeline.sources.raw import SHOWN, FileCounts, quoted
from pipeline.sources.records import LINE, N_THREADS, PIECE
from pipeline.sources.table_header import ESCAPED, Header

QUOTE = ord('"')
MAX_RECORD = 1 << 20  # bytes of a record over several lines


class _Part(NamedTuple):
    """Records, and how much of the file was read for them."""

    table: pl.DataFrame  # `LINE`, then the wanted columns
    n_lines: int  # with those of bad records and the blank ones
    n_bad: int = 0  # lines of bad records


def rows(head: Header, columns: Sequence[str], counts: FileCounts) -> Iterator[pl.DataFrame]:
    """Yield the records after the header as tables of `LINE` and the columns, all text.

    An empty field is an empty text.

    Args:
        head: of the file.
        columns: distinct names of the header.
        counts: of the file.

    Raises:
        RawDataError: the file is damaged, or has too many bad lines: records with more or fewer
            fields than the header, with bytes that are not UTF-8, with NUL or with a lone CR.
    """
    reader = _Reader(head, [head.names.index(name) for name in columns], counts)
    names = [LINE, *columns]
    n_lines, n_read, n_records, rest = 0, 0, 0, None
    for batch, found in read_ahead.mapped(reader.in_bulk, _body(head), N_THREADS):
        n_lines += batch.n_lines
        pieces = [(batch, found)]
        while pieces:
            piece, part = pieces.pop()
            if rest is not None or part is None:
                halves = piece.halves() if len(piece.text) > PIECE else ()
                if halves and halves[1].text:
                    pieces += [(half, reader.in_bulk(half)) for half in reversed(halves)]
                    continue
                if rest is not None:
                    piece = Batch(piece.file, rest.first, rest.text + piece.text)
                part, rest = reader.one_by_one(piece)
            n_read += part.n_lines
            n_records += part.table.height + part.n_bad
            counts.n_rows += part.table.height
            yield part.table.rename(dict(zip(part.table.columns, names, strict=True)))
    if rest is not None:
        part, _ = reader.one_by_one(rest, is_last=True)
        n_read, n_records = n_read + part.n_lines, n_records + part.n_bad
    if n_lines != n_read:
        raise RawDataError(
            f"{head.path}: expected to read {n_lines:,} lines, got {n_read:,}. The reader is "
            "wrong: please report it"
        )
    counts.finish(n_records)


def _body(head: Header) -> Iterator[Batch]:
    """Yield the lines after the header."""
    for batch in batches(head.path):
        if batch.first > 1:
            yield batch
        elif len(batch.newlines) >= head.n_lines:
            text = batch.text[batch.newlines[head.n_lines - 1] + 1 :]
            if text:
                yield Batch(batch.file, head.n_lines + 1, text)


@dataclass(frozen=True)
class _Reader:
    """How the records of a file are read."""

    head: Header
    wanted: Sequence[int]  # numbers of columns
    counts: FileCounts

    def in_bulk(self, batch: Batch) -> _Part | None:
        """Return the records of a batch, or None if one of them has to be looked at."""
        text, codes = batch.text, np.frombuffer(batch.text, np.uint8)
        if b"\0" in text or text.count(b"\r") != text.count(b"\r\n"):
            return None
        if text.startswith(codecs.BOM_UTF8):
            return None  # Arrow would leave it out; here it belongs to the first field
        ends = batch.newlines if text.endswith(b"\n") else np.append(batch.newlines, len(codes))
        starts = np.concatenate([[0], ends[:-1] + 1])
        separators = np.flatnonzero(codes == ord(self.head.separator))
        if self.head.has_quotes and b'"' in text:
            quotes = np.flatnonzero(codes == QUOTE)
            if not _are_pairs(codes, quotes, ends, ord(self.head.separator)):
                return None
            separators = separators[np.searchsorted(quotes, separators) % 2 == 0]
        first = codes[np.minimum(starts, len(codes) - 1)]
        is_blank = np.isin(first, [NEWLINE, RETURN])
        n_fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
        if (n_fields != len(self.head.names))[~is_blank].any():
            return None
        if len(self.head.names) == 1 and np.isin(first, [*BLANK, QUOTE]).any():
            return None  # perhaps a blank line
        table = self._arrow(text)
        numbers = np.flatnonzero(~is_blank) + batch.first
        if table is None or table.num_rows != len(numbers):
            return None
        rows = pl.DataFrame(pl.from_arrow(table))
        return _Part(rows.insert_column(0, pl.Series(LINE, numbers)), batch.n_lines)

    def _arrow(self, text: bytes) -> pa.Table | None:
        names = [str(number) for number in range(len(self.head.names))]
        wanted = [names[number] for number in self.wanted]
        try:
            return pyarrow.csv.read_csv(
                pa.BufferReader(text),
                pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=len(text) + 1, column_names=names
                ),
                pyarrow.csv.ParseOptions(
                    delimiter=self.head.separator,
                    quote_char='"' if self.head.has_quotes else False,
                ),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException:
            return None

    def one_by_one(self, batch: Batch, *, is_last: bool = False) -> tuple[_Part, Batch | None]:
        """Return the good records of a batch, and the text of one that does not end in it.

        Args:
            batch: whole lines, from the start of a record.
            is_last: whether the file ends here, so that an open record is a bad one.
        """
        text = batch.text.decode(errors=ESCAPED)
        lines = list(io.StringIO(text, newline="\n"))
        good: list[tuple[Any, ...]] = []
        end, n_read, n_bad = "", 0, 0
        # After the last line comes an empty one, which only an open record takes.
        reader = self.head.records(chain(lines, [end]))
        while n_read < len(lines):
            try:
                record, why = next(reader), ""
            except csv.Error:
                record, why = [], "lines that end in LF or CR LF, not in a lone CR"
            if reader.line_num > len(lines) and not is_last:
                return self._part(good, n_read, n_bad), self._rest(batch, lines, n_read)
            taken = lines[n_read : reader.line_num]
            is_blank = len(taken) == 1 and not taken[0].strip(self.head.blank)
            if not is_blank:
                why = why or self._fault(record, taken, is_open=reader.line_num > len(lines))
                if why:
                    n_bad += len(taken)
                    shown = "".join(taken)[: 2 * SHOWN].encode(errors=ESCAPED)
                    self.counts.add(
                        batch.first + n_read,
                        quoted(shown.decode(errors="replace")),
                        why,
                        n_lines=len(taken),
                    )
                else:
                    good.append((batch.first + n_read, *(record[n] for n in self.wanted)))
            n_read += len(taken)
        return self._part(good, n_read, n_bad), None

    def _part(self, good: list[tuple[Any, ...]], n_read: int, n_bad: int) -> _Part:
        columns = {str(number): pl.String for number in range(len(self.wanted))}
        return _Part(
            pl.DataFrame(good, {LINE: pl.Int64, **columns}, orient="row"), n_read, n_bad
        )

    def _rest(self, batch: Batch, lines: Sequence[str], n_read: int) -> Batch:
        text = "".join(lines[n_read:]).encode(errors=ESCAPED)
        if len(text) > MAX_RECORD:
            raise RawDataError(
                f"{self.head.path}:{batch.first + n_read}: expected a field that ends within "
                f"{MAX_RECORD:,} bytes, got a quote without a partner in "
                f"{quoted(lines[n_read])}. Close it, double it, or write the file without "
                "quotes, as .tsv"
            )
        return Batch(batch.file, batch.first + n_read, text)

    def _fault(self, record: Sequence[str], lines: Sequence[str], *, is_open: bool) -> str:
        """Return what was expected of a record, or nothing if it is a good one."""
        text, n_fields = "".join(record), len(self.head.names)
        over = f" (a quoted field goes on for {len(lines)} lines)" if len(lines) > 1 else ""
        if is_open:
            return f"a quoted field that ends{over}"
        if len(record) != n_fields:
            return f"{n_fields} fields as in the header, not {len(record)}{over}"
        if "\0" in text:
            return "text without NUL"
        if not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text):
            return "text in UTF-8"
        if len(lines) > 1:
            try:
                list(self.head.records(lines, strict=True))
            except csv.Error:
                return f"a separator after a closing quote{over}"
        return ""


def _are_pairs(
    codes: npt.NDArray[np.uint8],
    quotes: npt.NDArray[Any],
    ends: npt.NDArray[Any],
    separator: int,
) -> bool:
    """Return whether in each line every quote opens or closes a field, or is doubled in one."""
    if (np.searchsorted(quotes, ends) % 2).any():
        return False
    padded = np.concatenate([[NEWLINE], codes, [NEWLINE]])
    before, after = padded[quotes[::2]], padded[quotes[1::2] + 2]
    opens = np.isin(before, [separator, NEWLINE, QUOTE])
    closes = np.isin(after, [separator, NEWLINE, RETURN, QUOTE])
    return bool(opens.all() and closes.all())
