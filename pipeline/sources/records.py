"""Records, one a line, as tables of the fields that somebody asked for.

JSON is parsed in bulk by Arrow, which is strict about types; a batch that it refuses is read
again line by line, to find the offender and to let through what is only unusual.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.json

from pipeline.job.errors import RawDataError
from pipeline.sources import read_ahead
from pipeline.sources.lines import Batch, batches
from pipeline.sources.raw import SHOWN, BadLines

logger = logging.getLogger(__name__)

Fields = Mapping[str, pa.DataType]
Parse = Callable[[str], Any]  # a line -> the record in it, or one of UNREADABLE
AsJson = Callable[[Batch], Batch]
Bulk = Callable[[Batch], pl.DataFrame | None]  # None: a line needs a closer look
Slow = Callable[[Batch], pl.DataFrame]
N_THREADS = 2  # that parse, beside one that unpacks
PIECE = 1 << 16  # bytes of text below which lines are read one by one

TEXT, NUMBER, INTEGER, TEXTS = pa.string(), pa.float64(), pa.int64(), pa.list_(pa.string())
MILLISECONDS = pa.uint64()  # since 1970; unsigned, so that it is another type than INTEGER
FLAG = pa.bool_()
PATHS = pa.list_(TEXTS)  # from general to special each; read as the first alone
PICTURES = pa.list_(pa.struct([(n, TEXT) for n in ("hi_res", "large", "thumb", "variant")]))
# What a parser raises. The last two come from brackets that are nested without end.
UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
LATEST = 4102444800  # 2100-01-01 in seconds; milliseconds would be far beyond


def records(
    path: Path,
    fields: Fields,
    required: set[str],
    parse: Parse,
    expected: str,
    limit: int,
    as_json: AsJson | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the records of a file as tables, one for each batch of lines.

    Args:
        path: one record a line.
        fields: the keys to keep; all others are ignored, an absent one gives null.
        required: keys that every record must have.
        parse: how a single line is read.
        expected: what a line should be, for messages.
        limit: lines that may be no record.
        as_json: turns a batch into JSON lines of the same records, some perhaps into what is
            no JSON; those are then read by `parse`. Without it, lines are JSON already.

    Raises:
        RawDataError: more bad lines than `limit`, or a required field is missing or of
            another type.
    """
    bad, n_read = BadLines(path, limit), 0

    def in_bulk(batch: Batch) -> pl.DataFrame | None:
        return _in_bulk(as_json(batch) if as_json else batch, fields, required)

    def line_by_line(batch: Batch) -> pl.DataFrame:
        return _line_by_line(batch, fields, required, parse, expected, bad)

    for batch, table in read_ahead.mapped(in_bulk, batches(path), N_THREADS):
        pieces = [table] if table is not None else _piecewise(batch, in_bulk, line_by_line)
        for piece in pieces:
            n_read += piece.height
            yield piece
    logger.info("%s: %d records, %d bad lines", path, n_read, bad.count)


def _piecewise(batch: Batch, in_bulk: Bulk, line_by_line: Slow) -> Iterator[pl.DataFrame]:
    """Read in bulk what can be, so that odd lines cost no more than their neighbours' time."""
    for half in batch.halves():
        if not half.text.strip():
            continue
        table = in_bulk(half)
        if table is not None:
            yield table
        elif len(half.text) <= PIECE or half.text == batch.text:
            yield line_by_line(half)
        else:
            yield from _piecewise(half, in_bulk, line_by_line)


def json_record(line: str) -> Any:
    """Return the JSON value in a line; ValueError if there is none."""
    return json.loads(line, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _in_bulk(batch: Batch, fields: Fields, required: set[str]) -> pl.DataFrame | None:
    """Return the batch's records, or None if any line needs a closer look."""
    n_objects = batch.n_objects()
    if n_objects is None:
        return None
    try:
        if not batch.text.isascii():
            batch.text.decode("utf-8")  # Arrow's reader does not check
        table = pyarrow.json.read_json(
            pa.BufferReader(batch.text),
            read_options=pyarrow.json.ReadOptions(
                block_size=len(batch.text) + 1, use_threads=False
            ),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=pa.schema(list(fields.items())),
                unexpected_field_behavior="ignore",
            ),
        )
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    if table.num_rows != n_objects:
        return None
    frame = _without_empty(pl.DataFrame(pl.from_arrow(table)).select(list(fields)))
    return frame if _has_values(frame, required) else None


