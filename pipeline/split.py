"""Stage `split`: hold out what is to be predicted, and draw the candidates.

    data/processed/D/interactions.parquet
        -> data/processed/D/{train,validation,test,candidates}.parquet

Leave-one-out by time: the last item goes to test, the one before to validation. Time stamps
have day resolution; among equal times the order of the raw file decides. The other methods
are in pipeline/interactions/splits.py; their settings and counts are in the Parquet metadata of
the parts and the candidates, under `split`. A published split is taken as it is: its validation
items are part of its train, and are held out in training.

Candidates are data: 99 items per held-out item, uniform over the items that the user met
neither in train nor in validation nor in test, without replacement. Every model and every
epoch ranks the same lists.

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
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.tables.io import read_parquet, write_parquet
from pipeline.tables.schema import (
    CANDIDATES,
    CANDIDATES_FILE,
    INTERACTIONS,
    INTERACTIONS_FILE,
    ITEM,
    ITEMS,
    ITEMS_FILE,
    N_NEGATIVES,
    PART,
    REVIEWS,
    REVIEWS_FILE,
    SPLIT,
    TEST,
    TEST_FILE,
    TRAIN,
    TRAIN_FILE,
    USER,
    VALIDATION,
    VALIDATION_FILE,
)

log = logging.getLogger("split")
Parts = dict[str, pl.DataFrame]
FILES = {TRAIN: TRAIN_FILE, VALIDATION: VALIDATION_FILE, TEST: TEST_FILE}


def leave_one_out(interactions: pl.DataFrame) -> Parts:
    """Split each user's interactions, in the order in which they stand.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.

    Returns:
        `train`, `validation` and `test`. A user with fewer than three interactions stays in
        train whole.
    """
    from_the_end = pl.int_range(pl.len()).reverse().over(USER)
    place = pl.when(pl.len().over(USER) < 3).then(2).otherwise(from_the_end)
    rows = interactions.with_columns(place.alias("place"))
    return {
        TRAIN: rows.filter(pl.col("place") >= 2).drop("place"),
        VALIDATION: rows.filter(pl.col("place") == 1).drop("place"),
        TEST: rows.filter(pl.col("place") == 0).drop("place"),
    }


def divided(interactions: pl.DataFrame, how: params.Split) -> tuple[Parts, dict[str, Any]]:
    """Split by the method that params name.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.
        how: the section `split`.

    Returns:
        The parts, and what is to be said of them; nothing of leave-one-out, the default.

    Raises:
        RawDataError: a part is empty, or an interaction has no time to cut at.
    """
    if how.method == "leave_one_out":
        return leave_one_out(interactions), {}
    if how.method == "ratio":
        parts = splits.by_ratio(interactions, how.shares)
    else:
        cut = _instants(interactions, how)
        parts = splits.by_time(interactions, *cut)
    said = how.model_dump(exclude_none=True)
    if how.method == "time":
        said |= zip(("validation_from", "test_from"), map(splits.as_day, cut), strict=True)
    return parts, splits.facts(said, parts)


def _instants(interactions: pl.DataFrame, how: params.TimeSplit) -> tuple[int, int]:
    if how.quantiles:
        return splits.instants(interactions, how.quantiles)
    days = (date.fromisoformat(str(day)) for day in (how.validation_from, how.test_from))
    first, second = (splits.midnight(day) for day in days)
    return first, second


def published_parts(reviews: pl.DataFrame) -> Parts:
    """Return the parts of a published split, sorted by user, in the published order."""
    rows = reviews.with_columns(pl.col(USER, ITEM).cast(pl.Int32)).sort(
        USER, maintain_order=True
    )
    return {
        part: rows.filter(pl.col(PART) == part).select(list(INTERACTIONS)) for part in FILES
    }


def candidates(
    parts: Parts, n_items: int, seed: int, shown: Parts | None = None
) -> pl.DataFrame:
    """Draw the negatives of every held-out interaction.

    Args:
        parts: `train`, `validation` and `test`.
        n_items: I.
        seed: of the draws.
        shown: the parts whose held-out interactions are ranked, where that is not all.

    Returns:
        schema.CANDIDATES, sorted by part (validation first) and user.

    Raises:
        RawDataError: a user met so many items that there are not 99 others.
    """
    met = pl.concat([parts[name].select(USER, ITEM) for name in FILES]).unique()
    keys = np.sort((met[USER].cast(pl.Int64) * n_items + met[ITEM]).to_numpy())
    _check_room(met, n_items)
    generator = np.random.default_rng(seed)
    tables = []
    for part in (VALIDATION, TEST):
        held_out = (shown or parts)[part].select(USER, ITEM)
        negatives = _negatives(held_out[USER].to_numpy(), keys, n_items, generator)
        array = pl.Series("negatives", negatives, dtype=CANDIDATES["negatives"])
        tables.append(held_out.with_columns(pl.lit(part).alias(PART), array))
    return pl.concat(tables).select(list(CANDIDATES))


def _check_room(met: pl.DataFrame, n_items: int) -> None:
    most = met.group_by(USER).len().sort("len").tail(1)
    if most.height and n_items - most["len"].item() < N_NEGATIVES:
        raise RawDataError(
            f"split: user {most[USER].item()} met {most['len'].item()} of {n_items} items; "
            f"expected at least {N_NEGATIVES} others to draw candidates from. Use a larger "
            "catalogue (more of the dump, or a lower kcore.k)"
        )


def _negatives(
    users: npt.NDArray[np.int32],
    keys: npt.NDArray[np.int64],
    n_items: int,
    generator: np.random.Generator,
) -> npt.NDArray[np.int32]:
    """Draw 99 distinct unmet items for each of `users`, (U, 99).

    Draws everything, then draws again whatever is met or repeated, until nothing is: the
    result is uniform over the lists without repetition.
    """
    drawn = np.full((len(users), N_NEGATIVES), -1, dtype=np.int64)
    bad = np.ones_like(drawn, dtype=bool)
    while bad.any():
        drawn[bad] = generator.integers(n_items, size=int(bad.sum()))
        bad = _met(users, drawn, keys, n_items) | _repeated(drawn)
    return drawn.astype(np.int32)


def _met(
    users: npt.NDArray[np.int32],
    items: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int64],
    n_items: int,
) -> npt.NDArray[np.bool_]:
    wanted = users[:, None].astype(np.int64) * n_items + items
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(keys[place] == wanted)


def _repeated(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Mark every value that stands further left in its row already."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    again = np.zeros(rows.shape, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    marks = np.empty_like(again)
    np.put_along_axis(marks, order, again, axis=1)
    return marks


def main(argv: list[str] | None = None) -> None:
    """Read, split, draw, write."""
    arguments = parser(__doc__, "dataset", "interim", "processed")
    args = arguments.parse_args(argv)
    settings = params.load()

    if settings.source(args.dataset).format == "published_split":
        parts = published_parts(read_parquet(args.interim / REVIEWS_FILE, REVIEWS))
        said: dict[str, Any] = {}
    else:
        interactions = read_parquet(args.processed / INTERACTIONS_FILE, INTERACTIONS)
        parts, said = divided(interactions, settings.split)
    n_items = read_parquet(args.processed / ITEMS_FILE, ITEMS).height
    shown = splits.ranked(parts) if said else parts
    drawn = candidates(parts, n_items, settings.seed, shown)
    log.info("%s: %s", args.dataset, {part: rows.height for part, rows in parts.items()} | said)
    metadata = {SPLIT: json.dumps(said, sort_keys=True)} if said else None
    for part, rows in parts.items():
        write_parquet(rows, args.processed / FILES[part], metadata)
    write_parquet(drawn, args.processed / CANDIDATES_FILE, metadata)


if __name__ == "__main__":
    run(main)
