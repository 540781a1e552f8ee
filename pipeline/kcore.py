"""Stage `kcore`: keep users and items with at least k interactions each.

    data/interim/D/{reviews,items}.parquet
        -> data/processed/D/{interactions,users,items}.parquet, statistics.json

First come the filters of section `kcore` (pipeline/interactions/filters.py), then repeated
(user, item) pairs are dropped, keeping the earliest. Dropping a user can push an item below k,
so the core is computed in rounds until nothing is removed: real dumps take 3 to 13. Ids become
dense integers from 0, in the order of the raw ids.

A published split keeps its ids and all its rows. So does a published benchmark with labels
(format `inter`), with its ids numbered as those of other formats.

    python -m pipeline.kcore sample data/interim/sample data/processed/sample
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.interactions import filters, id_codes, record_counts
from pipeline.interactions.filters import Filters, Steps
from pipeline.interactions.peeling import peel
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError, SchemaError
from pipeline.params.sources import WITH_SPLIT
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, scan_parquet, write_json, write_parquet

log = logging.getLogger("kcore")
Rounds = list[dict[str, Any]]
ORDER = "order"  # row number in the raw file, which breaks ties between equal times


def k_core(
    interactions: pl.DataFrame, k: int, k_item: int | None = None
) -> tuple[pl.DataFrame, Rounds]:
    """Return the largest subset in which every user and every item has >= k rows.

    Args:
        interactions: one row per (user, item) pair.
        k: minimum number of rows per user and per item.
        k_item: minimum number per item; default: k.

    Returns:
        The kept rows in their order (none if there is no core); the counts before the first
        round and after each.
    """
    users, items = (
        id_codes.codes_of(interactions[s.USER]),
        id_codes.codes_of(interactions[s.ITEM]),
    )
    core, rounds = peel(users, items, k, k_item or k)
    return interactions.filter(core), [counts._asdict() for counts in rounds]


def distinct_pairs(reviews: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (user, item): the earliest; of equal times, the first in the file."""
    rows = reviews.with_row_index(ORDER)
    repeated = id_codes.is_repeated(
        id_codes.codes_of(rows[s.USER]), id_codes.codes_of(rows[s.ITEM])
    )
    earliest = (
        rows.filter(repeated)
        .sort(s.TIME, ORDER, nulls_last=True)
        .unique([s.USER, s.ITEM], keep="first", maintain_order=True)
    )
    kept = ~repeated
    kept[earliest[ORDER].to_numpy()] = True
    return rows.filter(kept)


def filtered(
    reviews: pl.DataFrame,
    items: pl.DataFrame,
    k: int,
    k_item: int | None = None,
    rules: Filters | None = None,
) -> tuple[pl.DataFrame, Steps, Rounds]:
    """Apply the filters, drop repeats, and keep the k-core.

    Args:
        reviews: schema.REVIEWS.
        items: schema.RAW_ITEMS.
        k: see `k_core`.
        k_item: see `k_core`.
        rules: the filters; default: none.

    Returns:
        The core with its raw ids, the counts of each filter, and of each round.

    Raises:
        ParamsError: the dataset has no values in a column that a filter needs.
        RawDataError: the core is empty; the message has the counts of each round.
    """
    passed, steps = filters.filtered(reviews, items, rules or Filters())
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
    """Return `5-core`, or `(3, 5)-core` where users and items differ."""
    return f"{k}-core" if k_item in (None, k) else f"({k}, {k_item})-core"


