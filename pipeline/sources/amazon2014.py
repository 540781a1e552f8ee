"""Format `amazon2014`: a category of the Amazon reviews of 2014 (McAuley et al., SIGIR 2015).

    reviews_<Category>_5.json.gz (5core) or reviews_<Category>.json.gz (full)    JSON lines
    meta_<Category>.json.gz                              one Python literal a line, not JSON

Literals are read by `ast.literal_eval`, which builds values and runs nothing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.schema import DESCRIPTION, IMAGE, RAW_ID, TITLE
from pipeline.sources.amazon import (
    BRAND,
    CATEGORY,
    addressed,
    metadata_name,
    read_reviews,
    read_tables,
)
from pipeline.sources.raw import RawFile, Tables
from pipeline.sources.records import TEXT, TEXTS, records

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
    "categories": TEXTS,
}


def files(source: params.AmazonSource) -> list[RawFile]:
    """Return the category's review file and metadata file."""
    return [
        addressed(_reviews_name(source), FOLDERS),
        addressed(metadata_name(source), FOLDERS),
    ]


def read(source: params.AmazonSource, folder: Path, max_bad_lines: int) -> Tables:
    """Read a category from data/raw/<dataset>; see `read_tables`."""
    metadata = _metadata(folder / metadata_name(source), max_bad_lines)
    reviews = folder / _reviews_name(source)
    return read_tables(read_reviews(reviews, max_bad_lines, verified=False), metadata)


def _reviews_name(source: params.AmazonSource) -> str:
    return f"reviews_{source.category}{'_5' if source.reviews == '5core' else ''}.json.gz"


def _metadata(path: Path, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    expected = "a Python literal of a dictionary"
    for table in records(path, FIELDS, {"asin"}, _literal, expected, max_bad_lines):
        yield table.select(
            pl.col("asin").alias(RAW_ID),
            pl.col("title").alias(TITLE),
            pl.col("description").alias(DESCRIPTION),
            pl.col("imUrl").alias(IMAGE),
            pl.col("brand").alias(BRAND),
            pl.col("categories").alias(CATEGORY),
        )


def _literal(line: str) -> Any:
    with warnings.catch_warnings():
        # A stray backslash in a description is none of the user's business.
        warnings.simplefilter("ignore")
        record = ast.literal_eval(line)
    if isinstance(record, dict):
        record["categories"] = _first_path(record.get("categories"))
    return record


def _first_path(categories: Any) -> Any:
    """Return the first of an item's category paths, each a list from general to special."""
    is_list = isinstance(categories, list) and categories
    return categories[0] if is_list and isinstance(categories[0], list) else categories
