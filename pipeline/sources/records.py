"""Records, one per line, as tables of the fields that a format keeps.

JSON is parsed in bulk by Arrow, which is strict about types. A batch that Arrow refuses is read
again line by line, to find the bad line and to accept what is only unusual. Of a repeated key
the last value counts, as in Python's json.

A line is bad if it is no record in UTF-8, or if a required field is null, absent, of another
type or out of range. Another field of another type is null, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.json

from pipeline.sources import read_ahead, values
from pipeline.sources.lines import Batch, batches
from pipeline.sources.raw import FileCounts, quoted
from pipeline.sources.values import (
    FIRST_MILLISECOND,
    FLAG,
    INTEGER,
    LATEST,
    MILLISECONDS,
    NUMBER,
    SCALAR,
    TEXT,
    WORDS,
    scalar_text,
)

N_THREADS = 2  # that parse, beside one that unpacks
PIECE = 1 << 16  # bytes of text below which lines are read one by one
N_SAMPLED = 20  # lines from which the type of a scalar is taken

# What a parser raises. The last two come from brackets that are nested too deep.
UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
LINE = "(line)"  # a column with the number of a record's line, from 1; no field has this name
NO_CONSTANT = "is not JSON; null is"


def json_record(line: str) -> Any:
    """Return the JSON value in a line; ValueError if there is none."""
    return json.loads(line, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} {NO_CONSTANT}")


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
    ranges: Mapping[str, values.Limits] = field(default_factory=dict)  # of NUMBER fields
    numbered: bool = False  # whether the first column is `LINE`
    # Of SCALAR fields: what is expected. A list, an object or a number that is not exact in
    # one of them makes a bad line; elsewhere it is null.
    scalars: Mapping[str, str] = field(default_factory=dict)


def records(counts: FileCounts, form: RecordFormat) -> Iterator[pl.DataFrame]:
    """Yield the records of a file as tables with the columns `form.fields`, one per batch.

    Args:
        counts: of a file of one record per line.
        form: how lines are read.

    Raises:
        RawDataError: there are more bad lines, or values that are not understood, than allowed.
    """
    n_records = 0
    in_bulk = partial(_in_bulk, form=form)
    for batch, table in read_ahead.mapped(in_bulk, batches(counts.file), N_THREADS):
        n_records += batch.n_filled()
        for piece in [table] if table is not None else _piecewise(batch, form, counts):
            counts.n_rows += piece.height
            filled = piece.select(pl.exclude(LINE, *form.required).count())
            counts.present(filled.row(0, named=True) if filled.width else {})
            yield piece
    counts.finish(n_records)


def _piecewise(batch: Batch, form: RecordFormat, counts: FileCounts) -> Iterator[pl.DataFrame]:
    """Read in bulk what Arrow accepts, so that only lines near unusual ones are read singly."""
    for half in batch.halves():
        if not half.text.strip():
            continue
        table = _in_bulk(half, form)
        if table is not None:
            yield table
        elif len(half.text) <= PIECE or half.text == batch.text:
            yield _line_by_line(half, form, counts)
        else:
            yield from _piecewise(half, form, counts)


def _in_bulk(batch: Batch, form: RecordFormat) -> pl.DataFrame | None:
    """Return the batch's records, or None if a line has to be read by `form.parse`."""
    if form.as_json is not None:
        if not _is_utf8(batch.text):
            return None
        batch = form.as_json(batch)
    n_objects = batch.n_objects()
    if n_objects is None or not _is_utf8(batch.text):  # Arrow's reader does not check
        return None
    kinds = _kinds(batch, form)
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(batch.text),
            read_options=pyarrow.json.ReadOptions(
                block_size=len(batch.text) + 1, use_threads=False
            ),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=pa.schema(list(kinds.items())),
                unexpected_field_behavior="ignore",
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != n_objects:
        return None
    rows = _without_empty_texts(pl.DataFrame(pl.from_arrow(table)).select(list(form.fields)))
    if not _is_valid(rows, form):
        return None
    scalars = [name for name, kind in form.fields.items() if kind == SCALAR]
    rows = rows.with_columns(scalar_text(name, rows.schema[name]) for name in scalars)
    if not form.numbered:
        return rows
    lines = pl.int_range(batch.first, batch.first + rows.height, dtype=pl.Int64)
    return rows.select(lines.alias(LINE), pl.all())


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


