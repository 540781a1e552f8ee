"""The user's own vectors, by the raw id of the item, from a Parquet or an .npy file.

    features.parquet        a column of ids and one of lists of numbers, all of one width
    features.npy, ids.txt   a matrix, and the id of each of its rows on a line

The vectors of the dataset's items are kept and no others, so that a file of a larger catalogue
does not have to fit in memory. Rows of other items are not checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.extractors import Extraction
from pipeline.job.errors import RawDataError
from pipeline.tables.features import Vector
from pipeline.tables.io import sha256_of

ROWS = 256  # read at once
# What numpy raises for a file that is not .npy, ends early or says something impossible.
NO_NPY = (ValueError, TypeError, OSError, EOFError, OverflowError, MemoryError)

Found: TypeAlias = dict[str, Vector]  # by raw id


def extract(
    items: pl.Series, path: Path, *, id_column: str, column: str, ids: Path | None
) -> Extraction:
    """Look every item up in a file of vectors.

    Args:
        items: the raw ids, (n,) strings.
        path: .parquet or .npy.
        id_column: of a .parquet file: strings, or whole numbers, which are taken as text.
        column: of a .parquet file: lists of float16, float32 or float64; null where an item has
            no vector.
        ids: UTF-8 text, where `path` is .npy.

    Returns:
        One float32 vector per item; None where the file has none.

    Raises:
        RawDataError: a file or a column is absent or of another kind, vectors differ in width
            or are not finite, an item occurs twice, or none of the items occurs.
    """
    for file in (path, ids):
        if file is not None and not file.is_file():
            raise RawDataError(f"{file}, named in params.yaml: no such file")
    wanted = set(items.drop_nulls())
    if ids is None:
        found = _from_parquet(path, id_column, column, wanted)
    else:
        found = _from_npy(path, ids, wanted)
    if not found:
        raise RawDataError(
            f"{path}: expected vectors of the dataset's items, got none of {len(wanted)} raw "
            f"ids, such as {next(iter(items.drop_nulls()), None)!r}"
        )
    preprocessing = {"vectors": f"as given in {path.name}"}
    if ids is not None:
        preprocessing |= {"ids": ids.name, "ids_sha256": sha256_of(ids)}
    return Extraction(
        dim=len(next(iter(found.values()))),
        weights=path.name,
        weights_sha256=sha256_of(path),
        preprocessing=preprocessing,
        versions={"numpy": np.__version__, "pyarrow": pa.__version__},
        vectors=[found.get(item) for item in items],
    )


def _from_parquet(path: Path, id_column: str, column: str, wanted: set[str]) -> Found:
    found: Found = {}
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow, id_column, column, path)
            for batch in file.iter_batches(ROWS, columns=[id_column, column]):
                names = batch[id_column].cast(pa.string()).to_pylist()
                there = batch[column].is_valid().to_pylist()
                rows = [n for n, name in enumerate(names) if name in wanted and there[n]]
                vectors = batch[column].take(pa.array(rows, pa.int64()))
                _keep_lists(found, [names[n] for n in rows], vectors, path)
    except (pa.ArrowException, OSError) as error:
        raise RawDataError(f"{path}: expected a Parquet file, got {error}") from error
    return found


def _check_columns(schema: pa.Schema, id_column: str, column: str, path: Path) -> None:
    for key, name in (("id_column", id_column), ("column", column)):
        if schema.get_field_index(name) < 0:
            raise RawDataError(
                f"{path}: expected one column {name!r}, got {schema.names}; `{key}` of "
                "precomputed names another"
            )
    ids, vectors = schema.field(id_column).type, schema.field(column).type
    if not (
        pa.types.is_string(ids) or pa.types.is_large_string(ids) or pa.types.is_integer(ids)
    ):
        raise RawDataError(
            f"{path}: expected column {id_column!r} to hold strings or whole numbers, got {ids}"
        )
    is_list = (
        pa.types.is_list(vectors)
        or pa.types.is_large_list(vectors)
        or pa.types.is_fixed_size_list(vectors)
    )
    if not is_list or not pa.types.is_floating(vectors.value_type):
        raise RawDataError(
            f"{path}: expected column {column!r} to hold lists of float16, float32 or float64, "
            f"got {vectors}"
        )


def _keep_lists(found: Found, names: Sequence[str], vectors: pa.Array, path: Path) -> None:
    """Add lists, none of them null, to `found`."""
    if not names:
        return
    widths = pc.list_value_length(vectors).to_pylist()
    dim = len(next(iter(found.values()))) if found else widths[0]
    for name, width in zip(names, widths, strict=True):
        if width != dim or width == 0:
            raise RawDataError(
                f"{path}: expected vectors of one width, got {dim} numbers and, for {name!r}, "
                f"{width}"
            )
    values = vectors.flatten().to_numpy(zero_copy_only=False)
    _keep(found, names, values.reshape(-1, dim), path)


def _from_npy(path: Path, ids: Path, wanted: set[str]) -> Found:
    matrix = _open_npy(path)
    names, rows, n_lines = _wanted_lines(ids, wanted)
    if n_lines != len(matrix):
        raise RawDataError(
            f"{ids}: expected {len(matrix)} lines, one for each row of {path}, got {n_lines}"
        )
    found: Found = {}
    for first in range(0, len(rows), ROWS):
        some = slice(first, first + ROWS)
        _keep(found, names[some], matrix[rows[some]], path)
    return found


def _open_npy(path: Path) -> np.ndarray:
    """Return the matrix, left on disk. Nothing is unpickled."""
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
    """Return the wanted names, their line numbers from 0, and the number of all lines."""
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


def _keep(found: Found, names: Sequence[str], values: np.ndarray, path: Path) -> None:
    """Add the rows of a matrix to `found` as float32."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        matrix = values.astype(np.float32)
    for name, vector in zip(names, matrix, strict=True):
        if name in found:
            raise RawDataError(f"{path}: expected one vector for each id, got two for {name!r}")
        if not np.isfinite(vector).all():
            raise RawDataError(
                f"{path}: expected finite numbers within float32, got others for {name!r}"
            )
        found[name] = vector
