"""Format `amazon2014`: a category of the Amazon reviews of 2014 (McAuley et al., SIGIR 2015).

    reviews_<Category>_5.json.gz (5core) or reviews_<Category>.json.gz (full)    JSON lines
    meta_<Category>.json.gz                              one Python literal per line, not JSON

Literals are rewritten as JSON where this is exact; see pipeline/sources/literals.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.published.amazon import metadata_name, reviews_name
from pipeline.sources import amazon
from pipeline.sources.amazon import BRAND, CATEGORY, read_reviews
from pipeline.sources.literals import as_json, read_literal
from pipeline.sources.raw import Ledger, Tables
from pipeline.sources.records import RecordFormat, records
from pipeline.sources.stream import Stream
from pipeline.sources.values import PATHS, TEXT
from pipeline.tables.schema import DESCRIPTION, IMAGE, RAW_ID, TITLE

FIELDS = {
    "asin": TEXT,
    "title": TEXT,
    "description": TEXT,
    "imUrl": TEXT,
    "brand": TEXT,
    "categories": PATHS,
}
METADATA = RecordFormat(
    FIELDS, {"asin"}, read_literal, "a Python literal of a dictionary", as_json
)


def read(source: params.AmazonSource, folder: Path, ledger: Ledger) -> Tables:
    """Read a category from data/raw/<dataset>; see `amazon.stream`."""
    return stream(source, folder, ledger).tables()


def stream(source: params.AmazonSource, folder: Path, ledger: Ledger) -> Stream:
    """Read a category from data/raw/<dataset>; see `amazon.stream`."""
    metadata = _metadata(folder / metadata_name(source), ledger)
    reviews = folder / reviews_name(source)
    return amazon.stream(read_reviews(reviews, ledger, verified=False), metadata, ledger)


def _metadata(path: Path, ledger: Ledger) -> Iterator[pl.DataFrame]:
    for table in records(ledger.of(path), METADATA):
        yield table.select(
            pl.col("asin").alias(RAW_ID),
            pl.col("title").alias(TITLE),
            pl.col("description").alias(DESCRIPTION),
            pl.col("imUrl").alias(IMAGE),
            pl.col("brand").alias(BRAND),
            _first_path().alias(CATEGORY),
        )


def _first_path() -> pl.Expr:
    """Return an item's first category path, without empty names."""
    filled = pl.element().filter(pl.element() != "")
    return pl.col("categories").list.first().list.eval(filled)
