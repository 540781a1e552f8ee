"""The tables of data/processed/<dataset>/ with their numbers checked.

A table whose columns have the right types may still be of another run: its ids may not be
those of users.parquet and items.parquet, rows may be there twice, or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.job.errors import ParamsError, SchemaError
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, read_metadata, read_parquet

PART_FILES = {s.TRAIN: s.TRAIN_FILE, s.VALIDATION: s.VALIDATION_FILE, s.TEST: s.TEST_FILE}
NUMBERED = {s.USER: f"users of {s.USERS_FILE}", s.ITEM: f"items of {s.ITEMS_FILE}"}
STATISTICS = ("users", "items", "interactions", "density", "rounds")  # that pages show
AGAIN = "; run the stages kcore and split again"


def read_users(folder: Path) -> pl.DataFrame:
    """Read users.parquet, a row per user, ascending from 0.

    Raises:
        SchemaError: the file is missing or damaged, a user is missing or there twice, or two
            have the same raw id.
    """
    return _numbered(folder / s.USERS_FILE, s.USERS, s.USER)


def read_items(folder: Path) -> pl.DataFrame:
    """Read items.parquet, as `read_users` reads the users."""
    return _numbered(folder / s.ITEMS_FILE, s.ITEMS, s.ITEM)


def text_column(items: pl.DataFrame, field: str, where: str) -> pl.Series:
    """Return a string or list<string> column of the items.

    Args:
        items: what `read_items` returned.
        field: the column.
        where: the key of params.yaml that names it, less `.field`.

    Raises:
        ParamsError: there is no such column.
    """
    texts = {
        name for name, dtype in items.schema.items() if dtype in (pl.String, pl.List(pl.String))
    }
    if field not in texts:
        raise ParamsError(
            f"params.yaml: {where}.field: expected one of {sorted(texts)}, the columns of text "
            f"in {s.ITEMS_FILE}, got {field!r}"
        )
    return items[field]


def read_interactions(folder: Path, n_users: int, n_items: int) -> pl.DataFrame:
    """Read interactions.parquet, of which every pair is there once.

    Raises:
        SchemaError: as `read_part`; or a pair is there twice.
    """
    path = folder / s.INTERACTIONS_FILE
    rows = read_parquet(path, s.INTERACTIONS)
    check_ids(rows, path, {s.USER: n_users, s.ITEM: n_items}, AGAIN)
    check_once(rows, path, (s.USER, s.ITEM), AGAIN)
    return rows


def read_part(folder: Path, part: str, n_users: int, n_items: int) -> pl.DataFrame:
    """Read train, validation or test.

    Raises:
        SchemaError: the file is missing or damaged, or has a user or an item that is not one of
            the numbers from 0 to `n_users` - 1 and `n_items` - 1.
    """
    path = folder / PART_FILES[part]
    rows = read_parquet(path, s.INTERACTIONS)
    check_ids(rows, path, {s.USER: n_users, s.ITEM: n_items}, AGAIN)
    return rows


def read_candidates(folder: Path, part: str, n_users: int, n_items: int) -> pl.DataFrame:
    """Read a part's rows of candidates.parquet.

    Raises:
        SchemaError: as `read_part`; there are no rows, a row is there twice, or a negative is
            no item.
    """
    path = folder / s.CANDIDATES_FILE
    rows = read_parquet(path, s.CANDIDATES)
    again = "; run the stage split again"
    if (of_part := rows.filter(pl.col(s.PART) == part)).is_empty():
        raise SchemaError(f"{path}: expected rows of part {part!r}, got none{again}")
    check_ids(rows, path, {s.USER: n_users, s.ITEM: n_items}, again)
    check_once(rows, path, (s.USER, s.PART, s.ITEM), again)
    lists = pl.col("negatives").arr
    low, high = rows.select(
        lists.min().min().alias("low"), lists.max().max().alias("high")
    ).row(0)
    n_null = rows["negatives"].null_count() + rows["negatives"].explode().null_count()
    if n_null or low < 0 or high >= n_items:
        raise SchemaError(
            f"{path}: expected negatives from 0 to {n_items - 1}, the items, got {low} to "
            f"{high} and {n_null} without a value{again}"
        )
    return of_part


def read_split(folder: Path) -> dict[str, Any]:
    """Return the split's method and counts; `{}` for leave-one-out and published splits.

    Raises:
        SchemaError: candidates.parquet is missing or damaged.
    """
    return dict(json.loads(read_metadata(folder / s.CANDIDATES_FILE).get(s.SPLIT, "{}")))


def is_cold(split: Mapping[str, Any]) -> bool:
    """Return whether the split holds out items; see `read_split`."""
    return bool(split.get("method") == s.COLD_ITEMS)


def check_ids(rows: pl.DataFrame, path: Path, sizes: Mapping[str, int], again: str) -> None:
    """Raise SchemaError unless each column of `sizes` is from 0 to its size - 1, no nulls."""
    for name, size in sizes.items():
        bad = rows.filter(pl.col(name).is_between(0, size - 1).fill_null(False).not_())
        if bad.height:
            raise SchemaError(
                f"{path}: expected {NUMBERED.get(name, name)} from 0 to {size - 1}, got "
                f"{bad[name][0]} in {bad.height} of {rows.height} rows{again}"
            )


def check_once(rows: pl.DataFrame, path: Path, columns: tuple[str, ...], again: str) -> None:
    """Raise SchemaError if two rows have the same values in `columns`."""
    first = rows.filter(rows.select(columns).is_duplicated()).head(1)
    if first.height:
        values = ", ".join(f"{name} {first[name][0]!r}" for name in columns)
        raise SchemaError(f"{path}: expected every row once, got two of {values}{again}")


def check_same_split(folder: Path, parts: Mapping[str, pl.DataFrame]) -> None:
    """Raise SchemaError if candidates.parquet was drawn beside other parts than these.

    The stage split writes the digest of each part into its metadata.
    """
    path = folder / s.CANDIDATES_FILE
    expected = json.loads(read_metadata(path).get(s.PARTS, "{}"))
    for part, rows in parts.items():
        if expected.get(part, digest(rows)) != digest(rows):
            raise SchemaError(
                f"{folder / PART_FILES[part]}: expected the rows beside which {path.name} was "
                f"drawn, got others ({rows.height} rows); run the stage split again"
            )


def check_counts(folder: Path, parts: Mapping[str, pl.DataFrame]) -> None:
    """Raise SchemaError unless the parts have as many rows as statistics.json counts.

    In a published split the validation items are in train as well.
    """
    statistics = read_json(folder / s.STATISTICS_FILE, STATISTICS)
    train, validation, test = (parts[name].height for name in (s.TRAIN, s.VALIDATION, s.TEST))
    if statistics["interactions"] not in (train + test, train + validation + test):
        raise SchemaError(
            f"{folder}: expected the {statistics['interactions']} interactions of "
            f"{s.STATISTICS_FILE} in the three parts, got {train} in {s.TRAIN_FILE}, "
            f"{validation} in {s.VALIDATION_FILE} and {test} in {s.TEST_FILE}{AGAIN}"
        )


def digest(*tables: pl.DataFrame) -> str:
    """Return the sha256 of tables' ids: of the columns user, item and raw_id that they have."""
    total = hashlib.sha256()
    for table in tables:
        for name in (s.USER, s.ITEM):
            if name in table.columns:
                total.update(table[name].to_numpy().tobytes())
        if s.RAW_ID in table.columns:
            total.update(json.dumps(table[s.RAW_ID].to_list()).encode())
    return total.hexdigest()


def _numbered(path: Path, columns: s.Columns, name: str) -> pl.DataFrame:
    rows = read_parquet(path, columns)
    if rows.is_empty():
        raise SchemaError(f"{path}: expected a row per {name}, got none{AGAIN}")
    check_ids(rows, path, {name: rows.height}, AGAIN)
    check_once(rows, path, (name,), AGAIN)
    check_once(rows, path, (s.RAW_ID,), AGAIN)
    return rows.sort(name)
