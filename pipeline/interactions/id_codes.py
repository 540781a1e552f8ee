"""Ids as numbers: the texts are kept once, and the rows of a table hold 4 bytes each.

A dump repeats every id in many rows. Reading the column as a categorical of its own turns it
into codes from 0 while it streams in; joins, counts and sorts then work on the codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.tables.io import scan_parquet
from pipeline.tables.schema import ITEM, PART, RAW_ID, RAW_ITEMS, REVIEWS, USER

Codes = npt.NDArray[np.int32]


def read_reviews(path: Path) -> pl.DataFrame:
    """Read `reviews.parquet` with users and items as categoricals, without `part`.

    The order of the codes is arbitrary, and may differ between two readings.

    Raises:
        SchemaError: the file is absent or no table of reviews.
    """
    ids = [pl.col(name).cast(_own_categories()) for name in (USER, ITEM)]
    return _collected(scan_parquet(path, REVIEWS).select(*ids, pl.exclude(USER, ITEM, PART)))


def read_items(
    path: Path, like: pl.Series, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Read the items whose id is among the values of `like`, in the order of the file.

    Args:
        path: a table of schema.RAW_ITEMS.
        like: a column of ids as `read_reviews` gives them; `raw_id` gets its type.
        columns: what to read beside `raw_id`; all if left out.
    """
    table = scan_parquet(path, RAW_ITEMS)
    there = table if columns is None else table.select(RAW_ID, *columns)
    wanted = like.unique().cast(pl.String).to_frame(RAW_ID).lazy()
    kept = there.join(wanted, on=RAW_ID, how="semi", maintain_order="left")
    return _collected(kept.with_columns(pl.col(RAW_ID).cast(like.dtype)))


def codes_of(ids: pl.Series) -> Codes:
    """Return (N,) numbers from 0 that are equal where the ids are; few or none are left out."""
    return _coded(ids).to_physical().cast(pl.Int32).to_numpy()


def places(ids: pl.Series, among: pl.Series) -> Codes:
    """Return (N,) where in `among`, of distinct ids, each of `ids` stands; -1 if nowhere."""
    ids = _coded(ids)
    wanted, given = codes_of(among.cast(pl.String).cast(ids.dtype)), codes_of(ids)
    size = max(wanted.max(initial=-1), given.max(initial=-1)) + 1
    found = np.full(size, -1, dtype=np.int32)
    found[wanted] = np.arange(len(wanted), dtype=np.int32)
    return found[given]


def recurring(users: Codes, items: Codes) -> npt.NDArray[np.bool_]:
    """Mark the rows, (N,), whose (user, item) pair stands in another row as well."""
    pairs = _pairs(users, items)
    ordered = np.sort(pairs)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return pl.Series(pairs).is_in(pl.Series(twice).implode()).to_numpy()


def n_pairs(users: Codes, items: Codes) -> int:
    """Return how many different (user, item) pairs there are."""
    ordered = np.sort(_pairs(users, items))
    return len(ordered) - int(np.count_nonzero(ordered[1:] == ordered[:-1]))


def _pairs(users: Codes, items: Codes) -> npt.NDArray[np.int64]:
    """Return (N,) one number for each (user, item)."""
    return users * (items.max(initial=0) + np.int64(1)) + items


def _coded(ids: pl.Series) -> pl.Series:
    is_coded = isinstance(ids.dtype, pl.Categorical)
    return ids if is_coded else ids.cast(pl.String).cast(_own_categories())


def _own_categories() -> pl.Categorical:
    # Codes of categories that somebody else fills as well would have gaps.
    return pl.Categorical(pl.Categories.random())


def _collected(table: pl.LazyFrame) -> pl.DataFrame:
    return table.collect(engine="streaming")
