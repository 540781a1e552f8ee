"""The user's own vectors, by the raw id of the item, from a Parquet or an .npy file.

    features.parquet        a column of ids and one of lists of numbers, all of one width
    features.npy, ids.txt   a matrix, and the id of each of its rows on a line
    features.npy            a matrix, whose rows have the ids 0, 1, 2, ... (`rows: item_id`)

Only the vectors of the dataset's items are kept, so a file of a larger catalogue need not fit
in memory. Rows of other items are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.extractors.extraction import Extraction, Machine
from pipeline.extractors.packages import versions
from pipeline.job.errors import RawDataError
from pipeline.params.features import Precomputed
from pipeline.tables.features import Vector
from pipeline.tables.io import sha256_of

ROWS = 256  # read at once
ROW = re.compile(r"0|[1-9][0-9]{0,17}")  # the number of a row, as a raw id
# Raised by numpy for a file that is not .npy, ends early or has an impossible header.
NO_NPY = (ValueError, TypeError, OSError, EOFError, OverflowError, MemoryError)

ID_TYPES = pa.types.is_string, pa.types.is_large_string, pa.types.is_integer
LIST_TYPES = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list

Vectors: TypeAlias = dict[str, Vector]  # by raw id


def extract(
    items: pl.Series,
    settings: Precomputed,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Look the raw ids of the items up in the user's file.

    In a Parquet file ids are strings, or whole numbers, taken as text; vectors are lists of
    float16, float32 or float64, null where an item has none. The ids of an .npy file are UTF-8.

    Returns:
        One float32 vector per item; None where the file has none.

    Raises:
        RawDataError: a file or a column is absent or of another type, vectors differ in width
            or are not finite, an item occurs twice, or none of the items occurs; or,
            with `rows`, a raw id is not the number of a row.
    """
    path, ids = Path(settings.path), None if settings.ids is None else Path(settings.ids)
    for file in (path, ids):
        if file is not None and not file.is_file():
            raise RawDataError(f"{file}, named in params.yaml: no such file")
    names = set(items.drop_nulls())
    if settings.rows is not None:
        vectors = _by_row(path, items.drop_nulls().unique(maintain_order=True).to_list())
    elif ids is None:
        vectors = _from_parquet(path, settings.id_column, settings.column, names)
    else:
        vectors = _from_npy(path, ids, names)
    if not vectors:
        raise RawDataError(
            f"{path}: expected vectors of the dataset's items, got none of {len(names)} raw "
            f"ids, such as {next(iter(items.drop_nulls()), None)!r}"
        )
    preprocessing = {"vectors": f"as given in {path.name}"}
    if ids is not None:
        preprocessing |= {"ids": ids.name, "ids_sha256": sha256_of(ids)}
    return Extraction(
        dim=len(next(iter(vectors.values()))),
        weights=path.name,
        weights_sha256=sha256_of(path),
        preprocessing=preprocessing,
        versions=versions("numpy", "pyarrow"),
        vectors=[vectors.get(item) for item in items],
    )


def _from_parquet(path: Path, id_column: str, column: str, wanted: set[str]) -> Vectors:
    vectors: Vectors = {}
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow, id_column, column, path)
            for batch in file.iter_batches(ROWS, columns=[id_column, column]):
                names = batch[id_column].cast(pa.string()).to_pylist()
                valid = batch[column].is_valid().to_pylist()
                rows = [n for n, name in enumerate(names) if name in wanted and valid[n]]
                lists = batch[column].take(pa.array(rows, pa.int64()))
                _add_lists(vectors, [names[n] for n in rows], lists, path)
    except (pa.ArrowException, OSError) as error:
        raise RawDataError(f"{path}: expected a Parquet file, got {error}") from error
    return vectors


