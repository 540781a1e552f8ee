"""Stage `kcore`: keep users and items with at least k interactions each.

    data/interim/D/{reviews,items}.parquet
        -> data/processed/D/{interactions,users,items}.parquet, statistics.json

Repeated (user, item) pairs are dropped first, keeping the earliest. Dropping a user can push
an item below k, so the filters repeat until neither removes a row: real dumps take 3 to 13
rounds. Ids become dense integers from 0, in the order of the raw ids. What `kcore` filters by
(stars, bought, dates, item fields) comes before everything else; see
pipeline/interactions/filters.py.

A published split is taken as it is: its ids stay, nothing is filtered.

    python -m pipeline.kcore sample data/interim/sample data/processed/sample
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.interactions import filters
from pipeline.interactions.filters import Filters, Steps
from pipeline.interactions.id_codes import (
    codes_of,
    n_pairs,
    places,
    read_items,
    read_reviews,
    recurring,
)
from pipeline.interactions.peeling import peel
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.tables.io import read_parquet, scan_parquet, write_json, write_parquet
from pipeline.tables.schema import (
    INTERACTIONS,
    INTERACTIONS_FILE,
    ITEM,
    ITEMS_FILE,
    PART,
    RAW_ID,
    RAW_ITEMS,
    REVIEWS,
    REVIEWS_FILE,
    STATISTICS_FILE,
    TEST,
    TIME,
    TRAIN,
    USER,
    USERS,
    USERS_FILE,
)

log = logging.getLogger("kcore")
Rounds = list[dict[str, Any]]
ORDER = "order"  # place in the raw file, which breaks ties between equal times


def k_core(
    interactions: pl.DataFrame, k: int, k_item: int | None = None
) -> tuple[pl.DataFrame, Rounds]:
    """Return the largest subset in which every user and every item has >= k rows.

    Args:
        interactions: one row per (user, item) pair.
        k: minimum number of rows per user and per item.
        k_item: minimum number per item, where that is not k.

    Returns:
        The kept rows in their original order (none when there is no k-core), and the counts
        before the first round and after each.
    """
    users, items = codes_of(interactions[USER]), codes_of(interactions[ITEM])
    core, rounds = peel(users, items, k, k_item or k)
    return interactions.filter(core), [counts._asdict() for counts in rounds]


def distinct_pairs(reviews: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (user, item): the earliest, the first in the file among equals."""
    rows = reviews.with_row_index(ORDER)
    recurs = recurring(codes_of(rows[USER]), codes_of(rows[ITEM]))
    earliest = (
        rows.filter(recurs)
        .sort(TIME, ORDER, nulls_last=True)
        .unique([USER, ITEM], keep="first", maintain_order=True)
    )
    kept = ~recurs
    kept[earliest[ORDER].to_numpy()] = True
    return rows.filter(kept)


def filtered(
    reviews: pl.DataFrame,
    items: pl.DataFrame,
    k: int,
    k_item: int | None = None,
    wanted: Filters | None = None,
) -> tuple[pl.DataFrame, Steps, Rounds]:
    """Apply the filters, drop repeats, and keep the k-core.

    Args:
        reviews: schema.REVIEWS.
        items: schema.RAW_ITEMS.
        k: see `k_core`.
        k_item: see `k_core`.
        wanted: what is filtered by; by default nothing.

    Returns:
        The k-core with its raw ids, the counts of each filter, and of each round.

    Raises:
        ParamsError: the dataset does not say what a filter asks for.
        RawDataError: the core is empty; the message has the counts of each round.
    """
    passed, steps = filters.filtered(reviews, items, wanted or Filters())
    pairs = distinct_pairs(passed)
    steps.append(filters.step("distinct pairs", None, pairs))
    core, rounds = k_core(pairs, k, k_item)
    if core.is_empty():
        counts = "; ".join(
            f"round {n}: {r['users']} users, {r['items']} items, {r['interactions']} pairs"
            for n, r in enumerate(rounds)
        )
        raise RawDataError(
            f"kcore: the {core_name(k, k_item)} is empty ({counts}). Use more of the dump, or "
            "lower kcore.k"
        )
    return core, steps, rounds


def core_name(k: int, k_item: int | None = None) -> str:
    """Return `5-core`, which is also called p-core, or `(3, 5)-core` for users and items."""
    return f"{k}-core" if k_item in (None, k) else f"({k}, {k_item})-core"


