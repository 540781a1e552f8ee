"""Text ids as integer codes: each text is stored once, each row takes 4 bytes.

A dump repeats every id in many rows. Reading the column as a categorical converts it to codes
from 0 while it streams in; joins, counts and sorts then work on the codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.job.errors import SchemaError
from pipeline.tables.io import scan_parquet
from pipeline.tables.schema import ITEM, PART, RAW_ID, RAW_ITEMS, REVIEWS, USER

Codes = npt.NDArray[np.int32]


def read_reviews(path: Path) -> pl.DataFrame:
    """Read `reviews.parquet` with users and items as categoricals, without `part`.

    The order of the codes is arbitrary and may differ between two reads.

    Raises:
        SchemaError: the file is missing, damaged or not a table of reviews, or a row lacks its
            user or item.
    """
    ids = [pl.col(name).cast(_new_categorical()) for name in (USER, ITEM)]
    reviews = scan_parquet(path, REVIEWS).select(*ids, pl.exclude(USER, ITEM, PART))
    table = reviews.collect(engine="streaming")
    for name in (USER, ITEM):
        if n := table[name].null_count():
            raise SchemaError(
                f"{path}: expected a {name} in every row, got {n} of {table.height} without; "
                "run the stage ingest again"
            )
    return table


def read_items(
    path: Path, ids: pl.Series, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Read the items with these ids, in the order of the file.

    Args:
        path: a table of schema.RAW_ITEMS.
        ids: a column of ids from `read_reviews`; `raw_id` gets its type.
        columns: what to read beside `raw_id`; default: all.
    """
    items = scan_parquet(path, RAW_ITEMS)
    if columns is not None:
        items = items.select(RAW_ID, *columns)
    texts = ids.unique().cast(pl.String).to_frame(RAW_ID).lazy()
    kept = items.join(texts, on=RAW_ID, how="semi", maintain_order="left")
    return kept.with_columns(pl.col(RAW_ID).cast(ids.dtype)).collect(engine="streaming")


def codes_of(ids: pl.Series) -> Codes:
    """Return (N,) codes from 0, with few or no gaps; equal ids have equal codes."""
    return _categorical(ids).to_physical().cast(pl.Int32).to_numpy()


def positions(ids: pl.Series, distinct: pl.Series) -> Codes:
    """Return (N,) the index in `distinct` of each of `ids`; -1 if it is not there."""
    ids = _categorical(ids)
    codes, distinct_codes = codes_of(ids), codes_of(distinct.cast(pl.String).cast(ids.dtype))
    size = max(codes.max(initial=-1), distinct_codes.max(initial=-1)) + 1
    index = np.full(size, -1, dtype=np.int32)
    index[distinct_codes] = np.arange(len(distinct_codes), dtype=np.int32)
    return index[codes]


def is_repeated(users: Codes, items: Codes) -> npt.NDArray[np.bool_]:
    """Return (N,) whether another row has the same (user, item) pair."""
    pairs = _pairs(users, items)
    ordered = np.sort(pairs)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return pl.Series(pairs).is_in(pl.Series(repeated).implode()).to_numpy()


def n_pairs(users: Codes, items: Codes) -> int:
    """Return the number of distinct (user, item) pairs."""
    ordered = np.sort(_pairs(users, items))
    return len(ordered) - int(np.count_nonzero(ordered[1:] == ordered[:-1]))


def _pairs(users: Codes, items: Codes) -> npt.NDArray[np.int64]:
    """Return (N,) a number for each (user, item) pair."""
    return users * (items.max(initial=0) + np.int64(1)) + items


def _categorical(ids: pl.Series) -> pl.Series:
    if isinstance(ids.dtype, pl.Categorical):
        return ids
    return ids.cast(pl.String).cast(_new_categorical())


def _new_categorical() -> pl.Categorical:
    # Categories shared with another column would leave gaps in the codes.
    return pl.Categorical(pl.Categories.random())
