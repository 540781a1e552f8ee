"""What the Amazon dumps share: reviews, records, items.

Reviews of 2014 and 2018 are JSON lines with the same keys. Metadata differ.
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.sources.records import FLAG, INTEGER, NUMBER, TEXT, json_record, records
from pipeline.sources.stream import Stream, completed
from pipeline.tables.schema import (
    DESCRIPTION,
    IMAGE,
    ITEM,
    PART,
    RATING,
    RAW_ID,
    RAW_ITEMS,
    REVIEWS,
    TIME,
    TITLE,
    USER,
    VERIFIED,
)

logger = logging.getLogger(__name__)

REVIEW_FIELDS = {
    "reviewerID": TEXT,
    "asin": TEXT,  # text even when it is all digits
    "overall": NUMBER,  # stars
    "unixReviewTime": INTEGER,  # seconds
}
BRAND, CATEGORY = "brand", "category"
METADATA: dict[str, Any] = {
    **RAW_ITEMS,
    BRAND: pl.String,
    CATEGORY: pl.List(pl.String),
}
# Instead of a title, some pages of the 2018 crawl gave their own scripts and mark-up.
SCRAPED = re.compile(r"aPageStart|getTime\(\s*\)|<\s*/?\s*(?:span|script|style|div)\b", re.I)


SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace())  # all there are


def stream(reviews: Iterator[pl.DataFrame], metadata: Iterator[pl.DataFrame]) -> Stream:
    """Return reviews with the metadata of the items in them.

    Args:
        reviews: schema.REVIEWS, and perhaps `verified`.
        metadata: tables of columns `METADATA`, in the order of the metadata file.

    Returns:
        Items are sorted by asin, one each, with nulls where an item has no metadata. Reading
        raises RawDataError where a file is absent or damaged, lacks a field, or has too many
        bad lines.
    """

    def items(reviewed: pl.Series, work: Path) -> Iterator[pl.DataFrame]:
        return map(_cleaned, completed(metadata, METADATA, reviewed, work))

    return Stream(reviews, items)


def read_metadata(metadata: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """Read metadata alone: items as `stream` gives them, reviewed or not, by asin."""
    items = pl.concat([pl.DataFrame(schema=METADATA), *metadata])
    return _cleaned(items.unique(RAW_ID, keep="first", maintain_order=True).sort(RAW_ID))


def read_reviews(path: Path, max_bad_lines: int, *, verified: bool) -> Iterator[pl.DataFrame]:
    """Read a file of JSON lines.

    Args:
        path: reviews with the keys of 2014 and 2018.
        max_bad_lines: lines that may be no JSON object.
        verified: whether the dump says who bought the item.

    Yields:
        schema.REVIEWS in the order of the file, and `verified` if asked for.

    Raises:
        RawDataError: the file is absent or damaged, a field is missing, or too many bad lines.
    """
    required = set(REVIEW_FIELDS)
    fields = REVIEW_FIELDS | ({VERIFIED: FLAG} if verified else {})
    yield pl.DataFrame(schema=REVIEWS | ({VERIFIED: pl.Boolean} if verified else {}))
    for table in records(path, fields, required, json_record, "a JSON object", max_bad_lines):
        yield table.select(
            pl.col("reviewerID").alias(USER),
            pl.col("asin").alias(ITEM),
            pl.col("unixReviewTime").alias(TIME),
            pl.col("overall").cast(REVIEWS[RATING]).alias(RATING),
            pl.lit(None, dtype=REVIEWS[PART]).alias(PART),
            *([VERIFIED] if verified else []),
        )


def _cleaned(items: pl.DataFrame) -> pl.DataFrame:
    """Tidy titles and brands, and turn empty values into nulls."""
    titles = _unescaped(_without_scraped(items[TITLE]))
    n_scraped = items[TITLE].count() - titles.count()
    if n_scraped:
        logger.info("titles: %d that are blank or scraped mark-up are left empty", n_scraped)
    stripped = pl.col(DESCRIPTION, IMAGE).str.strip_chars()
    return items.with_columns(titles, _unescaped(items[BRAND]), stripped).with_columns(
        pl.col(DESCRIPTION, IMAGE).replace("", None),
        pl.when(pl.col(CATEGORY).list.len() > 0).then(pl.col(CATEGORY)).alias(CATEGORY),
    )


def _without_scraped(titles: pl.Series) -> pl.Series:
    suspects = titles.str.contains(r"(?i)<|aPageStart|getTime").fill_null(False)
    texts = [None if SCRAPED.search(text) else text for text in titles.filter(suspects)]
    return titles.scatter(suspects.arg_true(), pl.Series(texts, dtype=pl.String))


def _unescaped(texts: pl.Series) -> pl.Series:
    escaped = texts.str.contains("&", literal=True).fill_null(False)
    plain = [html.unescape(text) for text in texts.filter(escaped)]
    whole = texts.scatter(escaped.arg_true(), pl.Series(plain, dtype=pl.String))
    return whole.str.strip_chars(SPACES).replace("", None)