def numbered(
    rows: pl.DataFrame, items: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give users and items dense ids, in the order of their raw ids.

    Args:
        rows: raw ids in `user` and `item`, the row numbers of the file in `order`.
        items: schema.RAW_ITEMS, with at least the items in `rows`.

    Returns:
        schema.INTERACTIONS sorted by user, time and raw order; schema.USERS; schema.ITEMS.

    Raises:
        SchemaError: `items` lacks an item of `rows`, or has one twice.
    """
    users = _dense(rows.select(pl.col(s.USER).unique().alias(s.RAW_ID)), s.USER)
    kept = _dense(
        items.filter(id_codes.positions(items[s.RAW_ID], rows[s.ITEM].unique()) >= 0), s.ITEM
    )
    dense = rows.select(s.TIME, ORDER).with_columns(
        pl.Series(s.USER, id_codes.positions(rows[s.USER], users[s.RAW_ID])),
        pl.Series(s.ITEM, id_codes.positions(rows[s.ITEM], kept[s.RAW_ID])),
    )
    if (dense[s.ITEM] < 0).any() or kept[s.RAW_ID].is_duplicated().any():
        lost = rows.filter(dense[s.ITEM] < 0)[s.ITEM].cast(pl.String)
        twice = kept.filter(kept[s.RAW_ID].is_duplicated())[s.RAW_ID]
        raise SchemaError(
            f"{s.ITEMS_FILE}: expected every item of {s.REVIEWS_FILE} once, got none of "
            f"{lost.unique(maintain_order=True).head(3).to_list()} and several of "
            f"{twice.unique(maintain_order=True).head(3).to_list()}; run the stage ingest again"
        )
    # One sort by three columns takes ten times as long as three stable sorts.
    for column in (ORDER, s.TIME, s.USER):
        dense = dense.sort(column, nulls_last=True, maintain_order=True)
    return dense.select(list(s.INTERACTIONS)), users.select(list(s.USERS)), kept


def as_published(
    reviews: pl.DataFrame, items: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the tables of `numbered` for a published split, whose ids are dense.

    Its interactions are the rows of train (which includes the validation items) and test, with
    repeats, as counted in Table 1 of the paper.
    """
    rows = (
        reviews.filter(pl.col(s.PART).is_in([s.TRAIN, s.TEST]))
        .with_columns(pl.col(s.USER, s.ITEM).cast(pl.Int32))
        .sort(s.USER, maintain_order=True)
    )
    n_users = int(rows.select(pl.col(s.USER).max()).item()) + 1
    users = pl.DataFrame({s.USER: pl.Series(range(n_users), dtype=pl.Int32)})
    users = users.with_columns(pl.col(s.USER).cast(pl.String).alias(s.RAW_ID))
    numbers = items.with_columns(pl.col(s.RAW_ID).cast(pl.Int32).alias(s.ITEM)).sort(s.ITEM)
    return rows.select(list(s.INTERACTIONS)), users, numbers.select(s.ITEM, pl.exclude(s.ITEM))


def statistics(
    interactions: pl.DataFrame,
    n_items: int,
    rounds: Rounds,
    steps: Steps | None = None,
    sides: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Return the columns of the paper's Table 1, the core's k, and the counts of all steps."""
    n_users = interactions[s.USER].n_unique()
    rows = interactions.height
    return {
        "users": n_users,
        "items": n_items,
        "interactions": rows,
        "distinct_pairs": id_codes.n_pairs(
            interactions[s.USER].to_numpy(), interactions[s.ITEM].to_numpy()
        ),
        "density": rows / (n_users * n_items),
        "core": core_name(*sides) if sides else None,
        "k_user": sides[0] if sides else None,
        "k_item": sides[1] if sides else None,
        "filters": steps or [],
        "rounds": rounds,
    }


def _dense(table: pl.DataFrame, column: str) -> pl.DataFrame:
    """Sort by `raw_id` as text and add a first column that numbers the rows from 0."""
    named = table.with_columns(pl.col(s.RAW_ID).cast(pl.String)).sort(s.RAW_ID)
    return named.with_row_index(column).with_columns(pl.col(column).cast(pl.Int32))


def _core_of(
    reviews: Path, items: Path, k: int, k_item: int, rules: Filters
) -> tuple[pl.DataFrame, Steps, Rounds]:
    """Apply `filtered` to two files; of the items, read only the fields of the filters."""
    rows = id_codes.read_reviews(reviews)
    columns = set(scan_parquet(items, s.RAW_ITEMS).collect_schema())
    # If a field is missing, all are read: the error message lists them.
    fields = rules.require if columns.issuperset(rules.require) else None
    return filtered(rows, id_codes.read_items(items, rows[s.ITEM], fields), k, k_item, rules)


def main(argv: list[str] | None = None) -> None:
    """Read, filter, number, write."""
    arguments = parser(__doc__, "dataset", "interim", "processed")
    args = arguments.parse_args(argv)
    settings = params.load().of(args.dataset)

    reviews, raw_items = args.interim / s.REVIEWS_FILE, args.interim / s.ITEMS_FILE
    section, format_ = settings.kcore, settings.source(args.dataset).format
    if format_ in WITH_SPLIT:
        filters.check_none(section, args.dataset)
        rows = read_parquet(reviews, s.REVIEWS).with_row_index(ORDER)
        tables = as_published if format_ == "published_split" else numbered
        interactions, users, items = tables(rows, read_parquet(raw_items, s.RAW_ITEMS))
        table = statistics(interactions, items.height, [])
    else:
        sides = section.k_user or section.k, section.k_item or section.k
        core, steps, rounds = _core_of(reviews, raw_items, *sides, filters.from_params(section))
        interactions, users, items = numbered(
            core, id_codes.read_items(raw_items, core[s.ITEM])
        )
        table = statistics(interactions, items.height, rounds, steps, sides)
        log.info("%s: %s", args.dataset, filters.summary(steps))
    read = record_counts.read_counts(reviews)
    n_reviews = scan_parquet(reviews, s.REVIEWS).select(pl.len()).collect().item()
    of = read["reviews"], n_reviews, table["filters"], interactions.height
    table |= {"read": read["files"], "rows": record_counts.reconciled(*of)}
    counts = {k: v for k, v in table.items() if k not in ("filters", "rounds", "read")}
    log.info("%s: %s", args.dataset, counts)
    write_parquet(interactions, args.processed / s.INTERACTIONS_FILE)
    write_parquet(users, args.processed / s.USERS_FILE)
    write_parquet(items, args.processed / s.ITEMS_FILE)
    write_json(table, args.processed / s.STATISTICS_FILE)


if __name__ == "__main__":
    run(main)
