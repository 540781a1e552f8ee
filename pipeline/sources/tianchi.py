"""Format `tianchi`: Tianchi 231506, Taobao clothes matching.

    user_bought_history.txt    user item yyyymmdd
    dim_items.txt              item category term,term,...    the third field may be missing
    images/<item>.jpg          optional; or in any folder of one of the `ARCHIVES`

The files are behind a log-in, so they come from the mirror only.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.published.tianchi import ARCHIVES, HISTORY, ITEMS_TEXT, PICTURES
from pipeline.sources.lines import Batch, parsed
from pipeline.sources.raw import FileCounts, Ledger, Tables, empty_columns
from pipeline.sources.stream import Stream, completed
from pipeline.sources.values import LATEST
from pipeline.tables import schema as s

logger = logging.getLogger(__name__)

CATEGORY, TERMS = "category", "title_tokens"
METADATA: dict[str, Any] = {
    **s.RAW_ITEMS,
    CATEGORY: pl.List(pl.String),
    TERMS: pl.List(pl.String),
}
HISTORY_LINE = r"^(?<user>\S+)\s+(?<item>\S+)\s+(?<day>[0-9]{8})$"
ITEM_LINE = r"^(?<raw_id>\S+)\s+(?<category>\S+)(?:\s+(?<terms>\S+))?$"


def read(source: params.TianchiSource, folder: Path, ledger: Ledger) -> Tables:
    """Read purchases and item features; the arguments are those of every `Reader`.

    Returns:
        Reviews: one row per purchase in the order of the file; time is the day's midnight in
        UTC; rating is null. Items: one row per purchased item with `category` (list<string> of
        length 1) and `title_tokens` (list<string>), null where dim_items.txt has no row;
        `image` where the raw folder or an archive in it has the picture.

    Raises:
        RawDataError: a file does not exist, is damaged, or has too many bad lines.
    """
    return stream(source, folder, ledger).tables()


def stream(source: params.TianchiSource, folder: Path, ledger: Ledger) -> Stream:
    """Read the same as `read`, one batch at a time."""

    def items(reviewed: pl.Series, work: Path) -> Iterator[pl.DataFrame]:
        metadata = parsed(ledger.of(folder / ITEMS_TEXT), _item_rows)
        pictures = _pictures(folder)
        for table in completed(metadata, METADATA, reviewed, work, ledger):
            yield _with_pictures(table, pictures)

    empty = pl.DataFrame(schema=s.REVIEWS)
    purchases = parsed(ledger.of(folder / HISTORY), _purchases)
    return Stream(chain([empty], purchases), items)


def _purchases(batch: Batch, counts: FileCounts) -> pl.DataFrame:
    day = pl.col("day").str.to_datetime("%Y%m%d", strict=False).dt.epoch("s")
    lines = batch.matched(HISTORY_LINE).with_columns(day.alias(s.TIME))
    is_time = pl.col(s.TIME).is_between(0, LATEST - 1).fill_null(False)
    rows = counts.without(lines, is_time, "`user item yyyymmdd`")
    return rows.select(s.USER, s.ITEM, s.TIME, *empty_columns(s.RATING, s.PART))


def _item_rows(batch: Batch, counts: FileCounts) -> pl.DataFrame:
    lines = batch.matched(ITEM_LINE)
    rows = counts.without(
        lines, pl.col(s.RAW_ID).is_not_null(), "`item category term,term,...`"
    )
    return rows.select(
        s.RAW_ID,
        *empty_columns(s.TITLE, s.DESCRIPTION, s.IMAGE),
        pl.concat_list(CATEGORY).alias(CATEGORY),
        pl.col("terms").str.extract_all(r"[^,]+").alias(TERMS),
    )


def _pictures(folder: Path) -> pl.DataFrame:
    """Return the path of each item's picture below `folder`: `raw_id`, `path`."""
    names = sorted(path.name for path in (folder / PICTURES).glob("*.jpg"))
    paths = {Path(name).stem: f"{PICTURES}/{name}" for name in names}
    for archive in ARCHIVES:
        if (folder / archive).exists():
            for member in _members(folder / archive):
                paths.setdefault(PurePosixPath(member).stem, f"{archive}/{member}")
    logger.info("pictures: %d files", len(paths))
    schema = {s.RAW_ID: pl.String, "path": pl.String}
    return pl.DataFrame({s.RAW_ID: list(paths), "path": list(paths.values())}, schema=schema)


def _with_pictures(items: pl.DataFrame, pictures: pl.DataFrame) -> pl.DataFrame:
    joined = items.join(pictures, on=s.RAW_ID, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("path", s.IMAGE).alias(s.IMAGE)).drop("path")


def _members(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return [name for name in opened.namelist() if name.lower().endswith(".jpg")]
    # On damaged archives zipfile also raises OSError, struct.error, ValueError and others.
    except Exception as error:
        raise RawDataError(
            f"{archive}: expected a zip archive of pictures, got a damaged one ({error}). Put "
            "a whole one into the mirror and run download again"
        ) from error
