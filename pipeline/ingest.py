"""Stage `ingest`: turn a dataset's raw files into two typed tables.

    data/raw/D -> data/interim/D/reviews.parquet, data/interim/D/items.parquet

    python -m pipeline.ingest gift_cards data/raw/gift_cards data/interim/gift_cards

reviews.parquet has one row per review in the order of the raw file: user, item, timestamp
(seconds since 1970, UTC), rating, part (only in published splits: train, validation, test).
items.parquet has one row per item: raw_id, title, description, image (a URL, or a path below
data/raw/D), then what the format has beside that, such as brand, category or title_tokens.

Ids are text always. An item of which nothing is known has a row of nulls. A line that is no
record stops the stage, with file, line and text, once a file has more than
ingest.max_bad_lines of them. Which files a format has is in docs/data.md.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.job import command_line
from pipeline.job.errors import RawDataError
from pipeline.sources import readers
from pipeline.sources.stream import Stream
from pipeline.tables.io import check_columns, parquet_writer
from pipeline.tables.schema import (
    ITEM,
    ITEMS_FILE,
    RAW_ID,
    RAW_ITEMS,
    REVIEWS,
    REVIEWS_FILE,
    USER,
)

logger = logging.getLogger(__name__)

WORK = ".ingest"  # folder beside the two tables, for what waits to be written
FEW = 1 << 20  # values that are not worth a merge


def ingest(source: params.Source, raw: Path, interim: Path, max_bad_lines: int) -> Counts:
    """Read a dataset's raw files, and write the two tables, or neither.

    A few batches of lines are in memory at a time, beside what the ids and a hash of each
    user's id take.

    Args:
        source: the dataset's section of `sources`.
        raw: data/raw/<dataset>.
        interim: data/interim/<dataset>.
        max_bad_lines: lines per file that may be no record.

    Returns:
        What was written: reviews in raw order, and items of unique `raw_id` that cover them.

    Raises:
        RawDataError: a file is absent, damaged or not in its format, or holds no review.
    """
    stream = _stream(source, raw, max_bad_lines)
    counts = Counts()
    reviews = counts.reviewing(_checked(stream.reviews, raw))
    first = next(reviews, None)
    if first is None:
        raise RawDataError(f"{raw}: expected reviews, got files without any")
    with (
        parquet_writer(interim / REVIEWS_FILE) as write_reviews,
        parquet_writer(interim / ITEMS_FILE) as write_items,
        _work_folder(interim / WORK) as work,
    ):
        write_reviews(first)
        for table in reviews:
            write_reviews(table)
        for table in stream.items(counts.reviewed.values().sort(), work):
            check_columns(table, RAW_ITEMS, f"{raw}: items")
            counts.add_items(table)
            write_items(table)
        _check_references(counts, raw)
    return counts


def _stream(source: params.Source, raw: Path, max_bad_lines: int) -> Stream:
    reader = readers.get(source.format)
    if reader.stream is None:
        return Stream.of(reader.read(source, raw, max_bad_lines))
    return reader.stream(source, raw, max_bad_lines)


def _checked(reviews: Iterator[pl.DataFrame], raw: Path) -> Iterator[pl.DataFrame]:
    for table in reviews:
        check_columns(table, REVIEWS, f"{raw}: reviews")
        if table.height:
            yield table


@contextmanager
def _work_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder; what a killed run left in it goes first."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@dataclass(slots=True)
class Distinct:
    """Values met so far; memory goes with how many different ones there are."""

    parts: list[pl.Series] = field(default_factory=list)
    n_loose: int = 0

    def add(self, values: pl.Series) -> None:
        """Take in a batch."""
        self.parts.append(values.unique())
        self.n_loose += len(self.parts[-1])
        # Merging when the loose ones are as many keeps the work linear in all of them.
        if self.n_loose > max(FEW, len(self.parts[0])):
            self.values()

    def values(self) -> pl.Series:
        """Return each value once, in any order."""
        self.parts = [pl.concat(self.parts).unique()]
        self.n_loose = 0
        return self.parts[0]


@dataclass(slots=True)
class Counts:
    """What has been read: how many rows, which ids, and how many fields have a value."""

    n_reviews: int = 0
    users: Distinct = field(default_factory=Distinct)  # hashes of 64 bits, not ids
    reviewed: Distinct = field(default_factory=Distinct)
    n_items: int = 0
    items: Distinct = field(default_factory=Distinct)
    filled: dict[str, int] = field(default_factory=dict)

    def reviewing(self, reviews: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield reviews, and count them on the way."""
        for table in reviews:
            self.n_reviews += table.height
            self.users.add(table[USER].hash())
            self.reviewed.add(table[ITEM])
            yield table

    def add_items(self, items: pl.DataFrame) -> None:
        """Count rows of items."""
        self.n_items += items.height
        self.items.add(items[RAW_ID])
        for name, n in items.select(pl.exclude(RAW_ID).count()).row(0, named=True).items():
            self.filled[name] = self.filled.get(name, 0) + n


def _check_references(counts: Counts, raw: Path) -> None:
    items, reviewed = counts.items.values(), counts.reviewed.values()
    if len(items) < counts.n_items:
        raise RawDataError(f"{raw}: expected each item once, got repeated ids")
    unknown = reviewed.filter(~reviewed.is_in(items.implode()))
    if len(unknown):
        raise RawDataError(f"{raw}: reviewed item {unknown.min()!r} has no row in items")


def main(argv: list[str] | None = None) -> None:
    """Read the raw files, write the two tables, log how many rows and values there are."""
    parser = command_line.parser(__doc__, "dataset", "raw", "interim")
    args = parser.parse_args(argv)

    settings = params.load()
    source = settings.source(args.dataset)
    counts = ingest(source, args.raw, args.interim, settings.ingest.max_bad_lines)
    n_users, n_items = len(counts.users.values()), len(counts.reviewed.values())
    logger.info("%d reviews of %d users and %d items", counts.n_reviews, n_users, n_items)
    logger.info("%d items, of which have a value: %s", counts.n_items, counts.filled)


if __name__ == "__main__":
    command_line.run(main)
