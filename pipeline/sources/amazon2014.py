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
from pipeline.sources import amazon
from pipeline.sources.amazon import BRAND, CATEGORY, addressed, metadata_name, read_reviews
from pipeline.sources.literals import as_json, read_literal
from pipeline.sources.raw import RawFile, Tables
from pipeline.sources.records import PATHS, TEXT, RecordFormat, records
from pipeline.sources.stream import Stream
from pipeline.tables.schema import DESCRIPTION, IMAGE, RAW_ID, TITLE

# The lab's present server, then the one that the dump was first published on, which is
# known to answer http when https fails.
FOLDERS = (
    "https://mcauleylab.ucsd.edu/public_datasets/data/amazon/categoryFiles",
    "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles",
    "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles",
)
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


def files(source: params.AmazonSource) -> list[RawFile]:
    """Return the category's review file and metadata file."""
    return [
        addressed(_reviews_name(source), FOLDERS),
        addressed(metadata_name(source), FOLDERS),
    ]


def read(source: params.AmazonSource, folder: Path, max_bad_lines: int) -> Tables:
    """Read a category from data/raw/<dataset>; see `amazon.stream`."""
    return stream(source, folder, max_bad_lines).tables()


def stream(source: params.AmazonSource, folder: Path, max_bad_lines: int) -> Stream:
    """Read a category from data/raw/<dataset>; see `amazon.stream`."""
    metadata = _metadata(folder / metadata_name(source), max_bad_lines)
    reviews = folder / _reviews_name(source)
    return amazon.stream(read_reviews(reviews, max_bad_lines, verified=False), metadata)


def _reviews_name(source: params.AmazonSource) -> str:
    return f"reviews_{source.category}{'_5' if source.reviews == '5core' else ''}.json.gz"


def _metadata(path: Path, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    for table in records(path, METADATA, max_bad_lines):
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
