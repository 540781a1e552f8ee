"""Columns of the user's own tables, as Polars expressions: ids, texts, numbers, times.

Used by the format `tables`. CSV and JSON lines have text, Parquet has types. A value that
cannot be parsed becomes null, which the caller counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.sources.raw import check_exists, empty_columns
from pipeline.sources.records import LATEST
from pipeline.tables.schema import RATING, RAW_ITEMS, REVIEWS, TIME, VERIFIED

SEPARATORS = {".csv": ",", ".tsv": "\t"}
YES, NO = ["true", "1", "yes"], ["false", "0", "no"]
# After the T and the Z of ISO 8601 have become a space and +00:00.
ISO_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
Names = Mapping[str, str | None]  # our name of a column -> the file's, None if it has none


def scan(path: Path, wanted: Names) -> pl.LazyFrame:
    """Return the wanted columns that a file has, by our names, without reading the rows.

    Args:
        path: .csv, .tsv, .jsonl (each also as .gz) or .parquet.
        wanted: the columns.

    Raises:
        RawDataError: the file does not exist, is not of its format, or lacks a column.
    """
    check_exists(path)
    names = {ours: theirs for ours, theirs in wanted.items() if theirs is not None}
    try:
        table = _scan(path, list(names.values()))
        present = table.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error
    for ours, theirs in names.items():
        if theirs not in present:
            key = f"columns.{ours}" if ours in (*REVIEWS, VERIFIED, *RAW_ITEMS) else "fields"
            raise RawDataError(
                f"{path}: expected a column {theirs!r}, which sources.{path.parent.name}.{key} "
                f"names, got {present}; name another one in params.yaml"
            )
    return table.select(pl.col(theirs).alias(ours) for ours, theirs in names.items())


def collect(rows: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """Read the rows of `path`; RawDataError if the file is damaged."""
    try:
        return rows.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error


def identifier(name: str, schema: pl.Schema, path: Path, wanted: Names) -> pl.Expr:
    """Return ids as text without surrounding spaces; null if empty.

    Raises:
        RawDataError: the column has neither text nor whole numbers.
    """
    if not (schema[name].is_integer() or schema[name] == pl.String):
        raise RawDataError(
            f"{path}: expected column {wanted[name]!r} to hold ids, as text or as whole "
            f"numbers, got {schema[name]}; write the file again"
        )
    return stripped(name).alias(name)


def text(name: str, schema: pl.Schema, path: Path, wanted: Names) -> pl.Expr:
    """Return text without surrounding spaces; in columns of `fields` also lists of text.

    Raises:
        RawDataError: the column has another type.
    """
    if name not in schema:
        return empty_columns(name)[0]
    kind = schema[name]
    if kind == pl.List(pl.String) and name not in RAW_ITEMS:
        return pl.col(name).list.eval(pl.element().filter(pl.element() != ""))
    if kind.is_nested() or kind == pl.Binary:
        raise RawDataError(
            f"{path}: expected column {wanted[name]!r} to be text, got {kind}; write the file "
            "again, or leave the column out of params.yaml"
        )
    return stripped(name).alias(name)


def stripped(name: str) -> pl.Expr:
    """Return a column as text without surrounding spaces; null if empty."""
    value = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(value != "").then(value)


def rating(schema: pl.Schema) -> pl.Expr:
    """Return finite numbers, else null."""
    if RATING not in schema:
        return empty_columns(RATING)[0]
    number = stripped(RATING).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number).cast(REVIEWS[RATING]).alias(RATING)


def verified(schema: pl.Schema) -> pl.Expr:
    """Return True for the words `YES`, False for `NO`, else null."""
    if VERIFIED not in schema:
        return pl.lit(None, dtype=pl.Boolean).alias(VERIFIED)
    word = stripped(VERIFIED).str.to_lowercase()
    return pl.when(word.is_in(YES)).then(True).when(word.is_in(NO)).then(False).alias(VERIFIED)


def seconds(schema: pl.Schema, unit: Literal["s", "ms", "iso"], path: Path) -> pl.Expr:
    """Return whole seconds since 1970, UTC; null without a time, or for one from 2100 on.

    Args:
        schema: of the table.
        unit: of the column; a time without a zone is in UTC.
        path: the file, for the message.

    Raises:
        RawDataError: the column has dates where `unit` promises numbers.
    """
    if TIME not in schema:
        return empty_columns(TIME)[0]
    if schema[TIME].is_temporal() and unit != "iso":
        raise RawDataError(
            f"{path}: expected column {TIME!r} to hold numbers, since `time` is {unit}, got "
            f"{schema[TIME]}; write `time: iso` in params.yaml"
        )
    if schema[TIME].is_temporal():
        time = pl.col(TIME).cast(pl.Datetime("ms")).dt.epoch("s")
    elif unit == "iso":
        time = _iso(stripped(TIME)).dt.epoch("s")
    else:
        number = stripped(TIME).cast(pl.Float64, strict=False)
        whole = (number / (1000 if unit == "ms" else 1)).floor()
        time = whole.cast(pl.Int64, strict=False)
    return pl.when((time > -LATEST) & (time < LATEST)).then(time).alias(TIME)


def _iso(time: pl.Expr) -> pl.Expr:
    normal = (
        time.str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "${1} ")
        .str.replace(r"[Zz]$", "+00:00")
        .str.replace(r"(:\d\d(?:\.\d+)?[+-]\d\d)(\d\d)$", "${1}:${2}")
    )
    options: dict[str, Any] = {"strict": False, "time_zone": "UTC", "time_unit": "ms"}
    return pl.coalesce(normal.str.to_datetime(form, **options) for form in ISO_FORMATS)


def _scan(path: Path, names: list[str]) -> pl.LazyFrame:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix == ".parquet":
        return pl.scan_parquet(path, glob=False, hive_partitioning=False)
    if suffix == ".jsonl":
        # Text whatever a record has, or 1 and "1" would be two users.
        return pl.scan_ndjson(path, schema=dict.fromkeys(names, pl.String))
    return pl.scan_csv(path, separator=SEPARATORS[suffix], infer_schema=False, glob=False)


def _unreadable(path: Path, error: Exception) -> RawDataError:
    message = str(error).strip().split("\n")[0]
    return RawDataError(
        f"{path}: expected a whole file of the format that its name says, in UTF-8, got: "
        f"{message}. Write the file again, or name another one in params.yaml"
    )