def _kinds(batch: Batch, form: RecordFormat) -> dict[str, pa.DataType]:
    """Return the types of the fields; of a SCALAR the one that it has in the first lines.

    Where a later line has another type, Arrow refuses the batch.
    """
    kinds = dict(form.fields)
    if SCALAR not in kinds.values():
        return kinds
    seen: dict[str, set[type]] = {name: set() for name in kinds}
    for _, line in islice(batch.lines(), N_SAMPLED):
        try:
            record = json_record(line.decode())
        except UNREADABLE:
            continue
        for name in seen.keys() & record.keys() if isinstance(record, dict) else ():
            seen[name].add(type(record[name]))
    types = ((float, NUMBER), (int, INTEGER), (bool, FLAG))
    for name, kind in form.fields.items():
        if kind == SCALAR:
            kinds[name] = next((to for of, to in types if of in seen[name]), TEXT)
    return kinds


def _without_empty_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn empty texts into nulls, and leave them out of lists."""
    filled = pl.element().filter(pl.element() != "")
    return rows.with_columns(
        pl.col(pl.String).replace("", None), pl.col(pl.List(pl.String)).list.eval(filled)
    )


def _is_valid(rows: pl.DataFrame, form: RecordFormat) -> bool:
    """Return whether every required field has a value and every number is in its range."""
    checks = [pl.col(name).is_not_null() for name in form.required]
    for name, kind in form.fields.items():
        if kind == SCALAR and rows.schema[name].is_float():
            # Python writes larger and smaller ones, and those without a fraction, otherwise.
            checks.append((pl.col(name) == 0) | pl.col(name).abs().is_between(1e-4, 1e15))
        elif kind in (NUMBER, INTEGER, MILLISECONDS):
            checks.append(pl.col(name).is_between(*_limits(name, form)))
    return bool(rows.select(pl.all_horizontal(True, *checks).all()).item())


def _limits(name: str, form: RecordFormat) -> values.Limits:
    """Return the least and the greatest value of a number."""
    if form.fields[name] == INTEGER:
        return 0, LATEST - 1
    if form.fields[name] == MILLISECONDS:
        return FIRST_MILLISECOND, LATEST * 1000 - 1
    return form.ranges.get(name, values.ANY)


def _line_by_line(batch: Batch, form: RecordFormat, counts: FileCounts) -> pl.DataFrame:
    rows = []
    for number, line in batch.lines():
        text = line.decode("utf-8", errors="replace").strip()
        why = "" if _is_utf8(line) else " in UTF-8"
        try:
            record = form.parse(text)
        except UNREADABLE as error:
            record = None
            why += f" ({error})" if NO_CONSTANT in str(error) else ""
            # Arrow accepts any depth, and an infinite number in a field that is ignored. How a
            # line is read must not depend on its neighbours.
            alone = Batch(batch.file, number, line)
            table = _in_bulk(alone, form) if form.parse is json_record else None
            if table is not None:
                rows += table.rows(named=True)
                continue
        if why or not isinstance(record, dict):
            is_array = text in ("[", "{") or text.startswith("[{")
            hint = "Write one object on each line, without brackets around them"
            counts.add(number, quoted(text), f"{form.expected}{why}", hint if is_array else "")
        elif (row := _row(record, form, number, text, counts)) is not None:
            rows.append({LINE: number, **row} if form.numbered else row)
    empty = pl.DataFrame(pl.from_arrow(pa.schema(list(form.fields.items())).empty_table()))
    schema = {**({LINE: pl.Int64()} if form.numbered else {}), **empty.schema}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _row(
    record: dict[Any, Any], form: RecordFormat, line: int, text: str, counts: FileCounts
) -> dict[str, Any] | None:
    """Return the fields of a record, or None if it lacks a required one."""
    for name in form.scalars:
        if not values.is_scalar(record.get(name)):
            counts.add(line, quoted(record[name]), form.scalars[name])
            return None
    row = {
        name: values.read(record.get(name), kind, _limits(name, form))
        for name, kind in form.fields.items()
    }
    for name in sorted(form.required):
        if row[name] is None:
            got = quoted(record[name]) if name in record else "none"
            what = f"a field {name!r} with {WORDS[form.fields[name]]}"
            if name in form.ranges:
                what += " from {:g} to {:g}".format(*form.ranges[name])
            counts.add(line, f"{got} in {quoted(text)}", what)
            return None
    for name in row.keys() & record.keys() - form.required:
        if not values.is_understood(record[name], form.fields[name], row[name]):
            counts.present({name: int(row[name] is None)})  # the others are counted in bulk
            counts.not_understood(name, [(line, record[name])])
    return row
