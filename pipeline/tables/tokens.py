"""The tokens of a dataset's items: written as one table, read back as pairs.

    data/tokens/<dataset>.parquet

One row per item, ascending: `item` int32, and a list<int32> column for each kind of tokens. The
schema's metadata has an entry for each kind, JSON with the keys of `METADATA`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.job.errors import SchemaError
from pipeline.tables.io import read_metadata, read_parquet, write_parquet
from pipeline.tables.schema import ITEM, Columns

AGAIN = "; run the stage tokens again"
METADATA = (
    "extractor",
    "read",  # the field of items.parquet, or the feature
    "settings",
    "vocabulary",  # how many tokens there are; ids are below
    "tokens",  # how many the items have together
    "preprocessing",
    "versions",  # library -> version
)
TOKENS = pl.List(pl.Int32)
Pairs = npt.NDArray[np.int64]  # (E, 2): item and token


def tokens_path(features: Path) -> Path:
    """Return the tokens that belong to a folder of features, by the layout of data/.

    data/tokens/<dataset>.parquet lies beside data/features/<dataset>.
    """
    return features.parent.parent / "tokens" / f"{features.name}.parquet"


def write_tokens(
    kinds: Mapping[str, pl.Series],
    metadata: Mapping[str, Mapping[str, Any]],
    n_items: int,
    path: Path,
) -> None:
    """Write one row per item; without kinds only the column `item`.

    Args:
        kinds: (I,) list<int32> each, never null.
        metadata: `{kind: values of METADATA}`.
        n_items: I.
        path: the final name.
    """
    table = pl.DataFrame({ITEM: pl.int_range(n_items, dtype=pl.Int32, eager=True), **kinds})
    entries = {kind: json.dumps(values, sort_keys=True) for kind, values in metadata.items()}
    write_parquet(table, path, entries)


def read_tokens(path: Path, kinds: list[str], n_items: int) -> dict[str, Pairs]:
    """Return `{kind: pairs of item and token}` in the given order, sorted by both.

    Raises:
        SchemaError: the file is missing or damaged, lacks a kind or its metadata, does not have
            one row per item, or a token is outside the vocabulary or twice at an item.
    """
    columns: Columns = {ITEM: pl.Int32, **dict.fromkeys(kinds, TOKENS)}
    table = read_parquet(path, columns)
    if not np.array_equal(table[ITEM].to_numpy(), np.arange(n_items)):
        raise SchemaError(
            f"{path}: expected {n_items} rows, one per item, got {table.height}{AGAIN}"
        )
    described = read_token_metadata(path)
    pairs = {}
    for kind in kinds:
        rows = table.select(ITEM, kind).explode(kind, empty_as_null=False, keep_nulls=False)
        pairs[kind] = rows.to_numpy().astype(np.int64).reshape(-1, 2)
        _check(pairs[kind], described.get(kind, {}), f"{path}: {kind}")
    return pairs


def _check(pairs: Pairs, described: Mapping[str, Any], where: str) -> None:
    if missing := [key for key in METADATA if key not in described]:
        raise SchemaError(f"{where}: expected metadata {missing}, got none{AGAIN}")
    tokens = pairs[:, 1]
    if len(tokens) != described["tokens"]:
        raise SchemaError(
            f"{where}: expected {described['tokens']} tokens, got {len(tokens)}{AGAIN}"
        )
    if len(tokens) and (tokens.min() < 0 or tokens.max() >= described["vocabulary"]):
        raise SchemaError(
            f"{where}: expected tokens in [0, {described['vocabulary']}), got "
            f"{tokens.min()} to {tokens.max()}{AGAIN}"
        )
    steps = np.diff(pairs, axis=0)
    if not ((steps[:, 0] > 0) | (steps[:, 1] > 0)).all():
        raise SchemaError(
            f"{where}: expected the tokens of an item in ascending order, each once{AGAIN}"
        )


def read_token_metadata(path: Path) -> dict[str, dict[str, Any]]:
    """Return `{kind: values of METADATA}`.

    Raises:
        SchemaError: the file is missing or damaged.
    """
    return {kind: json.loads(text) for kind, text in read_metadata(path).items()}
