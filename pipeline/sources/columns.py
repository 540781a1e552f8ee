"""Columns of the user's own tables: ids, texts, numbers, flags, times.

Used by the format `tables`. CSV and JSON lines have text, Parquet has types. A value that
cannot be used becomes null, which the caller counts.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.sources.values import FLAGS, LATEST, scalar_text
from pipeline.tables.schema import RATING, REVIEWS, TEST, TIME, TRAIN, VALIDATION, VERIFIED

TEXTS = (pl.String, pl.Categorical, pl.Enum, pl.Binary, pl.Null)
# What programs write where there is no value.
NOTHING = ["nan", "NaN", "NAN", "null", "NULL", "Null", "none", "None", "NONE", "\\N", "<NA>"]
# What is left of a whole number that was a float for a while; 007.0 and 1.10 are texts.
WHOLE_FLOAT = r"^(-?(?:0|[1-9][0-9]{0,15}))\.0$"
# After the T and the Z of ISO 8601 have become a space and +00:00.
ISO_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
ISO = re.compile(r"\d{4}(-?\d\d-?\d\d|-?W\d\d-?\d)([Tt ]\S.*)?", re.ASCII)  # other forms
PARTS = {"0": TRAIN, "1": VALIDATION, "2": TEST}
LABEL = "0 (train), 1 (validation) or 2 (test)"
Unit = Literal["s", "ms", "iso"]


def stripped(name: str, dtype: Any) -> pl.Expr:
    """Return a column as text without surrounding spaces; null if empty.

    Whole numbers have no point, whatever their type: 17.0 is 17.
    """
    value = scalar_text(name, dtype).str.strip_chars()
    if isinstance(dtype, pl.Decimal):
        value = value.str.replace(r"\.0+$", "")
    return pl.when(value != "").then(value).alias(name)


def check_text(name: str, dtype: Any, path: Path, *, is_list: bool) -> None:
    """Raise RawDataError unless a column has values that `stripped` reads, or lists of text."""
    is_texts = isinstance(dtype, pl.List) and isinstance(dtype.inner, TEXTS)
    if not (is_list and is_texts) and (dtype.is_nested() or dtype == pl.Duration):
        raise RawDataError(
            f"{path}: expected column {name!r} to be text, got {dtype}; write the file again, "
            "or leave the column out of params.yaml"
        )


def check_ids(name: str, dtype: Any, path: Path) -> None:
    """Raise RawDataError unless a column has text or numbers."""
    if not (dtype.is_numeric() or isinstance(dtype, TEXTS)):
        raise RawDataError(
            f"{path}: expected column {name!r} to hold ids, as text or as whole numbers, got "
            f"{dtype}; write the file again"
        )


def check_scalars(name: str, dtype: Any, path: Path) -> None:
    """Raise RawDataError unless a column has a number, a flag, a text or a date in each row."""
    if dtype.is_nested() or dtype in (pl.Time, pl.Duration):
        raise RawDataError(
            f"{path}: expected column {name!r} to hold one number, text or date in each row, "
            f"got {dtype}; write the file again, or name another column in params.yaml"
        )


def check_times(name: str, dtype: Any, path: Path, unit: Unit) -> None:
    """Raise RawDataError if a column has dates where `unit` wants numbers, or rounded times."""
    if dtype == pl.Float32:
        raise RawDataError(
            f"{path}: expected column {name!r} to hold times, got {dtype}, which rounds them "
            "to minutes; write the file again, with 64 bits"
        )
    if dtype.is_temporal() and unit != "iso":
        raise RawDataError(
            f"{path}: expected column {name!r} to hold numbers, since `time` is {unit}, got "
            f"{dtype}; write `time: iso` in params.yaml"
        )


def identifiers(texts: pl.Series, dtype: Any) -> pl.Series:
    """Return ids; null where there is none.

    Whole numbers lose the point that another program gave them, so that 17.0 meets 17.

    Args:
        texts: the column as `stripped` returns it.
        dtype: of the column in the file.
    """
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        return _where(texts.str.contains(r"^-?[0-9]+$"), texts)
    if texts.str.ends_with(".0").any():
        texts = texts.str.replace(WHOLE_FLOAT, "${1}")
    nothing = texts.is_in(NOTHING)
    return _where(~nothing, texts) if nothing.any() else texts


def ratings(texts: pl.Series) -> pl.Series:
    """Return finite numbers, else null."""
    numbers = texts.cast(pl.Float64, strict=False)
    return _where(numbers.is_finite(), numbers).cast(REVIEWS[RATING]).alias(RATING)


def flags(texts: pl.Series) -> pl.Series:
    """Return True and False for the words of `FLAGS` in any case, else null."""
    words = texts.str.to_lowercase()
    return words.replace_strict(FLAGS, default=None, return_dtype=pl.Boolean).alias(VERIFIED)


def parts(texts: pl.Series) -> pl.Series:
    """Return train, validation and test for 0, 1 and 2, also as 0.0; else null."""
    labels = texts.str.replace(WHOLE_FLOAT, "${1}")
    return labels.replace_strict(PARTS, default=None, return_dtype=pl.String)


def seconds(values: pl.Series, unit: Unit) -> pl.Series:
    """Return whole seconds since 1970, UTC; null without a time, before 1970 or from 2100 on.

    Args:
        values: a column of times, or of text as `stripped` returns it.
        unit: of the column; a time without a zone is in UTC.
    """
    if values.dtype.is_temporal():
        times = values.cast(pl.Datetime("ms")).dt.epoch("s")
    elif unit == "iso":
        times = _iso(values)
    else:
        numbers = values.cast(pl.Float64, strict=False)
        whole = (numbers / (1000 if unit == "ms" else 1)).floor()
        times = whole.cast(pl.Int64, strict=False)
    return _where(times.is_between(0, LATEST - 1), times).alias(TIME)


def time_hint(text: str, unit: Unit, key: str) -> str:
    """Return how to mend a time that is not in its unit; `key` is that of `time`."""
    number = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text) else None
    fits = "iso" if ISO.fullmatch(text) else None
    if number is not None and unit != "iso" and number >= LATEST:
        fits = "ms" if unit == "s" and number < LATEST * 1000 else None
    elif number is not None and fits is None:
        fits = "s" if number < LATEST else "ms" if number < LATEST * 1000 else None
    if fits in (None, unit):
        return f"`{key}` is {unit}: write the times in that unit, or mend the file"
    return f"`{key}` is {unit}, and the value looks like {fits}: write `time: {fits}`"


def _where(keep: pl.Series, values: pl.Series) -> pl.Series:
    """Return the values that are kept, else null."""
    return pl.select(pl.when(keep).then(values).alias(values.name)).to_series()


def _iso(texts: pl.Series) -> pl.Series:
    """Return the seconds of dates and times in ISO 8601, in its extended and basic forms."""
    time = pl.col(texts.name)
    normal = (
        time.str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "${1} ")
        .str.replace(r"[Zz]$", "+00:00")
        .str.replace(r"(:\d\d(?:\.\d+)?[+-]\d\d)(\d\d)$", "${1}:${2}")
    )
    options: dict[str, Any] = {"strict": False, "time_zone": "UTC", "time_unit": "ms"}
    forms = pl.coalesce(normal.str.to_datetime(form, **options) for form in ISO_FORMATS)
    times = texts.to_frame().select(forms.dt.epoch("s")).to_series()
    rest = times.is_null() & texts.is_not_null()
    if not rest.any():
        return times
    distinct = {text: _python_iso(text) for text in texts.filter(rest).unique()}
    others = texts.filter(rest).replace_strict(distinct, return_dtype=pl.Int64)
    return times.scatter(rest.arg_true(), others)


def _python_iso(text: str) -> int | None:
    if not ISO.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return int(aware.timestamp() // 1)
