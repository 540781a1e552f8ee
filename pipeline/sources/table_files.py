"""The user's own table files as batches: CSV, TSV, JSON lines, Parquet, with line numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.job.errors import RawDataError
from pipeline.sources import table_header, text_tables
from pipeline.sources.lines import batches
from pipeline.sources.raw import FileCounts, check_exists
from pipeline.sources.records import LINE, UNREADABLE, RecordFormat, records
from pipeline.sources.values import SCALAR, TEXTS
from pipeline.tables.schema import RAW_ITEMS, REVIEWS, VERIFIED

N_PEEKED = 1000  # JSON lines from which it is taken which fields hold lists
ROWS = 1 << 18  # of Parquet in a batch
Names = Mapping[str, str | None]  # our name of a column -> the file's, None if it has none


@dataclass(frozen=True)
class TableFile:
    """A file that is open: the types of the columns, by our names, and the batches.

    Batches have `LINE` first: the line in the file, in Parquet the row, from 1.
    """

    schema: Mapping[str, pl.DataType]
    batches: Iterator[pl.DataFrame]


def scan(
    counts: FileCounts,
    wanted: Names,
    lists: Sequence[str] = (),
    scalars: Mapping[str, str] | None = None,
) -> TableFile:
    """Open a file without reading its rows.

    Args:
        counts: of a .csv, .tsv, .jsonl (each also as .gz) or .parquet file.
        wanted: the columns.
        lists: those of them that may hold lists of text.
        scalars: those of them in which a list or an object makes a bad line of JSON, with
            what is expected.

    Raises:
        RawDataError: the file does not exist, is not of its format, or lacks a column. Reading
            the batches raises it for a damaged file, or one with too many bad lines.
    """
    check_exists(counts.file)
    names = {ours: theirs for ours, theirs in wanted.items() if theirs is not None}
    name = counts.file.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return _parquet(counts, names)
    if name.endswith(".jsonl"):
        return _json_lines(counts, names, lists, scalars or {})
    return _text(counts, names)


def _text(counts: FileCounts, names: Mapping[str, str]) -> TableFile:
    head = table_header.read(counts.file)
    columns = list(dict.fromkeys(names.values()))
    table_header.check_columns(head, columns)
    _check_columns(head.names, names, counts.file)
    found = text_tables.rows(head, columns, counts)
    return TableFile(dict.fromkeys(names, pl.String()), (_renamed(t, names) for t in found))


def _json_lines(
    counts: FileCounts,
    names: Mapping[str, str],
    lists: Sequence[str],
    scalars: Mapping[str, str],
) -> TableFile:
    kinds = dict.fromkeys(names.values(), SCALAR)
    kinds |= dict.fromkeys(_fields_with_lists(counts.file, lists), TEXTS)
    expected = {
        names[ours]: f"{text} in column {names[ours]!r}"
        for ours, text in scalars.items()
        if ours in names
    }
    form = RecordFormat(kinds, required=frozenset(), numbered=True, scalars=expected)
    schema = {
        ours: pl.List(pl.String) if kinds[theirs] == TEXTS else pl.String()
        for ours, theirs in names.items()
    }
    return TableFile(schema, _json_batches(counts, form, names))


def _json_batches(
    counts: FileCounts, form: RecordFormat, names: Mapping[str, str]
) -> Iterator[pl.DataFrame]:
    for table in records(counts, form):
        yield _renamed(table, names)
    if counts.n_rows and not all(counts.filled.get(theirs) for theirs in names.values()):
        keys = {key for record in _first_records(counts.file) for key in record}
        keys |= {name for name, n_values in counts.filled.items() if n_values}
        _check_columns(sorted(keys), names, counts.file)


def _fields_with_lists(path: Path, lists: Sequence[str]) -> list[str]:
    """Return the fields whose first value is a list."""
    first: dict[str, object] = {}
    for record in _first_records(path) if lists else ():
        for name in lists:
            if record.get(name) not in (None, ""):
                first.setdefault(name, record[name])
    return [name for name, value in first.items() if isinstance(value, list)]


def _first_records(path: Path) -> Iterator[dict[str, Any]]:
    batch = next(batches(path), None)
    for _, line in islice(batch.lines(), N_PEEKED) if batch else ():
        with suppress(*UNREADABLE):
            record = json.loads(line)
            if isinstance(record, dict):
                yield record


def _parquet(counts: FileCounts, names: Mapping[str, str]) -> TableFile:
    path = counts.file
    _check_zones(path)
    try:
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        schema = table.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error
    _check_columns(schema.names(), names, path)
    types = {ours: schema[theirs] for ours, theirs in names.items()}
    return TableFile(types, _parquet_batches(table, names, counts))


def _check_zones(path: Path) -> None:
    """Refuse a column of times whose zone is an offset, at which Polars aborts."""
    with suppress(pa.ArrowException, OSError):  # of a damaged file, which Polars describes
        for field in pq.read_schema(path):
            zone = field.type.tz if pa.types.is_timestamp(field.type) else None
            if zone and re.match(r"[+-]", zone):
                raise RawDataError(
                    f"{path}: expected times in UTC or in a named zone, got column "
                    f"{field.name!r} with the zone {zone!r}; write them in UTC"
                )


def _parquet_batches(
    table: pl.LazyFrame, names: Mapping[str, str], counts: FileCounts
) -> Iterator[pl.DataFrame]:
    columns = table.select(pl.col(theirs).alias(ours) for ours, theirs in names.items())
    n_rows = 0
    try:
        for rows in columns.collect_batches(chunk_size=ROWS, maintain_order=True):
            lines = pl.int_range(n_rows + 1, n_rows + 1 + rows.height, dtype=pl.Int64)
            n_rows += rows.height
            counts.n_rows += rows.height
            yield rows.select(lines.alias(LINE), pl.all())
        n_records = int(table.select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(counts.file, error) from error
    counts.finish(n_records)


def _renamed(rows: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    return rows.select(LINE, *(pl.col(theirs).alias(ours) for ours, theirs in names.items()))


def _check_columns(present: Sequence[str], names: Mapping[str, str], path: Path) -> None:
    is_text = path.name.removesuffix(".gz").endswith((".csv", ".tsv"))
    header = ", or mend the header, which is the first line" if is_text else ""
    for ours, theirs in names.items():
        if theirs not in present:
            key = f"columns.{ours}" if ours in (*REVIEWS, VERIFIED, *RAW_ITEMS) else "fields"
            raise RawDataError(
                f"{path}: expected a column {theirs!r}, which sources.{path.parent.name}.{key} "
                f"names, got {list(present)}; name another one in params.yaml{header}"
            )


def _unreadable(path: Path, error: Exception) -> RawDataError:
    message = str(error).strip().split("\n")[0]
    return RawDataError(
        f"{path}: expected a whole file of the format that its name says, got: {message}. "
        "Write the file again, or name another one in params.yaml"
    )