def numbered(
    rows: pl.DataFrame, items: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give users and items dense ids, in the order of their raw ids.

    Args:
        rows: raw ids in `user` and `item`, the raw order in `order`.
        items: schema.RAW_ITEMS, of at least the items in `rows`.

    Returns:
        schema.INTERACTIONS sorted by user, time and raw order; schema.USERS; schema.ITEMS.
    """
    users = _dense(rows.select(pl.col(USER).unique().alias(RAW_ID)), USER)
    kept = _dense(items.filter(places(items[RAW_ID], rows[ITEM].unique()) >= 0), ITEM)
    dense = rows.select(TIME, ORDER).with_columns(
        pl.Series(USER, places(rows[USER], users[RAW_ID])),
        pl.Series(ITEM, places(rows[ITEM], kept[RAW_ID])),
    )
    # A sort by several columns at once takes ten times as long as stable ones after another.
    for column in (ORDER, TIME, USER):
        dense = dense.sort(column, nulls_last=True, maintain_order=True)
    return dense.select(list(INTERACTIONS)), users.select(list(USERS)), kept


def as_published(
    reviews: pl.DataFrame, items: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the tables of `numbered` for a published split, whose ids are dense already.

    Its interactions are the rows of train (which holds the validation items) and test, repeats
    included; that is how Table 1 of the paper counts.
    """
    rows = (
        reviews.with_row_index(ORDER)
        .filter(pl.col(PART).is_in([TRAIN, TEST]))
        .with_columns(pl.col(USER, ITEM).cast(pl.Int32))
        .sort(USER, ORDER)
    )
    n_users = int(rows.select(pl.col(USER).max()).item()) + 1
    users = pl.DataFrame({USER: pl.Series(range(n_users), dtype=pl.Int32)})
    users = users.with_columns(pl.col(USER).cast(pl.String).alias(RAW_ID))
    numbers = items.with_columns(pl.col(RAW_ID).cast(pl.Int32).alias(ITEM)).sort(ITEM)
    return rows.select(list(INTERACTIONS)), users, numbers.select(ITEM, pl.exclude(ITEM))


def statistics(
    interactions: pl.DataFrame,
    n_items: int,
    rounds: Rounds,
    steps: Steps | None = None,
    sides: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Return Table 1's columns of the paper, what the core is, and the counts of all steps."""
    n_users = interactions[USER].n_unique()
    rows = interactions.height
    return {
        "users": n_users,
        "items": n_items,
        "interactions": rows,
        "distinct_pairs": n_pairs(interactions[USER].to_numpy(), interactions[ITEM].to_numpy()),
        "density": rows / (n_users * n_items),
        "core": core_name(*sides) if sides else None,
        "k_user": sides[0] if sides else None,
        "k_item": sides[1] if sides else None,
        "filters": steps or [],
        "rounds": rounds,
    }


def _dense(table: pl.DataFrame, column: str) -> pl.DataFrame:
    """Number the rows of `table` from 0 in the order of `raw_id` as text, in a first column."""
    named = table.with_columns(pl.col(RAW_ID).cast(pl.String)).sort(RAW_ID)
    return named.with_row_index(column).with_columns(pl.col(column).cast(pl.Int32))


def _core_of(
    reviews: Path, items: Path, k: int, k_item: int, wanted: Filters
) -> tuple[pl.DataFrame, Steps, Rounds]:
    """Apply `filtered` to two files, of whose items only what is filtered by is read."""
    rows = read_reviews(reviews)
    there = scan_parquet(items, RAW_ITEMS).collect_schema()
    # Where one is not there, the message lists those that are.
    fields = wanted.require if set(wanted.require) <= set(there) else None
    return filtered(rows, read_items(items, rows[ITEM], fields), k, k_item, wanted)


def main(argv: list[str] | None = None) -> None:
    """Read, filter, number, write."""
    arguments = parser(__doc__, "dataset", "interim", "processed")
    args = arguments.parse_args(argv)
    settings = params.load()

    reviews, raw_items = args.interim / REVIEWS_FILE, args.interim / ITEMS_FILE
    rules = settings.kcore.of(args.dataset)
    if settings.source(args.dataset).format == "published_split":
        filters.check_none_asked_for(rules, args.dataset)
        interactions, users, items = as_published(
            read_parquet(reviews, REVIEWS), read_parquet(raw_items, RAW_ITEMS)
        )
        table = statistics(interactions, items.height, [])
    else:
        sides = rules.k_user or rules.k, rules.k_item or rules.k
        core, steps, rounds = _core_of(reviews, raw_items, *sides, filters.asked_for(rules))
        interactions, users, items = numbered(core, read_items(raw_items, core[ITEM]))
        table = statistics(interactions, items.height, rounds, steps, sides)
        log.info("%s: %s", args.dataset, filters.in_words(steps))
    shown = {k: v for k, v in table.items() if k not in ("filters", "rounds")}
    log.info("%s: %s", args.dataset, shown)
    write_parquet(interactions, args.processed / INTERACTIONS_FILE)
    write_parquet(users, args.processed / USERS_FILE)
    write_parquet(items, args.processed / ITEMS_FILE)
    write_json(table, args.processed / STATISTICS_FILE)


if __name__ == "__main__":
    run(main)