def _check_columns(schema: pa.Schema, id_column: str, column: str, path: Path) -> None:
    for key, name in (("id_column", id_column), ("column", column)):
        if schema.get_field_index(name) < 0:
            raise RawDataError(
                f"{path}: expected one column {name!r}, got {schema.names}; `{key}` of "
                "precomputed names another"
            )
    ids, lists = schema.field(id_column).type, schema.field(column).type
    if not any(is_type(ids) for is_type in ID_TYPES):
        raise RawDataError(
            f"{path}: expected column {id_column!r} to hold strings or whole numbers, got {ids}"
        )
    is_list = any(is_type(lists) for is_type in LIST_TYPES)
    if not is_list or not pa.types.is_floating(lists.value_type):
        raise RawDataError(
            f"{path}: expected column {column!r} to hold lists of float16, float32 or float64, "
            f"got {lists}"
        )


def _add_lists(vectors: Vectors, names: Sequence[str], lists: pa.Array, path: Path) -> None:
    """Add lists, none of them null, to `vectors`."""
    if not names:
        return
    widths = pc.list_value_length(lists).to_pylist()
    dim = len(next(iter(vectors.values()))) if vectors else widths[0]
    for name, width in zip(names, widths, strict=True):
        if width != dim or width == 0:
            raise RawDataError(
                f"{path}: expected vectors of one width, got {dim} numbers and, for {name!r}, "
                f"{width}"
            )
    values = lists.flatten().to_numpy(zero_copy_only=False)
    _add(vectors, names, values.reshape(-1, dim), path)


def _from_npy(path: Path, ids: Path, wanted: set[str]) -> Vectors:
    matrix = _open_npy(path)
    names, rows, n_lines = _wanted_lines(ids, wanted)
    if n_lines != len(matrix):
        raise RawDataError(
            f"{ids}: expected {len(matrix)} lines, one for each row of {path}, got {n_lines}"
        )
    vectors: Vectors = {}
    for first in range(0, len(rows), ROWS):
        block = slice(first, first + ROWS)
        _add(vectors, names[block], matrix[rows[block]], path)
    return vectors


def _by_row(path: Path, names: list[str]) -> Vectors:
    """Return the rows whose numbers are the ids."""
    matrix = _open_npy(path)
    vectors: Vectors = {}
    for first in range(0, len(names), ROWS):
        block = names[first : first + ROWS]
        for name in block:
            if not ROW.fullmatch(name) or int(name) >= len(matrix):
                raise RawDataError(
                    f"{path}: expected raw ids that are numbers of its {len(matrix)} rows, "
                    f"from 0 to {len(matrix) - 1}, got {name!r}; name a matrix with a row for "
                    "every item, or replace `rows` by `ids`, a file with the raw id of each row"
                )
        _add(vectors, block, matrix[[int(name) for name in block]], path)
    return vectors


def _open_npy(path: Path) -> np.ndarray:
    """Return the matrix, memory-mapped. Nothing is unpickled."""
    try:
        matrix: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except NO_NPY as error:
        raise RawDataError(f"{path}: expected a matrix in .npy format, got {error}") from error
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or matrix.shape[1] == 0:
        raise RawDataError(
            f"{path}: expected a matrix of float16, float32 or float64, got shape "
            f"{matrix.shape} of {matrix.dtype}"
        )
    return matrix


def _wanted_lines(ids: Path, wanted: set[str]) -> tuple[list[str], list[int], int]:
    """Return the wanted ids, their line numbers from 0, and the number of all lines."""
    names, rows, n_lines = [], [], 0
    try:
        with ids.open(encoding="utf-8-sig") as file:
            for row, line in enumerate(file):
                n_lines = row + 1
                if (name := line.rstrip("\n")) in wanted:
                    names.append(name)
                    rows.append(row)
    except (UnicodeDecodeError, OSError) as error:
        raise RawDataError(f"{ids}: expected ids in UTF-8, one a line, got {error}") from error
    return names, rows, n_lines


def _add(vectors: Vectors, names: Sequence[str], values: np.ndarray, path: Path) -> None:
    """Add the rows of a matrix to `vectors` as float32."""
    with np.errstate(over="ignore"):  # beyond float32 a number becomes infinite: refused below
        matrix = values.astype(np.float32)
    for name, vector in zip(names, matrix, strict=True):
        if name in vectors:
            raise RawDataError(f"{path}: expected one vector for each id, got two for {name!r}")
        if not np.isfinite(vector).all():
            raise RawDataError(
                f"{path}: expected finite numbers within float32, got others for {name!r}"
            )
        vectors[name] = vector
