"""Stage `split`: hold out the items to predict, and draw the candidates.

    data/processed/D/interactions.parquet
        -> data/processed/D/{train,validation,test,candidates}.parquet

The methods are in pipeline/interactions/splits.py. Except for leave-one-out, their settings and
counts are in the Parquet metadata of the parts and the candidates, under `split`. Times have
day resolution; among equal times the order of the raw file decides. A published split is not
changed: its validation items are also in its train, and training holds them out. Nor are the
labels of a published benchmark (format `inter`).

Candidates are data: `evaluate.candidates` items per held-out item, drawn uniformly and without
replacement from the items that the user has in no part. Every model and every epoch ranks the
same lists.

    python -m pipeline.split sample data/interim/sample data/processed/sample
"""

from __future__ import annotations

import json
import logging
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline import params
from pipeline.interactions import splits
from pipeline.interactions.splits import Parts
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.params.sources import WITH_SPLIT
from pipeline.tables import processed
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_parquet

log = logging.getLogger("split")


def divided(
    interactions: pl.DataFrame, settings: params.Split, users: pl.DataFrame, items: pl.DataFrame
) -> tuple[Parts, dict[str, Any]]:
    """Split by the method of the section `split`.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.
        settings: the section `split`.
        users: schema.USERS; an error names the raw id.
        items: schema.ITEMS; likewise.

    Returns:
        The parts, and the metadata of the split; none for leave-one-out, the default.

    Raises:
        RawDataError: a part is empty, or an interaction has no time.
    """
    if settings.method == "leave_one_out":
        return splits.leave_one_out(interactions), {}
    metadata = settings.model_dump(exclude_none=True)
    if settings.method == "ratio":
        parts = splits.by_ratio(interactions, settings.shares)
    else:
        splits.check_times(interactions, users, items)
        times = _times(interactions, settings)
        parts = splits.by_time(interactions, *times)
        names = ("validation_from", "test_from")
        metadata |= zip(names, map(splits.iso_time, times), strict=True)
    return parts, splits.facts(metadata, parts)


def _times(interactions: pl.DataFrame, settings: params.TimeSplit) -> tuple[int, int]:
    """Return the first second of validation and of test."""
    if settings.quantiles:
        return splits.instants(interactions, settings.quantiles)
    days = (settings.validation_from, settings.test_from)
    first, second = (splits.midnight(date.fromisoformat(str(day))) for day in days)
    return first, second


def published_parts(reviews: pl.DataFrame) -> Parts:
    """Return the parts of a published split, sorted by user, in the published order.

    Raises:
        RawDataError: a part has no rows.
    """
    rows = reviews.with_columns(pl.col(s.USER, s.ITEM).cast(pl.Int32)).sort(
        s.USER, maintain_order=True
    )
    of_part = {part: rows.filter(pl.col(s.PART) == part) for part in processed.PART_FILES}
    parts = {part: table.select(list(s.INTERACTIONS)) for part, table in of_part.items()}
    if empty := [part for part, table in parts.items() if table.is_empty()]:
        counts = {part: table.height for part, table in parts.items()}
        raise RawDataError(
            f"split: expected rows in every part of the published split, got none in "
            f"{' and '.join(empty)} ({counts}); run the stages download and ingest again"
        )
    return parts


def candidates(
    parts: Parts,
    users: pl.DataFrame,
    n_items: int,
    n: int,
    seed: int,
    ranked: Parts | None = None,
) -> pl.DataFrame:
    """Draw the negatives of every held-out interaction.

    Args:
        parts: `train`, `validation` and `test`.
        users: schema.USERS; an error names the raw id.
        n_items: number of items.
        n: N, negatives of each held-out interaction.
        seed: of the draws.
        ranked: parts with only the held-out interactions to rank; default: `parts`.

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
    _check_room(met, pl.concat(held_out.values()), users, n_items, n)
    generator = np.random.default_rng(seed)
    tables = []
    for part, rows in held_out.items():
        negatives = _negatives(rows[s.USER].to_numpy(), n, keys, n_items, generator)
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


def _negatives(
    users: npt.NDArray[np.int32],
    n: int,
    keys: npt.NDArray[np.int64],
    n_items: int,
    generator: np.random.Generator,
) -> npt.NDArray[np.int32]:
    """Draw N distinct items that the user has in no part for each of `users`, (U, N).

    Met and repeated items are drawn again until there are none, so the result is uniform over
    all valid lists.
    """
    drawn = np.full((len(users), n), -1, dtype=np.int64)
    rows, bad = np.arange(len(users)), np.ones_like(drawn, dtype=bool)
    while len(rows):
        lists = drawn[rows]
        lists[bad] = generator.integers(n_items, size=int(bad.sum()))
        drawn[rows] = lists
        bad = _met(users[rows], lists, keys, n_items) | _repeated(lists)
        unfinished = bad.any(axis=1)
        rows, bad = rows[unfinished], bad[unfinished]
    return drawn.astype(np.int32)


def _met(
    users: npt.NDArray[np.int32],
    items: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int64],
    n_items: int,
) -> npt.NDArray[np.bool_]:
    pairs = users[:, None].astype(np.int64) * n_items + items
    index = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
    return np.asarray(keys[index] == pairs)


def _repeated(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Mark every value that also occurs further left in its row."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    equals_previous = np.zeros(rows.shape, dtype=bool)
    equals_previous[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    is_repeated = np.empty_like(equals_previous)
    np.put_along_axis(is_repeated, order, equals_previous, axis=1)
    return is_repeated


def main(argv: list[str] | None = None) -> None:
    """Read, split, draw, write."""
    arguments = parser(__doc__, "dataset", "interim", "processed")
    args = arguments.parse_args(argv)
    settings = params.load().of(args.dataset)

    users, items = processed.read_users(args.processed), processed.read_items(args.processed)
    format_ = settings.source(args.dataset).format
    if format_ == "published_split":
        parts = published_parts(read_parquet(args.interim / s.REVIEWS_FILE, s.REVIEWS))
        facts: dict[str, Any] = {}
    elif format_ in WITH_SPLIT:
        reviews = read_parquet(args.interim / s.REVIEWS_FILE, s.REVIEWS)
        parts = splits.by_label(reviews, users, items)
        facts = splits.facts({"method": "labels"}, parts)
    else:
        interactions = processed.read_interactions(args.processed, users.height, items.height)
        parts, facts = divided(interactions, settings.split, users, items)
    ranked = splits.ranked(parts) if facts else parts
    n, seed = settings.evaluate.candidates, settings.seed
    drawn = candidates(parts, users, items.height, n, seed, ranked)
    counts = {part: rows.height for part, rows in parts.items()}
    log.info("%s: %s", args.dataset, counts | facts)
    metadata = {s.SPLIT: json.dumps(facts, sort_keys=True)} if facts else None
    for part, rows in parts.items():
        write_parquet(rows, args.processed / processed.PART_FILES[part], metadata)
    digests = {part: processed.digest(rows) for part, rows in parts.items()}
    metadata = (metadata or {}) | {s.PARTS: json.dumps(digests, sort_keys=True)}
    write_parquet(drawn, args.processed / s.CANDIDATES_FILE, metadata)


if __name__ == "__main__":
    run(main)
