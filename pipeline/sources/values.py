"""The values of records: the types of fields, and reading what Python's parsers return."""

from __future__ import annotations

import math
import sys
from typing import Any, TypeAlias

import polars as pl
import pyarrow as pa

Limits: TypeAlias = tuple[float, float]  # the least and the greatest value
ANY: Limits = (-sys.float_info.max, sys.float_info.max)

TEXT, NUMBER, INTEGER, TEXTS = pa.string(), pa.float64(), pa.int64(), pa.list_(pa.string())
MILLISECONDS = pa.uint64()  # since 1970; unsigned, to be another type than INTEGER
FLAG = pa.bool_()
SCALAR = pa.large_string()  # a text, a number or a flag, as text
PATHS = pa.list_(TEXTS)  # each from general to special; only the first is kept
PICTURES = pa.list_(pa.struct([(n, TEXT) for n in ("hi_res", "large", "thumb", "variant")]))
LATEST = 4102444800  # 2100-01-01 in seconds; milliseconds would be far beyond
FIRST_MILLISECOND = LATEST  # less would be a time in seconds, or in the first weeks of 1970
EXACT = 1 << 53  # whole numbers below are exact in a float
EXACT_32 = 1 << 24  # and in one of 32 bits
WORDS = {
    TEXT: "text",
    NUMBER: "a number",
    INTEGER: "a time in seconds since 1970",
    MILLISECONDS: "a time in milliseconds since 1970",
}
FLAGS = dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True)
FLAGS |= dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False)


def is_understood(value: Any, kind: pa.DataType, found: Any) -> bool:
    """Return whether a value was read, or was absent: null, or an empty text or list.

    Args:
        value: as the parser returned it.
        kind: of the field.
        found: what `read` made of it.
    """
    if not isinstance(value, list):
        return found is not None or value is None or value == ""
    n_filled = sum(part not in (None, "", []) for part in value)
    return len(found or []) >= (n_filled if kind == TEXTS else min(n_filled, 1))


def scalar_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column of scalars as text; whole numbers have no point: 17.0 is 17.

    A float from `EXACT` on has a fraction or an exponent. Bytes that are not UTF-8 are null.
    """
    column = pl.col(name)
    if dtype == pl.Binary:
        return column.map_batches(_decoded, return_dtype=pl.String)
    if not dtype.is_float():
        return column.cast(pl.String, strict=False)
    whole = column.cast(pl.Int64, strict=False)
    is_whole = (whole.cast(pl.Float64) == column) & (
        column.abs() < (EXACT if dtype == pl.Float64 else EXACT_32)
    )
    return pl.when(is_whole).then(whole.cast(pl.String)).otherwise(column.cast(pl.String))


def _decoded(texts: pl.Series) -> pl.Series:
    try:
        return texts.cast(pl.String)
    except pl.exceptions.ComputeError:
        found = [None if text is None else _utf8(text) for text in texts]
        return pl.Series(texts.name, found, pl.String)


def _utf8(text: bytes) -> str | None:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None


def is_scalar(value: Any) -> bool:
    """Return whether a value is null or a SCALAR whose text is the value itself."""
    if isinstance(value, float):
        return abs(value) < EXACT  # false for NaN
    return value is None or isinstance(value, str | int)


def read(value: Any, kind: pa.DataType, limits: Limits = ANY) -> Any:
    """Return `value` as a field's type, or None where it is of another one or out of range."""
    if kind == PATHS:
        return _paths(value)
    if kind == TEXTS:
        return _texts(value)
    if kind == TEXT:
        return _text(value) or None
    if kind == PICTURES:
        return _pictures(value)
    if kind == FLAG:
        return FLAGS.get(str(value).strip().lower())
    if kind == SCALAR:
        return _scalar(value)
    return _number(value, kind, limits)


def _number(value: Any, kind: pa.DataType, limits: Limits) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not limits[0] <= value <= limits[1]:
        return None
    if kind == NUMBER:
        return float(value)
    return int(value) if float(value).is_integer() else None


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < EXACT else repr(value)
    return str(value) if isinstance(value, int) else _text(value) or None


def _paths(value: Any) -> list[list[str] | None] | None:
    is_list = isinstance(value, list) and value
    if is_list and value[0] is None and not any(isinstance(v, str) for v in value):
        return [None]  # a null first path, as Arrow reads it
    first = value[0] if is_list and isinstance(value[0], list) else value
    texts = _texts(first)
    return None if texts is None else [texts] if value else []


def _texts(value: Any) -> list[str] | None:
    values = [value] if isinstance(value, str) else value
    return [text for v in values if (text := _text(v))] if isinstance(values, list) else None


def _pictures(value: Any) -> list[dict[str, str | None]] | None:
    names = [field.name for field in PICTURES.value_type]
    rows = value if isinstance(value, list) else []
    return [{n: _text(row.get(n)) for n in names} for row in rows if isinstance(row, dict)]


def _text(value: Any) -> str | None:
    # Half of a surrogate pair is legal in JSON and in Python, but not in UTF-8.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