def _without_empty(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn empty texts into nulls, and leave them out of lists."""
    some = pl.element().filter(pl.element() != "")
    return frame.with_columns(
        pl.col(pl.String).replace("", None), pl.col(pl.List(pl.String)).list.eval(some)
    )


def _has_values(frame: pl.DataFrame, required: set[str]) -> bool:
    """Tell whether every required field is there and every number is plausible."""
    there = [pl.col(name).is_not_null() for name in required]
    numbers = [
        _is_plausible(pl.col(n), 1000 if kind == pl.UInt64 else 1)
        for n, kind in frame.schema.items()
        if kind.is_numeric()
    ]
    return bool(frame.select(pl.all_horizontal(*there, *numbers).all()).item())


def _is_plausible(value: Any, unit: int = 1) -> Any:
    return (value > -LATEST) & (value < LATEST * unit)


def _line_by_line(
    batch: Batch,
    fields: Fields,
    required: set[str],
    parse: Parse,
    expected: str,
    bad: BadLines,
) -> pl.DataFrame:
    rows = []
    for number, line in batch.lines():
        text = line.decode("utf-8", errors="replace").strip()
        try:
            record = parse(text)
        except UNREADABLE:
            # Arrow minds neither depth nor an infinite number in a field that is ignored, and a
            # line must not depend on how its neighbours are read.
            alone = Batch(batch.file, number, line)
            table = _in_bulk(alone, fields, required) if parse is json_record else None
            if table is not None:
                rows += table.rows(named=True)
                continue
            record = None
        if not isinstance(record, dict):
            bad.add(number, text, expected)
            continue
        row = {name: _value(record.get(name), kind) for name, kind in fields.items()}
        for name in sorted(required):
            if row[name] is None:
                raise _missing(batch.file, number, name, fields[name], record, text)
        rows.append(row)
    schema = pl.DataFrame(pl.from_arrow(pa.schema(list(fields.items())).empty_table())).schema
    return pl.DataFrame(rows, schema=schema, orient="row")


def _missing(
    file: Path, line: int, name: str, kind: pa.DataType, record: dict[Any, Any], text: str
) -> RawDataError:
    names = {TEXT: "text", NUMBER: "a number", INTEGER: "a time in seconds"}
    names[MILLISECONDS] = "a time in milliseconds"
    got = f"{record[name]!r:.{SHOWN}}" if name in record else "none"
    return RawDataError(
        f"{file}:{line}: expected a field {name!r} with {names[kind]}, got {got} in "
        f"{text[:SHOWN]!r}"
    )


def _value(value: Any, kind: pa.DataType) -> Any:
    """Return `value` as one of a field's type, or None where it is of another."""
    if kind == PATHS:
        is_list = isinstance(value, list) and value
        if is_list and value[0] is None and not any(isinstance(v, str) for v in value):
            return [None]  # the first path is none, which is how Arrow reads it
        first = value[0] if is_list and isinstance(value[0], list) else value
        texts = _value(first, TEXTS)
        return None if texts is None else [texts] if value else []
    if kind == TEXTS:
        values = [value] if isinstance(value, str) else value
        return [_text(v) for v in values if _text(v)] if isinstance(values, list) else None
    if kind == TEXT:
        return _text(value) or None
    if kind == PICTURES:
        return _pictures(value)
    if kind == FLAG:
        return value if isinstance(value, bool) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not _is_plausible(value, 1000 if kind == MILLISECONDS else 1):
        return None
    if kind == NUMBER:
        return float(value)
    if kind == MILLISECONDS and value < 0:
        return None
    return int(value) if float(value).is_integer() else None


def _pictures(value: Any) -> list[dict[str, str | None]] | None:
    names = [field.name for field in PICTURES.value_type]
    rows = value if isinstance(value, list) else []
    return [{n: _text(row.get(n)) for n in names} for row in rows if isinstance(row, dict)]


def _text(value: Any) -> str | None:
    # A lone half of a surrogate pair is legal in JSON and in Python, not in UTF-8.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
