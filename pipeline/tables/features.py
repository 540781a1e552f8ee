"""The features of one modality: write row by row, read back as arrays.

    present, feature, metadata = read_features(Path("data/features/beauty/visual.parquet"))

One row per item, ascending: `item` int32, `present` bool, `feature` fixed-size list<float32>.
An item without content has `present` false and zeros. The schema's metadata (`METADATA`) tells
how the features were computed. Extractors are not imported: training does not need them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.job.errors import SchemaError
from pipeline.tables.io import replacing, text_metadata
from pipeline.tables.schema import FEATURE, ITEM, PRESENT
from pipeline.tables.verified import PARQUET, opened

STAGE = "`python -m pipeline.features`"
AGAIN = "; run the stage features again"
ROWS_PER_GROUP = 256  # 4 MB of 4096-d features
METADATA = (
    "extractor",  # its name in the registry; `none` where the dataset lacks the modality
    "weights",  # the setting, in full if untrained
    "weights_sha256",
    "field",  # the column of items.parquet
    "dim",
    "preprocessing",  # JSON
    "versions",  # JSON: library -> version
)
DIGEST = "sha256"  # the key of the file's metadata that has the `digest_of` its features
Vector: TypeAlias = npt.NDArray[np.float32]  # (dim,)


def write_features(
    vectors: Iterable[Vector | None], path: Path, *, dim: int, metadata: Mapping[str, str]
) -> int:
    """Write one row per item, keeping only one block of rows in memory.

    Args:
        vectors: a (dim,) float32 vector per item, ascending; None for an item without content.
        path: the final name.
        dim: length of every vector.
        metadata: the entries of `METADATA`.

    Returns:
        The number of items with content.
    """
    schema = _schema(dim).with_metadata(dict(sorted(metadata.items())))
    remaining, first, n_present = iter(vectors), 0, 0
    digest = hashlib.sha256()
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, schema, use_dictionary=False, **PARQUET) as writer,
    ):
        while block := list(islice(remaining, ROWS_PER_GROUP)):
            batch = _batch(block, first, dim, schema)
            digest.update(batch.column(FEATURE).flatten().to_numpy())
            writer.write_batch(batch)
            first += len(block)
            n_present += sum(vector is not None for vector in block)
        writer.add_key_value_metadata({DIGEST: digest.hexdigest()})
    return n_present


def digest_of(feature: npt.NDArray[np.float32 | np.int64]) -> str:
    """Return the sha256 of a matrix of features or tokens: equal ones have equal numbers."""
    return hashlib.sha256(np.ascontiguousarray(feature).data).hexdigest()


def read_digest(path: Path) -> str | None:
    """Return the `digest_of` a file's features without reading them; None if it has none.

    Raises:
        SchemaError: the file is missing or damaged.
    """
    with opened(path, STAGE) as file:
        found = (file.metadata.metadata or {}).get(DIGEST.encode())
        return found.decode() if found else None


def write_no_features(path: Path, field: str = "") -> None:
    """Write the table of a modality that the dataset lacks: no rows, width 1, dim 0."""
    metadata = dict.fromkeys(METADATA, "") | {"extractor": "none", "dim": "0", "field": field}
    metadata |= {"preprocessing": "{}", "versions": "{}"}
    write_features([], path, dim=1, metadata=metadata)


def read_features(
    path: Path,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32], dict[str, str]]:
    """Read a modality's features.

    Args:
        path: data/features/<dataset>/<modality>.parquet.

    Returns:
        present: (n_items,) bool.
        feature: (n_items, dim) float32, zero where not present. (0, 1) if the dataset lacks the
            modality; the metadata then has extractor `none` and dim `0`.
        metadata: the entries of `METADATA`.

    Raises:
        SchemaError: the file is missing, has other columns or types, items that are not 0, 1,
            2, ..., numbers that are not finite, or a non-zero row that is not present.
    """
    with opened(path, STAGE, memory_map=True) as file:
        dim, metadata = _check_schema(file.schema_arrow, path)
        n_items = file.metadata.num_rows
        item = np.empty(n_items, np.int32)
        present = np.empty(n_items, np.bool_)
        feature = np.empty((n_items, dim), np.float32)
        n_read = 0
        for batch in file.iter_batches(ROWS_PER_GROUP, columns=[ITEM, PRESENT, FEATURE]):
            rows = slice(n_read, n_read + batch.num_rows)
            n_read += batch.num_rows
            item[rows] = batch.column(ITEM).to_numpy()
            present[rows] = batch.column(PRESENT).to_numpy(zero_copy_only=False)
            feature[rows] = batch.column(FEATURE).flatten().to_numpy().reshape(-1, dim)
    _check_rows(item, present, feature, path)
    return present, feature, metadata


def read_present(path: Path, n_items: int) -> npt.NDArray[np.bool_]:
    """Read which items have the modality, (n_items,) bool, without the features.

    Raises:
        SchemaError: the file is missing, or does not have one row per item.
    """
    with opened(path, STAGE, memory_map=True) as file:
        _check_schema(file.schema_arrow, path)
        table = file.read(columns=[ITEM, PRESENT])
    if not np.array_equal(table[ITEM].to_numpy(), np.arange(n_items)):
        raise SchemaError(
            f"{path}: expected {n_items} rows, one per item, got {table.num_rows}{AGAIN}"
        )
    return np.asarray(table[PRESENT].to_numpy())


def has_features(path: Path) -> bool:
    """Return whether a file has features; false for a modality that the dataset lacks."""
    return read_feature_metadata(path)["dim"] != "0"


def read_feature_metadata(path: Path) -> dict[str, str]:
    """Read the entries of `METADATA` without the rows.

    Raises:
        SchemaError: the file is missing, or has other columns or metadata.
    """
    with opened(path, STAGE) as file:
        return _check_schema(file.schema_arrow, path)[1]


def _schema(dim: int) -> pa.Schema:
    width = pa.list_(pa.float32(), dim)
    return pa.schema([(ITEM, pa.int32()), (PRESENT, pa.bool_()), (FEATURE, width)])


def _batch(
    block: list[Vector | None], first: int, dim: int, schema: pa.Schema
) -> pa.RecordBatch:
    feature = np.zeros((len(block), dim), np.float32)
    for row, vector in enumerate(block):
        if vector is not None:
            feature[row] = vector
    present = [vector is not None for vector in block]
    columns = [
        pa.array(np.arange(first, first + len(block), dtype=np.int32)),
        pa.array(present, pa.bool_()),
        pa.FixedSizeListArray.from_arrays(pa.array(feature.reshape(-1)), dim),
    ]
    return pa.record_batch(columns, schema=schema)


def _check_schema(schema: pa.Schema, path: Path) -> tuple[int, dict[str, str]]:
    """Return the width of `feature` and the metadata, or raise SchemaError."""
    metadata = text_metadata(schema)
    absent = [key for key in METADATA if key not in metadata]
    if absent:
        raise SchemaError(
            f"{path}: expected metadata {list(METADATA)}, got none for {absent}{AGAIN}"
        )
    width = schema.field(FEATURE).type if FEATURE in schema.names else pa.null()
    dim = width.list_size if pa.types.is_fixed_size_list(width) else 0
    expected = _schema(dim) if dim else _schema(1)
    got = pa.schema([field for field in schema if field.name in expected.names])
    if not got.equals(expected):
        wanted, found = (
            ", ".join(f"{field.name} {field.type}" for field in fields)
            for fields in (expected, schema)
        )
        raise SchemaError(f"{path}: expected columns {wanted}, got {found}{AGAIN}")
    if metadata["dim"] != str(dim) and metadata["extractor"] != "none":
        raise SchemaError(
            f"{path}: expected {metadata['dim']} numbers per item, got {dim}{AGAIN}"
        )
    return dim, {key: metadata[key] for key in METADATA}


def _check_rows(item: np.ndarray, present: np.ndarray, feature: np.ndarray, path: Path) -> None:
    if not np.array_equal(item, np.arange(len(item))):
        raise SchemaError(
            f"{path}: expected items 0, 1, 2, ..., got {item[:5].tolist()}...{AGAIN}"
        )
    if not np.isfinite(feature).all():
        raise SchemaError(
            f"{path}: expected finite numbers in `feature`, got NaN or infinity{AGAIN}"
        )
    if feature[~present].any():
        raise SchemaError(
            f"{path}: expected zeros where `present` is false, got other numbers{AGAIN}"
        )
