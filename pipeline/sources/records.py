"""Records, one per line, as tables of the fields that a format keeps.

JSON is parsed in bulk by Arrow, which is strict about types. A batch that Arrow refuses is read
again line by line, to find the bad line and to accept what is only unusual.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
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

N_THREADS = 2  # that parse, beside one that unpacks
PIECE = 1 << 16  # bytes of text below which lines are read one by one

TEXT, NUMBER, INTEGER, TEXTS = pa.string(), pa.float64(), pa.int64(), pa.list_(pa.string())
MILLISECONDS = pa.uint64()  # since 1970; unsigned, to be another type than INTEGER
FLAG = pa.bool_()
PATHS = pa.list_(TEXTS)  # each from general to special; only the first is kept
PICTURES = pa.list_(pa.struct([(n, TEXT) for n in ("hi_res", "large", "thumb", "variant")]))
# What a parser raises. The last two come from brackets that are nested too deep.
UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
LATEST = 4102444800  # 2100-01-01 in seconds; milliseconds would be far beyond


def json_record(line: str) -> Any:
    """Return the JSON value in a line; ValueError if there is none."""
    return json.loads(line, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True)
class RecordFormat:
    """How a line becomes a record."""

    fields: Mapping[str, pa.DataType]  # the keys to keep; an absent one gives null
    required: Set[str]  # keys that every record must have
    parse: Callable[[str], Any] = json_record  # of a single line; may raise `UNREADABLE`
    expected: str = "a JSON object"  # what a line should be, for messages
    # Turns a batch into JSON lines of the same records. A line may become something else than
    # JSON, and is then read by `parse`. None: the lines are JSON already.
    as_json: Callable[[Batch], Batch] | None = None


def records(path: Path, form: RecordFormat, max_bad_lines: int) -> Iterator[pl.DataFrame]:
    """Yield the records of a file as tables with the columns `form.fields`, one per batch.

    Args:
        path: a file of one record per line.
        form: how lines are read.
        max_bad_lines: how many lines that are not records are tolerated.

    Raises:
        RawDataError: there are more bad lines, or a required field is missing or of another
            type.
    """
    bad, n_read = BadLines(path, max_bad_lines), 0
    in_bulk = partial(_in_bulk, form=form)
    for batch, table in read_ahead.mapped(in_bulk, batches(path), N_THREADS):
        for piece in [table] if table is not None else _piecewise(batch, form, bad):
            n_read += piece.height
            yield piece
    logger.info("%s: %d records, %d bad lines", path, n_read, bad.count)


def _piecewise(batch: Batch, form: RecordFormat, bad: BadLines) -> Iterator[pl.DataFrame]:
    """Read in bulk what Arrow accepts, so that only lines near unusual ones are read singly."""
    for half in batch.halves():
        if not half.text.strip():
            continue
        table = _in_bulk(half, form)
        if table is not None:
            yield table
        elif len(half.text) <= PIECE or half.text == batch.text:
            yield _line_by_line(half, form, bad)
        else:
            yield from _piecewise(half, form, bad)


def _in_bulk(batch: Batch, form: RecordFormat) -> pl.DataFrame | None:
    """Return the batch's records, or None if a line has to be read by `form.parse`."""
    if form.as_json is not None:
        batch = form.as_json(batch)
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
                explicit_schema=pa.schema(list(form.fields.items())),
                unexpected_field_behavior="ignore",
            ),
        )
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    if table.num_rows != n_objects:
        return None
    rows = _without_empty_texts(pl.DataFrame(pl.from_arrow(table)).select(list(form.fields)))
    return rows if _is_valid(rows, form.required) else None


def _without_empty_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn empty texts into nulls, and leave them out of lists."""
    filled = pl.element().filter(pl.element() != "")
    return rows.with_columns(
        pl.col(pl.String).replace("", None), pl.col(pl.List(pl.String)).list.eval(filled)
    )


def _is_valid(rows: pl.DataFrame, required: Set[str]) -> bool:
    """Return whether every required field has a value and every number is plausible."""
    has_values = [pl.col(name).is_not_null() for name in required]
    numbers = [
        _is_plausible(pl.col(name), 1000 if kind == pl.UInt64 else 1)
        for name, kind in rows.schema.items()
        if kind.is_numeric()
    ]
    return bool(rows.select(pl.all_horizontal(*has_values, *numbers).all()).item())


def _is_plausible(value: Any, unit: int = 1) -> Any:
    return (value > -LATEST) & (value < LATEST * unit)


def _line_by_line(batch: Batch, form: RecordFormat, bad: BadLines) -> pl.DataFrame:
    rows = []
    for number, line in batch.lines():
        text = line.decode("utf-8", errors="replace").strip()
        try:
            record = form.parse(text)
        except UNREADABLE:
            record = None
            # Arrow accepts any depth, and an infinite number in a field that is ignored. How a
            # line is read must not depend on its neighbours.
            alone = Batch(batch.file, number, line)
            table = _in_bulk(alone, form) if form.parse is json_record else None
            if table is not None:
                rows += table.rows(named=True)
                continue
        if isinstance(record, dict):
            rows.append(_row(record, form, f"{batch.file}:{number}", text))
        else:
            bad.add(number, text, form.expected)
    empty = pl.DataFrame(pl.from_arrow(pa.schema(list(form.fields.items())).empty_table()))
    return pl.DataFrame(rows, schema=empty.schema, orient="row")


def _row(record: dict[Any, Any], form: RecordFormat, place: str, text: str) -> dict[str, Any]:
    """Return the fields of a record; `place` and `text` are for the message."""
    row = {name: _value(record.get(name), kind) for name, kind in form.fields.items()}
    for name in sorted(form.required):
        if row[name] is None:
            kinds = {TEXT: "text", NUMBER: "a number", INTEGER: "a time in seconds"}
            kind = kinds.get(form.fields[name], "a time in milliseconds")
            value = f"{record[name]!r:.{SHOWN}}" if name in record else "none"
            raise RawDataError(
                f"{place}: expected a field {name!r} with {kind}, got {value} in "
                f"{text[:SHOWN]!r}"
            )
    return row


def _value(value: Any, kind: pa.DataType) -> Any:
    """Return `value` as a field's type, or None where it is of another type."""
    if kind == PATHS:
        is_list = isinstance(value, list) and value
        if is_list and value[0] is None and not any(isinstance(v, str) for v in value):
            return [None]  # a null first path, as Arrow reads it
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
    # Half of a surrogate pair is legal in JSON and in Python, but not in UTF-8.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
