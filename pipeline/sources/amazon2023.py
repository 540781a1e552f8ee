"""Format `amazon2023`: a category of the Amazon reviews of 2023 (Hou et al., arXiv:2403.03952).

    <Category>.jsonl.gz (full)         JSON lines
    <Category>.csv.gz (5core)          user_id,parent_asin,rating,timestamp: no `verified`
    meta_<Category>.jsonl.gz           JSON lines

An item is a `parent_asin`: colours and sizes of a product share it, and metadata have no other
id. Times are in milliseconds; they become whole seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.published.amazon import metadata_name, reviews_name
from pipeline.sources import amazon
from pipeline.sources.amazon import BRAND, CATEGORY
from pipeline.sources.amazon2018 import ICON_SIZE
from pipeline.sources.lines import Batch, batches
from pipeline.sources.raw import BadLines, Tables
from pipeline.sources.records import (
    FLAG,
    LATEST,
    MILLISECONDS,
    NUMBER,
    PICTURES,
    TEXT,
    TEXTS,
    json_record,
    records,
)
from pipeline.sources.stream import Stream
from pipeline.tables.schema import (
    DESCRIPTION,
    IMAGE,
    ITEM,
    PART,
    RATING,
    RAW_ID,
    REVIEWS,
    TIME,
    TITLE,
    USER,
    VERIFIED,
)

logger = logging.getLogger(__name__)

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


def read(source: params.Amazon2023Source, folder: Path, max_bad_lines: int) -> Tables:
    """Read a category from data/raw/<dataset>; see `stream`."""
    return stream(source, folder, max_bad_lines).tables()


def stream(source: params.Amazon2023Source, folder: Path, max_bad_lines: int) -> Stream:
    """Read a category from data/raw/<dataset>.

    Returns:
        Reviews in the order of the file, of whole seconds, with `verified` from the full
        file; items as `amazon.stream` gives them.
    """
    path = folder / reviews_name(source)
    tables = (_full if source.reviews == "full" else _ratings)(path, max_bad_lines)
    metadata = _metadata(folder / metadata_name(source), max_bad_lines)
    return amazon.stream(tables, metadata)


def _full(path: Path, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    fields, required = REVIEW_FIELDS | {"verified_purchase": FLAG}, set(REVIEW_FIELDS)
    yield pl.DataFrame(schema=REVIEWS | {VERIFIED: pl.Boolean})
    for table in records(path, fields, required, json_record, "a JSON object", max_bad_lines):
        named = table.rename({"user_id": USER, "parent_asin": ITEM})
        yield _reviews(named, pl.col("verified_purchase").alias(VERIFIED))


def _ratings(path: Path, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    """Yield the lines of the published 5-core, which has no text."""
    yield pl.DataFrame(schema=REVIEWS)
    bad, n_read = BadLines(path, max_bad_lines), 0
    for batch in batches(path):
        rows = _matched(batch, bad)
        n_read += rows.height
        yield _reviews(rows)
    logger.info("%s: %d ratings, %d bad lines", path, n_read, bad.count)


def _matched(batch: Batch, bad: BadLines) -> pl.DataFrame:
    lines = batch.table().filter((pl.col("line") > 1) | (pl.col("text") != HEADER))
    groups = pl.col("text").str.extract_groups(RATING_LINE).alias("groups")
    rows = lines.with_columns(groups).unnest("groups")
    rows = rows.with_columns(pl.col(RATING).cast(pl.Float64), pl.col(TIME).cast(pl.UInt64))
    is_good = (pl.col(TIME) < LATEST * 1000).fill_null(False)
    for line, text in rows.filter(~is_good).select("line", "text").rows():
        bad.add(line, text, f"`{HEADER}` with a time in milliseconds")
    return rows.filter(is_good)


def _reviews(table: pl.DataFrame, *more: pl.Expr) -> pl.DataFrame:
    return table.select(
        USER,
        ITEM,
        (pl.col(TIME) // 1000).cast(REVIEWS[TIME]).alias(TIME),
        pl.col(RATING).cast(REVIEWS[RATING]),
        pl.lit(None, dtype=REVIEWS[PART]).alias(PART),
        *more,
    )


def _metadata(path: Path, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    required = {"parent_asin"}
    for table in records(path, FIELDS, required, json_record, "a JSON object", max_bad_lines):
        has_path = pl.col("categories").list.len() > 0
        yield table.select(
            pl.col("parent_asin").alias(RAW_ID),
            pl.col("title").alias(TITLE),
            pl.col("description").list.join(" ").alias(DESCRIPTION),
            _picture().alias(IMAGE),
            pl.col("store").alias(BRAND),
            # Some items have the main category alone.
            pl.when(has_path)
            .then("categories")
            .otherwise(pl.concat_list("main_category").list.drop_nulls())
            .alias(CATEGORY),
        )


def _picture() -> pl.Expr:
    """Return the address of the main picture, else of the first: the largest that there is."""
    field = pl.element().struct.field
    # A thumbnail's address without its order to the server is that of a larger picture.
    thumb = field("thumb").str.replace(ICON_SIZE, "${1}${2}")
    sizes = [
        pl.when(size != "").then(size) for size in (field("hi_res"), field("large"), thumb)
    ]
    best = pl.coalesce(sizes)
    main = pl.col("images").list.eval(best.filter(field("variant") == "MAIN"))
    every = pl.col("images").list.eval(best)
    return pl.coalesce(
        main.list.drop_nulls().list.first(), every.list.drop_nulls().list.first()
    )
