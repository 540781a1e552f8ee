"""Format `tianchi`: Tianchi 231506, Taobao clothes matching.

    user_bought_history.txt    user item yyyymmdd
    dim_items.txt              item category term,term,...    the third field may be lacking
    images/<item>.jpg          optional, or in an archive of `ARCHIVES`, in any folder of it

The files are behind a log-in, so they come from the mirror only.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.published.tianchi import ARCHIVES, HISTORY, ITEMS_TEXT, PICTURES
from pipeline.sources.lines import Batch, batches
from pipeline.sources.raw import BadLines, Tables
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
)

logger = logging.getLogger(__name__)

CATEGORY, TERMS = "category", "title_tokens"
METADATA: dict[str, Any] = {
    **RAW_ITEMS,
    CATEGORY: pl.List(pl.String),
    TERMS: pl.List(pl.String),
}
HISTORY_LINE = r"^(?<user>\S+)\s+(?<item>\S+)\s+(?<day>[0-9]{8})$"
ITEM_LINE = r"^(?<raw_id>\S+)\s+(?<category>\S+)(?:\s+(?<terms>\S+))?$"


def read(source: params.TianchiSource, folder: Path, max_bad_lines: int) -> Tables:
    """Read purchases and item features.

    Args:
        source: not needed: the files say it all.
        folder: data/raw/<dataset>.
        max_bad_lines: lines per file that may be no record.

    Returns:
        Reviews: one row per purchase in the order of the file; the day's midnight in UTC as
        time; no rating. Items: one row per bought item with `category` (list<string> of one)
        and `title_tokens` (list<string>), null where dim_items.txt has no row; `image` where
        the picture is in the raw folder, or in an archive there.

    Raises:
        RawDataError: a file is absent, damaged, or has too many bad lines.
    """
    return stream(source, folder, max_bad_lines).tables()


def stream(source: params.TianchiSource, folder: Path, max_bad_lines: int) -> Stream:
    """Return what `read` does, a batch at a time."""

    def items(reviewed: pl.Series, work: Path) -> Iterator[pl.DataFrame]:
        metadata = _metadata(folder / ITEMS_TEXT, max_bad_lines)
        pictures = _pictures(folder)
        for table in completed(metadata, METADATA, reviewed, work):
            yield _with_pictures(table, pictures)

    return Stream(_history(folder / HISTORY, max_bad_lines), items)


def _history(path: Path, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    bad, n_read = BadLines(path, max_bad_lines), 0
    yield pl.DataFrame(schema=REVIEWS)
    for batch in batches(path):
        table = _purchases(batch, bad)
        n_read += table.height
        yield table
    logger.info("%s: %d purchases, %d bad lines", path, n_read, bad.count)


def _purchases(batch: Batch, bad: BadLines) -> pl.DataFrame:
    parsed = _matched(batch, HISTORY_LINE).with_columns(
        pl.col("day").str.to_datetime("%Y%m%d", strict=False).dt.epoch("s").alias(TIME)
    )
    rows = _without_bad(parsed, TIME, bad, "`user item yyyymmdd`")
    return rows.select(
        USER,
        ITEM,
        TIME,
        pl.lit(None, dtype=REVIEWS[RATING]).alias(RATING),
        pl.lit(None, dtype=REVIEWS[PART]).alias(PART),
    )


def _metadata(path: Path, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    bad, n_read = BadLines(path, max_bad_lines), 0
    for batch in batches(path):
        table = _item_rows(batch, bad)
        n_read += table.height
        yield table
    logger.info("%s: %d items, %d bad lines", path, n_read, bad.count)


def _item_rows(batch: Batch, bad: BadLines) -> pl.DataFrame:
    parsed = _matched(batch, ITEM_LINE)
    rows = _without_bad(parsed, RAW_ID, bad, "`item category term,term,...`")
    nothing = [
        pl.lit(None, dtype=pl.String).alias(name) for name in (TITLE, DESCRIPTION, IMAGE)
    ]
    return rows.select(
        RAW_ID,
        *nothing,
        pl.concat_list(CATEGORY).alias(CATEGORY),
        pl.col("terms").str.extract_all(r"[^,]+").alias(TERMS),
    )


def _matched(batch: Batch, pattern: str) -> pl.DataFrame:
    """Return `line`, `text` and a column per named group, null where a line does not match."""
    groups = pl.col("text").str.extract_groups(pattern).alias("groups")
    return batch.table().with_columns(groups).unnest("groups")


def _without_bad(parsed: pl.DataFrame, key: str, bad: BadLines, expected: str) -> pl.DataFrame:
    for line, text in parsed.filter(pl.col(key).is_null()).select("line", "text").rows():
        bad.add(line, text, expected)
    return parsed.filter(pl.col(key).is_not_null())


def _pictures(folder: Path) -> pl.DataFrame:
    """Return the place of each item's picture: `raw_id`, `place`."""
    places = _places(folder)
    logger.info("pictures: %d files", len(places))
    return pl.DataFrame(
        {RAW_ID: list(places), "place": list(places.values())},
        schema={RAW_ID: pl.String, "place": pl.String},
    )


def _with_pictures(items: pl.DataFrame, pictures: pl.DataFrame) -> pl.DataFrame:
    found = items.join(pictures, on=RAW_ID, how="left", maintain_order="left")
    return found.with_columns(pl.coalesce("place", IMAGE).alias(IMAGE)).drop("place")


def _places(folder: Path) -> dict[str, str]:
    """Return item -> its picture below `folder`; where there are several, the first counts."""
    names = sorted(path.name for path in (folder / PICTURES).glob("*.jpg"))
    places = {Path(name).stem: f"{PICTURES}/{name}" for name in names}
    for archive in ARCHIVES:
        if (folder / archive).exists():
            for member in _members(folder / archive):
                places.setdefault(PurePosixPath(member).stem, f"{archive}/{member}")
    return places


def _members(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return [name for name in opened.namelist() if name.lower().endswith(".jpg")]
    # What is damaged makes zipfile raise also OSError, struct.error, ValueError and others.
    except Exception as error:
        raise RawDataError(
            f"{archive}: expected a zip archive of pictures, got a damaged one ({error}). Put "
            "a whole one into the mirror, and run download again"
        ) from error
