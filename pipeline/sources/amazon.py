"""What the Amazon dumps share: the reviews of 2014 and 2018, and the cleaning of items.

Reviews of 2014 and 2018 are JSON lines with the same keys. Metadata differ.
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.sources.raw import Ledger, empty_columns
from pipeline.sources.records import RecordFormat, records
from pipeline.sources.stream import Stream, completed
from pipeline.sources.values import FLAG, INTEGER, NUMBER, TEXT
from pipeline.tables import schema as s

logger = logging.getLogger(__name__)

REVIEW_FIELDS = {
    "reviewerID": TEXT,
    "asin": TEXT,  # text even when it is all digits
    "overall": NUMBER,  # stars
    "unixReviewTime": INTEGER,  # seconds
}
STARS = (1.0, 5.0)  # the least and the greatest rating
BRAND, CATEGORY = "brand", "category"
METADATA: dict[str, Any] = {
    **s.RAW_ITEMS,
    BRAND: pl.String,
    CATEGORY: pl.List(pl.String),
}
# Some pages of the 2018 crawl have scripts and mark-up in place of a title.
SCRAPED = re.compile(r"aPageStart|getTime\(\s*\)|<\s*/?\s*(?:span|script|style|div)\b", re.I)
SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace())  # of Unicode


def stream(
    reviews: Iterator[pl.DataFrame], metadata: Iterator[pl.DataFrame], ledger: Ledger
) -> Stream:
    """Return reviews with the metadata of the items in them.

    Args:
        reviews: schema.REVIEWS, and perhaps `verified`.
        metadata: tables with the columns `METADATA`, in the order of the file.
        ledger: of the files.

    Returns:
        Items have unique asins in ascending order, and nulls where there is no metadata.
        Reading raises RawDataError if a file does not exist or is damaged, lacks a field, or
        has too many bad lines.
    """

    def items(reviewed: pl.Series, work: Path) -> Iterator[pl.DataFrame]:
        return map(_cleaned, completed(metadata, METADATA, reviewed, work, ledger))

    return Stream(reviews, items)


def read_metadata(metadata: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """Return all items of the metadata, reviewed or not, in the form of `stream`."""
    items = pl.concat([pl.DataFrame(schema=METADATA), *metadata])
    return _cleaned(items.unique(s.RAW_ID, keep="first", maintain_order=True).sort(s.RAW_ID))


def read_reviews(path: Path, ledger: Ledger, *, verified: bool) -> Iterator[pl.DataFrame]:
    """Read the reviews of 2014, or those of 2018, which mark verified purchases.

    Yields:
        schema.REVIEWS in the order of the file, and `verified` if asked for.

    Raises:
        RawDataError: the file does not exist or is damaged, or has too many bad lines: records
            without one of the four fields, or with another number of stars than 1 to 5.
    """
    fields = REVIEW_FIELDS | ({s.VERIFIED: FLAG} if verified else {})
    yield pl.DataFrame(schema=s.REVIEWS | ({s.VERIFIED: pl.Boolean} if verified else {}))
    form = RecordFormat(fields, set(REVIEW_FIELDS), ranges={"overall": STARS})
    names = dict(zip(REVIEW_FIELDS, (s.USER, s.ITEM, s.RATING, s.TIME), strict=True))
    for table in records(ledger.of(path), form):
        yield as_reviews(table.rename(names))


def as_reviews(rows: pl.DataFrame) -> pl.DataFrame:
    """Return schema.REVIEWS of rows with all of its columns except `part`, and `verified`."""
    verified = [s.VERIFIED] if s.VERIFIED in rows.columns else []
    rating = pl.col(s.RATING).cast(s.REVIEWS[s.RATING])
    return rows.select(s.USER, s.ITEM, s.TIME, rating, *empty_columns(s.PART), *verified)


def _cleaned(items: pl.DataFrame) -> pl.DataFrame:
    """Clean titles and brands, and turn empty values into nulls."""
    titles = _unescaped(_changed(items[s.TITLE], r"(?i)<|aPageStart|getTime", _without_scraped))
    n_scraped = items[s.TITLE].count() - titles.count()
    if n_scraped:
        logger.info("titles: %d are blank or scraped mark-up, and become nulls", n_scraped)
    stripped = pl.col(s.DESCRIPTION, s.IMAGE).str.strip_chars()
    return items.with_columns(titles, _unescaped(items[BRAND]), stripped).with_columns(
        pl.col(s.DESCRIPTION, s.IMAGE).replace("", None),
        pl.when(pl.col(CATEGORY).list.len() > 0).then(pl.col(CATEGORY)).alias(CATEGORY),
    )


def _without_scraped(title: str) -> str | None:
    return None if SCRAPED.search(title) else title


def _unescaped(texts: pl.Series) -> pl.Series:
    return _changed(texts, "&", html.unescape).str.strip_chars(SPACES).replace("", None)


def _changed(texts: pl.Series, pattern: str, change: Callable[[str], str | None]) -> pl.Series:
    """Apply a Python function to the texts that match `pattern`."""
    matches = texts.str.contains(pattern).fill_null(False)
    changed = pl.Series([change(text) for text in texts.filter(matches)], dtype=pl.String)
    return texts.scatter(matches.arg_true(), changed)
