"""What the readers of raw formats share: their types, and how bad lines are counted."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.tables.schema import RAW_ID

logger = logging.getLogger(__name__)

SHOWN = 60  # characters of an offending line that a message quotes


class Tables(NamedTuple):
    """What a reader returns: `schema.REVIEWS`, and `schema.RAW_ITEMS` plus its own columns."""

    reviews: pl.DataFrame
    items: pl.DataFrame


@dataclass(slots=True)
class BadLines:
    """Counts the lines of one file that are no record, up to a limit.

    Args:
        file: the file that is read.
        limit: how many such lines are tolerated (`ingest.max_bad_lines`).
    """

    file: Path
    limit: int
    count: int = field(default=0, init=False)

    def add(self, line: int, text: str, expected: str) -> None:
        """Count a bad line; above the limit raise RawDataError naming file, line and text."""
        self.count += 1
        message = f"{self.file}:{line}: expected {expected}, got {text.strip()[:SHOWN]!r}"
        if self.count > self.limit:
            raise RawDataError(
                f"{message} (bad line {self.count} of this file; ingest.max_bad_lines allows "
                f"{self.limit}). Fetch the file again, or raise that limit"
            )
        logger.warning("%s; skipped", message)


def complete_items(reviews: pl.DataFrame, metadata: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return one row per reviewed item, in the order of `raw_id` as text.

    Args:
        reviews: `schema.REVIEWS`.
        metadata: a column `raw_id`, which may repeat (the first row counts), and others.
        key: column of `reviews` that `raw_id` refers to.

    Returns:
        The columns of `metadata`; an item without a row there has nulls, so that every
        reference of the reviews is whole.
    """
    reviewed = reviews.select(pl.col(key).unique().alias(RAW_ID))
    known = metadata.join(reviewed, on=RAW_ID, how="semi")
    first = known.unique(RAW_ID, keep="first", maintain_order=True)
    logger.info(
        "metadata: %d rows, %d of them of reviewed items, %d repeats left out; "
        "%d of %d items have no metadata",
        metadata.height,
        known.height,
        known.height - first.height,
        reviewed.height - first.height,
        reviewed.height,
    )
    return reviewed.join(first, on=RAW_ID, how="left").select(metadata.columns).sort(RAW_ID)
