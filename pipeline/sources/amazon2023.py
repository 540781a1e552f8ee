"""Format `amazon2023`: a category of the Amazon reviews of 2023 (Hou et al., arXiv:2403.03952).

    <Category>.jsonl.gz (full)         JSON lines
    <Category>.csv.gz (5core)          user_id,parent_asin,rating,timestamp: no `verified`
    meta_<Category>.jsonl.gz           JSON lines

An item is a `parent_asin`, which colours and sizes of a product share; metadata have no other
id. Times are in milliseconds and become whole seconds; one in seconds is a bad line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.published.amazon import metadata_name, reviews_name
from pipeline.sources import amazon
from pipeline.sources.amazon import BRAND, CATEGORY
from pipeline.sources.amazon2018 import ICON_SIZE
from pipeline.sources.lines import Batch, parsed
from pipeline.sources.raw import FileCounts, Ledger, Tables
from pipeline.sources.records import RecordFormat, records
from pipeline.sources.stream import Stream
from pipeline.sources.values import (
    FIRST_MILLISECOND,
    FLAG,
    LATEST,
    MILLISECONDS,
    NUMBER,
    PICTURES,
    TEXT,
    TEXTS,
)
from pipeline.tables import schema as s

REVIEW_FIELDS = {
    "user_id": TEXT,
    "parent_asin": TEXT,  # `asin` is the variant that was bought
    "rating": NUMBER,  # stars
    "timestamp": MILLISECONDS,
}
FIELDS = {
    "parent_asin": TEXT,
    "title": TEXT,
    "description": TEXTS,
    "store": TEXT,
    "main_category": TEXT,
    "categories": TEXTS,
    "images": PICTURES,
}
HEADER = "user_id,parent_asin,rating,timestamp"
RATING_LINE = (
    r"^(?<user>[^,]+),(?<item>[^,]+),(?<rating>[0-9]+(?:\.[0-9]+)?),(?<timestamp>[0-9]{1,15})$"
)


def read(source: params.Amazon2023Source, folder: Path, ledger: Ledger) -> Tables:
    """Read a category from data/raw/<dataset>; see `stream`."""
    return stream(source, folder, ledger).tables()


def stream(source: params.Amazon2023Source, folder: Path, ledger: Ledger) -> Stream:
    """Read a category from data/raw/<dataset>.

    Returns:
        Reviews in the order of the file, with `verified` if it is the full one; items as in
        `amazon.stream`.
    """
    path = folder / reviews_name(source)
    reviews = (_full if source.reviews == "full" else _ratings)(path, ledger)
    metadata = _metadata(folder / metadata_name(source), ledger)
    return amazon.stream(reviews, metadata, ledger)


def _full(path: Path, ledger: Ledger) -> Iterator[pl.DataFrame]:
    fields = REVIEW_FIELDS | {"verified_purchase": FLAG}
    form = RecordFormat(fields, set(REVIEW_FIELDS), ranges={"rating": amazon.STARS})
    yield pl.DataFrame(schema=s.REVIEWS | {s.VERIFIED: pl.Boolean})
    for table in records(ledger.of(path), form):
        names = {"user_id": s.USER, "parent_asin": s.ITEM, "verified_purchase": s.VERIFIED}
        yield _reviews(table.rename(names))


def _ratings(path: Path, ledger: Ledger) -> Iterator[pl.DataFrame]:
    """Yield the lines of the published 5-core, which has no text."""
    yield pl.DataFrame(schema=s.REVIEWS)
    yield from map(_reviews, parsed(ledger.of(path), _rating_rows, HEADER))


def _rating_rows(batch: Batch, counts: FileCounts) -> pl.DataFrame:
    rows = batch.matched(RATING_LINE).with_columns(
        pl.col(s.RATING).cast(pl.Float64), pl.col(s.TIME).cast(pl.UInt64)
    )
    is_stars = pl.col(s.RATING).is_between(*amazon.STARS)
    is_time = pl.col(s.TIME).is_between(FIRST_MILLISECOND, LATEST * 1000 - 1)
    is_good = (is_stars & is_time).fill_null(False)
    expected = f"`{HEADER}` with 1 to 5 stars and a time in milliseconds"
    return counts.without(rows, is_good, expected)


def _reviews(rows: pl.DataFrame) -> pl.DataFrame:
    return amazon.as_reviews(
        rows.with_columns((pl.col(s.TIME) // 1000).cast(s.REVIEWS[s.TIME]))
    )


def _metadata(path: Path, ledger: Ledger) -> Iterator[pl.DataFrame]:
    for table in records(ledger.of(path), RecordFormat(FIELDS, {"parent_asin"})):
        has_path = pl.col("categories").list.len() > 0
        yield table.select(
            pl.col("parent_asin").alias(s.RAW_ID),
            pl.col("title").alias(s.TITLE),
            pl.col("description").list.join(" ").alias(s.DESCRIPTION),
            _picture().alias(s.IMAGE),
            pl.col("store").alias(BRAND),
            # Some items have only the main category.
            pl.when(has_path)
            .then("categories")
            .otherwise(pl.concat_list("main_category").list.drop_nulls())
            .alias(CATEGORY),
        )


def _picture() -> pl.Expr:
    """Return the address of the main picture, else of the first, in the largest size."""
    field = pl.element().struct.field
    # A thumbnail's address without the size is that of a larger picture.
    thumb = field("thumb").str.replace(ICON_SIZE, "${1}${2}")
    sizes = field("hi_res"), field("large"), thumb
    address = pl.coalesce(pl.when(size != "").then(size) for size in sizes)
    choices = address.filter(field("variant") == "MAIN"), address
    pictures = (pl.col("images").list.eval(choice) for choice in choices)
    return pl.coalesce(addresses.list.drop_nulls().list.first() for addresses in pictures)
