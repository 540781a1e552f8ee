"""Read and write the pipeline's files.

A file is whole or absent: see `replacing`.
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

from pipeline.job.errors import SchemaError
from pipeline.tables.replacing import replacing as replacing
from pipeline.tables.schema import Columns

ROW_GROUP = 1 << 16  # rows


def read_parquet(path: Path, columns: Columns) -> pl.DataFrame:
    """Read a table of the pipeline.

    Args:
        path: a Parquet file.
        columns: the required columns with their types. Further columns are kept.

    Raises:
        SchemaError: the file is missing, or a column is missing or of another type.
    """
    check_exists(path)
    table = pl.read_parquet(path, glob=False, hive_partitioning=False)
    check_columns(table.schema, columns, str(path))
    return table


def scan_parquet(path: Path, columns: Columns) -> pl.LazyFrame:
    """Return the table as a lazy frame, with the checks of `read_parquet`."""
    check_exists(path)
    table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    check_columns(table.collect_schema(), columns, str(path))
    return table


def read_metadata(path: Path) -> dict[str, str]:
    """Return the entries that `write_parquet` put into a table's metadata."""
    return text_metadata(pq.read_schema(path))


def text_metadata(schema: pa.Schema) -> dict[str, str]:
    """Return the metadata of an Arrow schema as text."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


def check_exists(path: Path, stage: str = "the stage that writes it") -> None:
    """Raise SchemaError if there is no file `path`; `stage` is what the message says to run."""
    if not path.exists():
        raise SchemaError(f"{path}: no such table; run {stage} first")


def check_columns(schema: pl.Schema, columns: Columns, where: str) -> None:
    """Raise SchemaError unless `schema` has each of `columns` with its type."""
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
    """Write a table, or leave no file.

    The bytes depend on the table and the metadata alone, so that both engines agree.

    Args:
        table: rows in the order in which they are stored.
        path: the final name.
        metadata: entries of the Parquet schema's metadata.
    """
    with parquet_writer(path, metadata) as write:
        write(table)


@contextmanager
def parquet_writer(
    path: Path, metadata: Mapping[str, str] | None = None
) -> Iterator[Callable[[pl.DataFrame], None]]:
    """Yield a function that appends rows to a table; leave no file if the block raises.

    The function takes tables with the same columns and must be called at least once. The sizes
    of those tables do not change the bytes of the file.

    Args:
        path: the final name.
        metadata: entries of the Parquet schema's metadata.
    """
    with replacing(path) as partial, _RowGroups(partial, metadata) as groups:
        yield groups.add


@dataclass(slots=True)
class _RowGroups:
    """Collect rows until a row group is full, then write it."""

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
        # One chunk: a Parquet page ends where a chunk ends.
        arrow = rows.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        if self.file is None:
            schema = arrow.schema
            if self.metadata:
                schema = schema.with_metadata(dict(sorted(self.metadata.items())))
            self.file = pq.ParquetWriter(self.path, schema, compression="zstd")
        self.file.write_table(arrow, row_group_size=ROW_GROUP)


def write_arrow(table: pa.Table, path: Path) -> None:
    """Write an Arrow table as zstd-compressed Parquet, or leave no file."""
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="zstd", row_group_size=ROW_GROUP)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        SchemaError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file; run the stage that writes it first") from None
    except json.JSONDecodeError as error:
        raise SchemaError(f"{path}: expected JSON, got {error}") from error


def write_json(value: Any, path: Path) -> None:
    """Write `value` as indented JSON with sorted keys, or leave no file."""
    write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text, or leave no file."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
