"""What the readers of raw formats share: types, and the count of bad lines."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.tables.schema import RAW_ITEMS, REVIEWS

logger = logging.getLogger(__name__)

SHOWN = 60  # characters of an offending line that a message quotes


class Tables(NamedTuple):
    """A dataset: columns `schema.REVIEWS`, and `schema.RAW_ITEMS` plus those of the format."""

    reviews: pl.DataFrame
    items: pl.DataFrame


@dataclass(slots=True)
class BadLines:
    """Counts the lines of one file that are not records, up to a limit.

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
                f"{self.limit}). Download the file again, or raise that limit"
            )
        logger.warning("%s; skipped", message)

    def without(self, lines: pl.DataFrame, is_good: pl.Expr, expected: str) -> pl.DataFrame:
        """Return the good rows of `lines`, a `Batch.table`; `add` the others."""
        for line, text in lines.filter(~is_good).select("line", "text").rows():
            self.add(line, text, expected)
        return lines.filter(is_good)


def check_exists(path: Path) -> None:
    """Raise RawDataError with the command that downloads the dataset if `path` is no file."""
    if not path.is_file():
        raise RawDataError(
            f"{path}: no such file; run `python -m pipeline.download <dataset> {path.parent}` "
            "first"
        )


def empty_columns(*names: str) -> list[pl.Expr]:
    """Return columns of nulls for those of `schema.REVIEWS` and `RAW_ITEMS` without values."""
    return [pl.lit(None, dtype=(REVIEWS | RAW_ITEMS)[name]).alias(name) for name in names]
