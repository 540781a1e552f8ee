"""Read and write the pipeline's files.

A file is whole or absent: see `replacing`. Parquet pages have checksums, which every reading
verifies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from pipeline.job.errors import SchemaError
from pipeline.tables.replacing import replacing as replacing
from pipeline.tables.schema import Columns
from pipeline.tables.verified import PARQUET, opened

ROW_GROUP = 1 << 16  # rows
AGAIN = "; run the stage that writes it again"
ARROW_SCHEMA = b"ARROW:schema"  # the key of Arrow's own entry


def read_parquet(path: Path, columns: Columns) -> pl.DataFrame:
    """Read a table of the pipeline.

    Args:
        path: a Parquet file.
        columns: the required columns with their types. Further columns are kept.

    Raises:
        SchemaError: the file is missing or damaged, or a column is missing or of another type.
    """
    with opened(path) as file:
        check_columns(_schema(file), columns, str(path))
        return pl.DataFrame(file.read())


def scan_parquet(path: Path, columns: Columns) -> pl.LazyFrame:
    """Return the table as a lazy frame, with the checks of `read_parquet`."""
    with opened(path) as file:
        schema = _schema(file)
    check_columns(schema, columns, str(path))

    def batches(
        names: list[str] | None, wanted: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        remaining = -1 if n_rows is None else n_rows
        with opened(path) as file:
            for batch in file.iter_batches(ROW_GROUP, columns=names):
                rows = pl.DataFrame(batch)
                rows = rows if n_rows is None else rows.head(remaining)
                remaining -= rows.height
                yield rows if wanted is None else rows.filter(wanted)

    return register_io_source(batches, schema=schema)


def _schema(file: pq.ParquetFile) -> pl.Schema:
    return pl.DataFrame(file.schema_arrow.empty_table()).schema


def read_metadata(path: Path) -> dict[str, str]:
    """Return the entries that `write_parquet` or `parquet_writer` put into the metadata.

    Raises:
        SchemaError: the file is missing or damaged.
    """
    with opened(path) as file:
        entries = file.metadata.metadata or {}
        return {k.decode(): v.decode() for k, v in entries.items() if k != ARROW_SCHEMA}


def text_metadata(schema: pa.Schema) -> dict[str, str]:
    """Return the metadata of an Arrow schema as text."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


def check_columns(schema: pl.Schema, columns: Columns, where: str) -> None:
    """Raise SchemaError unless `schema` has each of `columns` with its type."""
    for name, dtype in columns.items():
        if name not in schema:
            raise SchemaError(f"{where}: expected a column {name!r}, got {list(schema)}{AGAIN}")
        if schema[name] != dtype:
            raise SchemaError(
                f"{where}: expected column {name!r} to be {dtype}, got {schema[name]}{AGAIN}"
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
    path: Path,
    metadata: Mapping[str, str] | None = None,
    at_end: Callable[[], Mapping[str, str]] = dict,
) -> Iterator[Callable[[pl.DataFrame], None]]:
    """Yield a function that appends rows to a table; leave no file if the block raises.

    The function takes tables with the same columns and must be called at least once. The sizes
    of those tables do not change the bytes of the file.

    Args:
        path: the final name.
        metadata: entries of the Parquet schema's metadata.
        at_end: returns further entries once all rows are written.
    """
    with replacing(path) as partial, _RowGroups(partial, metadata) as groups:
        yield groups.add
        groups.metadata_at_end = at_end()


@dataclass(slots=True)
class _RowGroups:
    """Collect rows until a row group is full, then write it."""

    path: Path
    metadata: Mapping[str, str] | None
    pending: list[pl.DataFrame] = field(default_factory=list)
    metadata_at_end: Mapping[str, str] = field(default_factory=dict)
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
            if self.metadata_at_end:
                self.file.add_key_value_metadata(dict(sorted(self.metadata_at_end.items())))
            self.file.close()

    def _write(self, rows: pl.DataFrame) -> None:
        # One chunk: a Parquet page ends where a chunk ends.
        arrow = rows.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        if self.file is None:
            schema = arrow.schema
            if self.metadata:
                schema = schema.with_metadata(dict(sorted(self.metadata.items())))
            self.file = pq.ParquetWriter(self.path, schema, **PARQUET)
        self.file.write_table(arrow, row_group_size=ROW_GROUP)


def write_arrow(table: pa.Table, path: Path) -> None:
    """Write an Arrow table as zstd-compressed Parquet, or leave no file."""
    with replacing(path) as partial:
        pq.write_table(table, partial, row_group_size=ROW_GROUP, **PARQUET)


def read_json(path: Path, fields: Iterable[str] = ()) -> Any:
    """Return the content of a JSON file.

    Args:
        path: the file.
        fields: what its object must have.

    Raises:
        SchemaError: the file is missing or is not JSON, or lacks a field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file; run the stage that writes it first") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(
            f"{path}: expected JSON, got {error}. Delete it, and either engine makes it again"
        ) from error
    needed = set(fields)
    if missing := sorted(needed - (set(content) if isinstance(content, dict) else set())):
        raise SchemaError(
            f"{path}: expected an object with {sorted(needed)}, got none with {missing}. "
            "Delete it, and either engine makes it again"
        )
    return content


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
