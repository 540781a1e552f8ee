"""The only module that writes the pipeline's files.

Every write goes to a temporary name beside the target and is renamed, so that a killed stage
leaves nothing under a final name. DVC does not make the folder of an output, so writing does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.datatypes import DataTypeClass

from pipeline.job.errors import SchemaError

ROW_GROUP = 1 << 16  # rows
Columns = Mapping[str, pl.DataType | DataTypeClass]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that takes the place of `path` when the block ends well.

    Args:
        path: the final name; its folder is made.

    Yields:
        A name in the same folder. It is removed if the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_parquet(path: Path, columns: Columns) -> pl.DataFrame:
    """Read a table of the pipeline and check that it is the expected one.

    Args:
        path: a Parquet file.
        columns: the columns that must be there, with their types. Others are kept.

    Returns:
        The whole table.

    Raises:
        SchemaError: the file is absent, or a column is absent or of another type.
    """
    if not path.exists():
        raise SchemaError(f"{path}: no such table; run the stage that writes it first")
    table = pl.read_parquet(path, glob=False, hive_partitioning=False)
    check_columns(table, columns, str(path))
    return table


def scan_parquet(path: Path, columns: Columns) -> pl.LazyFrame:
    """Return `read_parquet`'s table unread, for those that need parts of it; as strict."""
    if not path.exists():
        raise SchemaError(f"{path}: no such table; run the stage that writes it first")
    table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    _check_schema(table.collect_schema(), columns, str(path))
    return table


def read_metadata(path: Path) -> dict[str, str]:
    """Return the entries that `write_parquet` put into a table's metadata."""
    found = pq.read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items()}


def check_columns(table: pl.DataFrame, columns: Columns, where: str) -> None:
    """Raise SchemaError unless `table` has each of `columns` with its type."""
    _check_schema(table.schema, columns, where)


def _check_schema(schema: pl.Schema, columns: Columns, where: str) -> None:
    for name, dtype in columns.items():
        if name not in schema:
            raise SchemaError(f"{where}: expected a column {name!r}, got {list(schema)}")
        if schema[name] != dtype:
            raise SchemaError(
                f"{where}: expected column {name!r} to be {dtype}, got {schema[name]}"
            )


def write_parquet(
    table: pl.DataFrame, path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `table`, or leave no file at all.

    The bytes depend on the table and the metadata alone, which is what lets two engines agree.

    Args:
        table: rows in the order in which they are to be stored.
        path: the final name.
        metadata: entries for the Parquet schema's key-value metadata.
    """
    with parquet_writer(path, metadata) as write:
        write(table)


@contextmanager
def parquet_writer(
    path: Path, metadata: Mapping[str, str] | None = None
) -> Iterator[Callable[[pl.DataFrame], None]]:
    """Yield a function that writes the next rows of a table, or leave no file at all.

    Into how many pieces the rows come does not show in the file.

    Args:
        path: the final name, which the file gets when the block ends well.
        metadata: entries for the Parquet schema's key-value metadata.

    Yields:
        A function that takes tables of the same columns; it must be called at least once.
    """
    with replacing(path) as partial, _RowGroups(partial, metadata) as groups:
        yield groups.add


@dataclass(slots=True)
class _RowGroups:
    """Collects rows until a group is full."""

    path: Path
    metadata: Mapping[str, str] | None
    pending: list[pl.DataFrame] = field(default_factory=list)
    n_pending: int = 0
    file: pq.ParquetWriter | None = None

    def __enter__(self) -> _RowGroups:
        return self

    def add(self, table: pl.DataFrame) -> None:
        self.pending.append(table)
        self.n_pending += table.height
        if self.n_pending < ROW_GROUP:
            return
        rows = pl.concat(self.pending)
        while rows.height >= ROW_GROUP:
            self._write(rows[:ROW_GROUP])
            rows = rows[ROW_GROUP:]
        self.pending, self.n_pending = [rows], rows.height

    def __exit__(self, error: object, *_: object) -> None:
        if error is None and self.pending and (self.n_pending or not self.file):
            self._write(pl.concat(self.pending))
        if self.file is not None:
            self.file.close()

    def _write(self, rows: pl.DataFrame) -> None:
        # Pages end where chunks do, so that there must be one chunk.
        arrow = rows.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        if self.file is None:
            schema = arrow.schema
            if self.metadata:
                schema = schema.with_metadata(dict(sorted(self.metadata.items())))
            self.file = pq.ParquetWriter(self.path, schema, compression="zstd")
        self.file.write_table(arrow, row_group_size=ROW_GROUP)


def write_arrow(table: pa.Table, path: Path) -> None:
    """Write an Arrow table as zstd-compressed Parquet, or leave no file at all."""
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="zstd", row_group_size=ROW_GROUP)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of the pipeline.

    Raises:
        SchemaError: the file is absent or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file; run the stage that writes it first") from None
    except json.JSONDecodeError as error:
        raise SchemaError(f"{path}: expected JSON, got {error}") from error


def write_json(value: Any, path: Path) -> None:
    """Write `value` as indented JSON with sorted keys, or leave no file at all."""
    write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text, or leave no file at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
