"""The line of a row of a text table: for messages, so that an editor finds it.

A header is line 1 unless blank lines are before it, and a quoted field may hold line breaks.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Collection, Iterator
from itertools import dropwhile, islice
from pathlib import Path
from typing import TextIO


def line_numbers(path: Path, rows: Collection[int]) -> dict[int, int]:
    """Return the number of the line, from 1, on which each row begins.

    Args:
        path: .csv, .tsv or .jsonl, each also as .gz, that Polars has read.
        rows: numbers of rows from 1, as Polars counts them: without the header of a CSV file,
            and without the blank lines of JSON lines.
    """
    if not rows:
        return {}
    name = path.name.removesuffix(".gz")
    with _opened(path) as file:
        if name.endswith(".jsonl"):
            starts: Iterator[int] = (
                line for line, text in enumerate(file, start=1) if text.strip()
            )
        else:
            starts = _starts(file, "\t" if name.endswith(".tsv") else ",")
        first = islice(enumerate(starts, start=1), max(rows))
        return {row: line for row, line in first if row in rows}


def _starts(file: TextIO, separator: str) -> Iterator[int]:
    """Yield the first line of every record after the header."""
    csv.field_size_limit(sys.maxsize)  # Polars has no limit either
    reader = csv.reader(file, delimiter=separator)
    next(dropwhile(lambda record: not record, reader), None)
    start = reader.line_num + 1
    for _ in reader:
        yield start
        start = reader.line_num + 1


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
