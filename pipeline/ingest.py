"""Stage `ingest`: turn a dataset's raw files into two typed tables.

    data/raw/D -> data/interim/D/reviews.parquet, data/interim/D/items.parquet

    python -m pipeline.ingest gift_cards data/raw/gift_cards data/interim/gift_cards

reviews.parquet has one row per review in the order of the raw file: user, item, timestamp
(seconds since 1970, UTC), rating, part (only in published splits: train, validation, test).
items.parquet has one row per item: raw_id, title, description, image (a URL, or a path below
data/raw/D), then further fields of the format, such as brand, category or title_tokens.

Ids are always text. An item without metadata has a row of nulls. Amazon's picture for "no image
available" counts as no picture; the log has their number. A record without a required value is
a bad line; a file with more than ingest.max_bad_lines of them stops the stage, and the message
has file, line and value. So does one of whose optional values more than the share
ingest.max_not_understood cannot be used. The counts are in the metadata of reviews.parquet.
docs/data.md lists the files of each format.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.job import command_line
from pipeline.job.errors import RawDataError
from pipeline.sources import readers
from pipeline.sources.placeholders import is_placeholder
from pipeline.sources.raw import Ledger
from pipeline.sources.stream import Stream
from pipeline.tables import schema as s
from pipeline.tables.io import check_columns, parquet_writer

logger = logging.getLogger(__name__)

WORK = ".ingest"  # folder beside the two tables, for temporary files
MIN_MERGED = 1 << 20  # values; fewer are not merged


def ingest(source: params.Source, raw: Path, interim: Path, limits: params.Ingest) -> Counts:
    """Read a dataset's raw files and write the two tables, or neither.

    Memory holds a few batches of lines, the item ids and a hash of each user id.

    Args:
        source: the dataset's section of `sources`.
        raw: data/raw/<dataset>.
        interim: data/interim/<dataset>.
        limits: what is tolerated.

    Returns:
        The counts of the rows that were written.

    Raises:
        RawDataError: a file is missing, damaged or not in its format; there is no review, an
            item occurs twice, a reviewed item has no row, or no or few items have metadata.
    """
    counts = Counts(ledger=Ledger(limits))
    stream = _stream(source, raw, counts.ledger)
    reviews = counts.reviewing(_checked(stream.reviews, raw))
    first = next(reviews, None)
    if first is None:
        raise RawDataError(f"{raw}: expected reviews, got files without any")
    with (
        parquet_writer(interim / s.REVIEWS_FILE, at_end=counts.metadata) as write_reviews,
        parquet_writer(interim / s.ITEMS_FILE) as write_items,
        _work_folder(interim / WORK) as work,
    ):
        write_reviews(first)
        for table in reviews:
            write_reviews(table)
        counts.end_reviews(raw, is_exploded=readers.get(source.format).stream is None)
        for table in stream.items(counts.reviewed.values().sort(), work):
            check_columns(table.schema, s.RAW_ITEMS, f"{raw}: items")
            items = counts.without_placeholders(table)
            counts.add_items(items)
            write_items(items)
        _check_references(counts, raw)
    return counts


def _stream(source: params.Source, raw: Path, ledger: Ledger) -> Stream:
    reader = readers.get(source.format)
    if reader.stream is None:
        return Stream.of(reader.read(source, raw, ledger))
    return reader.stream(source, raw, ledger)


def _checked(reviews: Iterator[pl.DataFrame], raw: Path) -> Iterator[pl.DataFrame]:
    for table in reviews:
        check_columns(table.schema, s.REVIEWS, f"{raw}: reviews")
        if table.height:
            yield table


@contextmanager
def _work_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder and delete it afterwards, as well as one from a killed run."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@dataclass(slots=True)
class Distinct:
    """The distinct values of a stream; memory grows with their number."""

    parts: list[pl.Series] = field(default_factory=list)
    n_unmerged: int = 0

    def add(self, values: pl.Series) -> None:
        """Add a batch."""
        self.parts.append(values.unique())
        self.n_unmerged += len(self.parts[-1])
        # The work stays linear if a merge at least doubles the values merged so far.
        if self.n_unmerged > max(MIN_MERGED, len(self.parts[0])):
            self.values()

    def values(self) -> pl.Series:
        """Return each value once, in any order."""
        self.parts = [pl.concat(self.parts).unique()]
        self.n_unmerged = 0
        return self.parts[0]


@dataclass(slots=True)
class Counts:
    """Counts of rows and of filled fields, and the ids."""

    ledger: Ledger
    n_reviews: int = 0
    records: dict[str, int] | None = None  # of the files of reviews, if one is one review
    users: Distinct = field(default_factory=Distinct)  # 64-bit hashes of the ids
    reviewed: Distinct = field(default_factory=Distinct)
    n_items: int = 0
    items: Distinct = field(default_factory=Distinct)
    filled: dict[str, int] = field(default_factory=dict)
    n_placeholders: int = 0

    def reviewing(self, reviews: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Count and yield reviews."""
        for table in reviews:
            self.n_reviews += table.height
            self.users.add(table[s.USER].hash())
            self.reviewed.add(table[s.ITEM])
            yield table

    def without_placeholders(self, items: pl.DataFrame) -> pl.DataFrame:
        """Return items with null for a picture that says there is none, and count those."""
        found = is_placeholder(items)
        self.n_placeholders += int(found.sum())
        image = pl.when(~found).then(pl.col(s.IMAGE)).alias(s.IMAGE)
        return items.with_columns(image) if found.any() else items

    def end_reviews(self, raw: Path, *, is_exploded: bool) -> None:
        """Count the records of the reviews: each is a review or a bad line.

        Args:
            raw: for the message.
            is_exploded: whether a line may be several reviews, as in a published split.

        Raises:
            RawDataError: a record is neither.
        """
        if is_exploded:
            return
        files = [file.summary() for file in self.ledger.files]
        of = {key: sum(file[key] for file in files) for key in ("records", "bad_lines")}
        if of["records"] != self.n_reviews + of["bad_lines"]:
            raise RawDataError(
                f"{raw}: expected each of {of['records']:,} records to be a review or a bad "
                f"line, got {self.n_reviews:,} reviews and {of['bad_lines']:,} bad lines. The "
                "reader is wrong: please report it"
            )
        self.records = of

    def metadata(self) -> dict[str, str]:
        """Return the entry `schema.INGEST` of the reviews."""
        files: dict[str, Any] = {}
        for file in self.ledger.files:
            name = file.file.name
            files[f"{name} (items)" if name in files else name] = file.summary()
        return {s.INGEST: json.dumps({"files": files, "reviews": self.records})}

    def add_items(self, items: pl.DataFrame) -> None:
        """Count rows of items."""
        self.n_items += items.height
        self.items.add(items[s.RAW_ID])
        for name, n in items.select(pl.exclude(s.RAW_ID).count()).row(0, named=True).items():
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

    settings = params.load().of(args.dataset)
    source = settings.source(args.dataset)
    counts = ingest(source, args.raw, args.interim, settings.ingest)
    n_users, n_items = len(counts.users.values()), len(counts.reviewed.values())
    logger.info("%d reviews of %d users and %d items", counts.n_reviews, n_users, n_items)
    logger.info("%d items, of which have a value: %s", counts.n_items, counts.filled)
    if counts.n_placeholders:
        text = "image: %d items name Amazon's picture for `no image available`: null instead"
        logger.info(text, counts.n_placeholders)


if __name__ == "__main__":
    command_line.run(main)
