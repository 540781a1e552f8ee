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
from pathlib import Path

import polars as pl

from pipeline import command, params, sources
from pipeline.errors import RawDataError
from pipeline.io import check_columns, write_parquet
from pipeline.schema import ITEM, ITEMS_FILE, RAW_ID, RAW_ITEMS, REVIEWS, REVIEWS_FILE, USER

logger = logging.getLogger(__name__)


def ingest(source: params.Source, folder: Path, max_bad_lines: int) -> sources.Tables:
    """Read a dataset's raw files.

    Args:
        source: the dataset's section of `sources`.
        folder: data/raw/<dataset>.
        max_bad_lines: lines per file that may be no record.

    Returns:
        Reviews in raw order, and items of unique `raw_id` that cover every review.

    Raises:
        RawDataError: a file is absent, damaged or not in its format, or holds no review.
    """
    tables = sources.get(source.format).read(source, folder, max_bad_lines)
    check_columns(tables.reviews, REVIEWS, f"{folder}: reviews")
    check_columns(tables.items, RAW_ITEMS, f"{folder}: items")
    if tables.reviews.is_empty():
        raise RawDataError(f"{folder}: expected reviews, got files without any")
    _check_references(tables, folder)
    return tables


def _check_references(tables: sources.Tables, folder: Path) -> None:
    reviews, items = tables
    if items[RAW_ID].is_duplicated().any():
        raise RawDataError(f"{folder}: expected each item once, got repeated ids")
    unknown = reviews.join(items, left_on=ITEM, right_on=RAW_ID, how="anti")
    if unknown.height:
        raise RawDataError(f"{folder}: reviewed item {unknown[ITEM][0]!r} has no row in items")


def log_counts(tables: sources.Tables) -> None:
    """Log how many rows, users and filled fields there are."""
    reviews, items = tables
    logger.info(
        "%d reviews of %d users and %d items",
        reviews.height,
        reviews[USER].n_unique(),
        reviews[ITEM].n_unique(),
    )
    filled = items.select(pl.exclude(RAW_ID).count()).row(0, named=True)
    logger.info("%d items, of which have a value: %s", items.height, filled)


def main(argv: list[str] | None = None) -> None:
    """Read the raw files, write the two tables."""
    parser = command.parser("ingest", __doc__)
    parser.add_argument("dataset", help="a name below `sources` in params.yaml")
    parser.add_argument("raw", type=Path, help="folder with the raw files: data/raw/D")
    parser.add_argument("interim", type=Path, help="folder of the two tables: data/interim/D")
    args = parser.parse_args(argv)

    settings = params.load()
    source = settings.source(args.dataset)
    tables = ingest(source, args.raw, settings.ingest.max_bad_lines)
    log_counts(tables)
    write_parquet(tables.reviews, args.interim / REVIEWS_FILE)
    write_parquet(tables.items, args.interim / ITEMS_FILE)


if __name__ == "__main__":
    command.run(main)
