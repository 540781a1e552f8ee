"""What the readers of raw formats share: types, and the count of what was read and was not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.tables.schema import RAW_ITEMS, REVIEWS

logger = logging.getLogger(__name__)

SHOWN = 60  # characters of an offending line that a message quotes
EXAMPLES = 3  # values that a message quotes
REPLACED = "\ufffd"  # what stands in a text for bytes that are not UTF-8
AGAIN = "Download the file again"
OWN = "Mend the file"  # instead of `AGAIN`, for a file of the user


class Tables(NamedTuple):
    """A dataset: columns `schema.REVIEWS`, and `schema.RAW_ITEMS` plus those of the format."""

    reviews: pl.DataFrame
    items: pl.DataFrame


@dataclass(slots=True)
class Unclear:
    """The values of a field that were there and could not be used."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class FileCounts:
    """What was read of one file, and what could not be, up to a limit each.

    Every record is a row or a bad line; a row may have values that were not understood, which
    are null. A value that is absent is neither.

    Args:
        file: the file that is read.
        limits: section `ingest` of params.yaml.
        mend: what a message advises.
    """

    file: Path
    limits: params.Ingest
    mend: str = AGAIN
    n_rows: int = field(default=0, init=False)
    n_bad: int = field(default=0, init=False)
    filled: dict[str, int] = field(default_factory=dict, init=False)  # values, by field
    unclear: dict[str, Unclear] = field(default_factory=dict, init=False)

    def add(self, line: int, got: str, expected: str, hint: str = "", n_lines: int = 1) -> None:
        """Count a bad line, or a record over several lines.

        Args:
            line: number of the (first) line, from 1; of the row in Parquet.
            got: the value or the line, as `quoted` returns it.
            expected: what should be there.
            hint: another mend, for the message.
            n_lines: how many lines the record has.

        Raises:
            RawDataError: there are more than the limit.
        """
        self.n_bad += n_lines
        message = f"{self.file}:{line}: expected {expected}, got {got}"
        if self.n_bad > self.limits.max_bad_lines:
            raise RawDataError(
                f"{message} (bad line {self.n_bad} of this file; ingest.max_bad_lines allows "
                f"{self.limits.max_bad_lines}). {hint or self.mend}, or raise that limit"
            )
        logger.warning("%s; skipped", message)

    def reject(self, line: int, got: str, expected: str, hint: str = "") -> None:
        """Count a row as a bad line after all; see `add`."""
        self.n_rows -= 1
        self.add(line, got, expected, hint)

    def without(self, lines: pl.DataFrame, is_good: pl.Expr, expected: str) -> pl.DataFrame:
        """Return the good rows of `lines`, a `Batch.table`; `add` the others."""
        is_good = is_good & ~pl.col("text").str.contains(REPLACED, literal=True)
        for line, text in lines.filter(~is_good).select("line", "text").rows():
            self.add(line, quoted(text), expected)
        return lines.filter(is_good)

    def present(self, values: Mapping[str, int]) -> None:
        """Count the values of fields that were there, understood or not."""
        for name, count in values.items():
            self.filled[name] = self.filled.get(name, 0) + count

    def not_understood(self, name: str, values: Sequence[tuple[int, object]]) -> None:
        """Count values, `(line, value)`, among those `present` that could not be used."""
        unclear = self.unclear.setdefault(name, Unclear())
        unclear.count += len(values)
        shown = values[: EXAMPLES - len(unclear.examples)]
        unclear.examples += [f"{quoted(value)} in line {line}" for line, value in shown]

    def finish(self, n_records: int) -> None:
        """Log the counts, once the file has been read.

        Args:
            n_records: the records that were seen, counted apart from the rows.

        Raises:
            RawDataError: one of them is neither a row nor a bad line, or more than the limit of
                a field's values were not understood.
        """
        if n_records != self.n_rows + self.n_bad:
            raise RawDataError(
                f"{self.file}: expected each of {n_records:,} records to be a row or a bad "
                f"line, got {self.n_rows:,} rows and {self.n_bad:,} bad lines. The reader is "
                "wrong: please report it"
            )
        logger.info("%s: %d records, %d bad lines", self.file, self.n_rows, self.n_bad)
        for name, unclear in self.unclear.items():
            message = (
                f"{self.file}: {name}: {unclear.count:,} of {self.filled[name]:,} values were "
                f"not understood, such as {', '.join(unclear.examples)}"
            )
            if unclear.count > self.limits.max_not_understood * self.filled[name]:
                raise RawDataError(
                    f"{message}; ingest.max_not_understood allows a share of "
                    f"{self.limits.max_not_understood:g}. {self.mend}, or raise that limit: "
                    "such a value counts as absent"
                )
            logger.warning("%s; they count as absent", message)

    def summary(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        return {
            "records": self.n_rows + self.n_bad,
            "rows": self.n_rows,
            "bad_lines": self.n_bad,
            "not_understood": {name: unclear.count for name, unclear in self.unclear.items()},
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """The counts of the files of a dataset, in the order in which they are read.

    Args:
        limits: section `ingest` of params.yaml.
    """

    limits: params.Ingest
    files: list[FileCounts] = field(default_factory=list, init=False)

    def of(self, path: Path, mend: str = AGAIN) -> FileCounts:
        """Return the counts of another file."""
        self.files.append(FileCounts(path, self.limits, mend))
        return self.files[-1]


def quoted(value: object) -> str:
    """Return the start of a line or of a value, for a message."""
    if isinstance(value, str):
        return repr(value.strip()[:SHOWN])
    return f"{value!r:.{SHOWN}}"


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
