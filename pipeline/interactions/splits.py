"""Splits other than leave-one-out: a share of each user's history, or a cut in time.

Not a stage: what `split` chooses from. A user may have several held-out items, or none. Each
held-out item is ranked by itself. Only those of users whom training has are ranked: of others
no model of IDs knows anything. Facts about both go into the parts' Parquet metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.tables.schema import ITEM, TEST, TIME, TRAIN, USER, VALIDATION

Parts = dict[str, pl.DataFrame]
Facts = dict[str, Any]
# Shares such as 0.1 have no exact float: 0.1 x 5 is to be half an interaction.
ROUNDING = 1e-9


def by_ratio(interactions: pl.DataFrame, shares: Sequence[float]) -> Parts:
    """Give the last share of each user's interactions to test, the one before to validation.

    Of n interactions, n x share rounded (half up) are held out. A user of whom nothing would
    remain stays in train whole.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.
        shares: of train, validation and test; their sum is 1.

    Returns:
        `train`, `validation` and `test`, in the order of `interactions`.
    """
    n = pl.len().over(USER)
    n_validation, n_test = ((n * s + 0.5 + ROUNDING).floor().cast(pl.Int64) for s in shares[1:])
    is_whole = n_validation + n_test >= n
    from_the_end = pl.int_range(pl.len()).reverse().over(USER)
    place = (
        pl.when(is_whole | (from_the_end >= n_validation + n_test))
        .then(pl.lit(TRAIN))
        .when(from_the_end >= n_test)
        .then(pl.lit(VALIDATION))
        .otherwise(pl.lit(TEST))
    )
    return _parts(interactions, place)


def by_time(interactions: pl.DataFrame, validation_from: int, test_from: int) -> Parts:
    """Cut everybody's interactions at the same two instants.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.
        validation_from: the first second that is no longer train.
        test_from: the first second of test.

    Returns:
        `train`, `validation` and `test`, in the order of `interactions`.

    Raises:
        RawDataError: an interaction has no time.
    """
    _check_times(interactions)
    place = (
        pl.when(pl.col(TIME) < validation_from)
        .then(pl.lit(TRAIN))
        .when(pl.col(TIME) < test_from)
        .then(pl.lit(VALIDATION))
        .otherwise(pl.lit(TEST))
    )
    return _parts(interactions, place)


def instants(interactions: pl.DataFrame, quantiles: Sequence[float]) -> tuple[int, int]:
    """Return the times before which these shares of all interactions lie, as nearly as can be.

    Interactions of the same second stay together, on the later side.

    Raises:
        RawDataError: an interaction has no time.
    """
    _check_times(interactions)
    times = interactions[TIME].sort()
    first, second = (times[min(int(q * len(times)), len(times) - 1)] for q in quantiles)
    return int(first), int(second)


def ranked(parts: Parts) -> Parts:
    """Return the parts without the held-out rows of users whom train does not have."""
    known = parts[TRAIN].select(USER).unique()
    held = (VALIDATION, TEST)
    return parts | {
        name: parts[name].join(known, on=USER, how="semi", maintain_order="left")
        for name in held
    }


def facts(method: Facts, parts: Parts) -> Facts:
    """Return what is to be said of a split wherever its numbers stand.

    Args:
        method: its name and settings.
        parts: `train`, `validation` and `test`.

    Raises:
        RawDataError: a part has nothing to train on or to rank.
    """
    shown = ranked(parts)
    users = pl.concat(part.select(USER) for part in parts.values())[USER].n_unique()
    counts: Facts = {}
    for name in (VALIDATION, TEST):
        with_targets = shown[name][USER].n_unique()
        counts[name] = {
            "targets": shown[name].height,
            "users": with_targets,
            "users_without_targets": users - with_targets,
            "targets_of_unknown_users": parts[name].height - shown[name].height,
        }
    if empty := [name for name, part in shown.items() if part.is_empty()]:
        heights = {name: part.height for name, part in parts.items()}
        raise RawDataError(
            f"split: expected interactions in every part, of users whom train has; got none in "
            f"{' and '.join(empty)} ({heights}). Choose other instants or shares in split"
        )
    return method | counts


def midnight(day: date) -> int:
    """Return the first second of a day in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def as_day(seconds: int) -> str:
    """Return an instant in ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _parts(interactions: pl.DataFrame, place: pl.Expr) -> Parts:
    rows = interactions.with_columns(place.alias("place"))
    return {
        name: rows.filter(pl.col("place") == name).drop("place")
        for name in (TRAIN, VALIDATION, TEST)
    }


def _check_times(interactions: pl.DataFrame) -> None:
    if missing := interactions[TIME].null_count():
        first = interactions.filter(pl.col(TIME).is_null()).row(0, named=True)
        raise RawDataError(
            f"split: expected a time with every interaction, got {missing} without, the first "
            f"of user {first[USER]} and item {first[ITEM]}; choose another split.method"
        )
