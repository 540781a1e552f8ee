"""Format `amazon2018`: a category of the Amazon review dump of 2018 (Ni et al., EMNLP 2019).

    <Category>_5.json.gz (5core) or <Category>.json.gz (full)    JSON lines
    meta_<Category>.json.gz                                      JSON lines

Metadata has pictures in `imageURL` and `imageURLHighRes`, older files in `image`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.published.amazon import metadata_name, reviews_name
from pipeline.sources import amazon
from pipeline.sources.amazon import BRAND, CATEGORY
from pipeline.sources.raw import Ledger, Tables
from pipeline.sources.records import RecordFormat, records
from pipeline.sources.stream import Stream
from pipeline.sources.values import TEXT, TEXTS
from pipeline.tables.schema import DESCRIPTION, IMAGE, RAW_ID, TITLE

PICTURES = ("imageURLHighRes", "imageURL", "image")  # best first
FIELDS = {
    "asin": TEXT,
    "title": TEXT,
    "description": TEXTS,
    "brand": TEXT,
    "category": TEXTS,
    **dict.fromkeys(PICTURES, TEXTS),
}
METADATA = RecordFormat(FIELDS, {"asin"})
# `image` and `imageURL` are icons of 38 or 40 pixels: I/31abc._SS40_.jpg. The part between the
# dots tells Amazon's server to resize; without it the address is that of imageURLHighRes.
ICON_SIZE = r"(/images/I/[^/.]+)\._[^/]*_(\.[A-Za-z]+)$"


def read(source: params.AmazonSource, folder: Path, ledger: Ledger) -> Tables:
    """Read a category from data/raw/<dataset>; see `amazon.stream`."""
    return stream(source, folder, ledger).tables()


def stream(source: params.AmazonSource, folder: Path, ledger: Ledger) -> Stream:
    """Read a category from data/raw/<dataset>; see `amazon.stream`."""
    metadata = _metadata(folder / metadata_name(source), ledger)
    reviews = folder / reviews_name(source)
    rows = amazon.read_reviews(reviews, ledger, verified=True)
    return amazon.stream(rows, metadata, ledger)


def read_sample(source: params.SampleSource, folder: Path, ledger: Ledger) -> Tables:
    """Read the generated category `Sample`, whose pictures are files below `folder`."""
    return stream_sample(source, folder, ledger).tables()


def stream_sample(source: params.SampleSource, folder: Path, ledger: Ledger) -> Stream:
    """Read the generated category `Sample`; see `amazon.stream`."""
    sample = params.AmazonSource(format="amazon2018", category="Sample", reviews="full")
    return stream(sample, folder, ledger)


def read_items(metadata: Path) -> pl.DataFrame:
    """Read a metadata file without reviews; see `amazon.read_metadata`."""
    ledger = Ledger(params.Ingest(max_bad_lines=0))
    return amazon.read_metadata(_metadata(metadata, ledger))


def _metadata(path: Path, ledger: Ledger) -> Iterator[pl.DataFrame]:
    for table in records(ledger.of(path), METADATA):
        yield table.select(
            pl.col("asin").alias(RAW_ID),
            pl.col("title").alias(TITLE),
            pl.col("description").list.join(" ").alias(DESCRIPTION),
            _first_picture().alias(IMAGE),
            pl.col("brand").alias(BRAND),
            pl.col("category").alias(CATEGORY),
        )


def _first_picture() -> pl.Expr:
    first = pl.coalesce(pl.col(name).list.first() for name in PICTURES)
    return first.str.replace(ICON_SIZE, "${1}${2}")
