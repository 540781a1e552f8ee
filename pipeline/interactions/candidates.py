"""The negatives beside which each held-out interaction is ranked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.interactions.splits import Parts
from pipeline.job.errors import RawDataError
from pipeline.tables import schema as s

Ids = npt.NDArray[np.int64]


def candidates(
    parts: Parts,
    users: pl.DataFrame,
    n_items: int,
    n: int,
    seed: int,
    ranked: Parts | None = None,
    pools: Mapping[str, pl.Series] | None = None,
) -> pl.DataFrame:
    """Draw the negatives of every held-out interaction.

    Args:
        parts: `train`, `validation` and `test`.
        users: schema.USERS; an error names the raw id.
        n_items: number of items.
        n: N, negatives of each held-out interaction.
        seed: of the draws.
        ranked: parts with only the held-out interactions to rank; default: `parts`.
        pools: of validation and test, the items to draw from; default: all.

    Returns:
        schema.CANDIDATES, sorted by part (validation first) and user.

    Raises:
        RawDataError: a user has fewer than N other items.
    """
    met = pl.concat([rows.select(s.USER, s.ITEM) for rows in parts.values()]).unique()
    keys = np.sort((met[s.USER].cast(pl.Int64) * n_items + met[s.ITEM]).to_numpy())
    held_out = {
        part: (ranked or parts)[part].select(s.USER, s.ITEM) for part in (s.VALIDATION, s.TEST)
    }
    if pools is None:
        _check_room(met, pl.concat(held_out.values()), users, n_items, n)
    else:
        _check_pools(met, held_out, users, pools, n)
    generator = np.random.default_rng(seed)
    tables = []
    for part, rows in held_out.items():
        pool = None if pools is None else pools[part].to_numpy().astype(np.int64)
        negatives = _negatives(rows[s.USER].to_numpy(), n, keys, n_items, generator, pool)
        array = pl.Series("negatives", negatives, dtype=pl.Array(pl.Int32, n))
        tables.append(rows.with_columns(pl.lit(part).alias(s.PART), array))
    return pl.concat(tables).select(list(s.CANDIDATES))


def _check_room(
    met: pl.DataFrame, held_out: pl.DataFrame, users: pl.DataFrame, n_items: int, n: int
) -> None:
    """Refuse a user with fewer than `n` items to draw, or than one if nothing is ranked."""
    is_ranked = pl.col(s.USER).is_in(held_out[s.USER].unique().to_list())
    left = met.group_by(s.USER).agg((n_items - pl.len().cast(pl.Int64)).alias("left"))
    short = left.filter(pl.col("left") < pl.when(is_ranked).then(n).otherwise(1))
    if short.is_empty():
        return
    user, others = short.sort("left", s.USER).row(0)
    lower = f"Lower evaluate.candidates to {others}, or use" if others else "Use"
    bot = ""
    if n_items > n and 2 * short.height <= left.height:  # else it is the catalogue
        bot = (
            "; a bot or a test account is left out by kcore.max_per_user: "
            f"{min(n_items - n, n_items - others - 1)}"
        )
    elif n_items <= n and not others:
        lower = f"Lower evaluate.candidates, well below {n_items}, or use"
    raise RawDataError(
        f"split: user {users[s.RAW_ID][user]!r} met {n_items - others} of {n_items} items; "
        f"expected at least {n} others to draw candidates from, got {others}. {lower} a larger "
        f"catalogue (more of the dump, or a lower kcore.k){bot}"
    )


def _check_pools(
    met: pl.DataFrame,
    held_out: Parts,
    users: pl.DataFrame,
    pools: Mapping[str, pl.Series],
    n: int,
) -> None:
    """Refuse a ranked user with fewer than `n` items to draw from a part's cold items."""
    for part, rows in held_out.items():
        size = len(pools[part])
        of_pool = met.filter(pl.col(s.ITEM).is_in(pools[part].to_list()))
        counts = of_pool.join(rows, on=s.USER, how="semi").group_by(s.USER).len("met")
        if counts.is_empty() or size - (most := counts["met"].to_numpy().max()) >= n:
            continue
        user, others = (
            counts.sort(s.USER).filter(pl.col("met") == most)[s.USER][0],
            size - int(most),
        )
        lower = f"Lower evaluate.candidates to {others} or less, give" if others else "Give"
        raise RawDataError(
            f"split: user {users[s.RAW_ID][user]!r} met {most} of the {size} cold items of "
            f"{part}; expected at least {n} others to draw candidates from, got {others}. "
            f"{lower} {part} a larger share of the items in split.shares, or use a larger "
            "catalogue"
        )


def _negatives(
    users: npt.NDArray[np.int32],
    n: int,
    keys: Ids,
    n_items: int,
    generator: np.random.Generator,
    pool: Ids | None = None,
) -> npt.NDArray[np.int32]:
    """Draw N distinct items that the user has in no part for each of `users`, (U, N).

    Met and repeated items are drawn again until there are none, so the result is uniform over
    all valid lists. Items are drawn from `pool`, by default from all.
    """
    drawn = np.full((len(users), n), -1, dtype=np.int64)
    rows, bad = np.arange(len(users)), np.ones_like(drawn, dtype=bool)
    while len(rows):
        lists = drawn[rows]
        places = generator.integers(n_items if pool is None else len(pool), size=int(bad.sum()))
        lists[bad] = places if pool is None else pool[places]
        drawn[rows] = lists
        bad = _met(users[rows], lists, keys, n_items) | _repeated(lists)
        unfinished = bad.any(axis=1)
        rows, bad = rows[unfinished], bad[unfinished]
    return drawn.astype(np.int32)


def _met(
    users: npt.NDArray[np.int32], items: Ids, keys: Ids, n_items: int
) -> npt.NDArray[np.bool_]:
    pairs = users[:, None].astype(np.int64) * n_items + items
    index = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
    return np.asarray(keys[index] == pairs)


def _repeated(rows: Ids) -> npt.NDArray[np.bool_]:
    """Mark every value that also occurs further left in its row."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    equals_previous = np.zeros(rows.shape, dtype=bool)
    equals_previous[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    is_repeated = np.empty_like(equals_previous)
    np.put_along_axis(is_repeated, order, equals_previous, axis=1)
    return is_repeated
