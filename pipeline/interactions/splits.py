"""Methods to split interactions: leave-one-out, by share, time or item, by labels in the file.

With all but the first a user may have several held-out items, or none. Each held-out item is
ranked on its own. Only items of users in train are ranked: a model of IDs knows nothing about
other users. The counts of both go into the parts' Parquet metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl

from pipeline.interactions import id_codes
from pipeline.job.errors import RawDataError
from pipeline.tables.schema import (
    INTERACTIONS,
    ITEM,
    PART,
    RAW_ID,
    TEST,
    TIME,
    TRAIN,
    USER,
    VALIDATION,
)

Parts = dict[str, pl.DataFrame]
Facts = dict[str, Any]
# Shares such as 0.1 have no exact float; 0.1 x 5 must count as half an interaction.
ROUNDING = 1e-9
FROM_THE_END = pl.int_range(pl.len()).reverse().over(USER)  # 0 at a user's last interaction


def leave_one_out(interactions: pl.DataFrame) -> Parts:
    """Hold out each user's last two interactions: the last for test, the other for validation.

    A user with fewer than three interactions stays in train.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.

    Returns:
        `train`, `validation` and `test`, in the order of `interactions`.

    Raises:
        RawDataError: no user has three interactions.
    """
    is_short = pl.len().over(USER) < 3
    parts = _parts(interactions, is_short | (FROM_THE_END >= 2), FROM_THE_END == 1)
    if parts[TEST].is_empty():
        n_users = interactions[USER].n_unique()
        raise RawDataError(
            "split: expected users with three interactions or more, the last for test and the "
            f"one before for validation, got {n_users} users with one or two each, "
            f"{interactions.height} interactions in all. Use more of the data, or set "
            "split.method to time, which holds out what is last of all users together"
        )
    return parts


def by_ratio(interactions: pl.DataFrame, shares: Sequence[float]) -> Parts:
    """Hold out each user's last interactions for test, those before for validation.

    Of n interactions, n x share (rounded half up) are held out. A user of whom train would get
    nothing stays in train.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.
        shares: of train, validation and test; their sum is 1.

    Returns:
        `train`, `validation` and `test`, in the order of `interactions`.
    """
    n = pl.len().over(USER)
    n_validation, n_test = ((n * s + 0.5 + ROUNDING).floor().cast(pl.Int64) for s in shares[1:])
    n_held_out = n_validation + n_test
    in_train = (n_held_out >= n) | (n_held_out <= FROM_THE_END)
    return _parts(interactions, in_train, n_test <= FROM_THE_END)


def by_time(interactions: pl.DataFrame, validation_from: int, test_from: int) -> Parts:
    """Split all users' interactions at the same two times.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order; every one has a
            time, see `check_times`.
        validation_from: first second of validation.
        test_from: first second of test.

    Returns:
        `train`, `validation` and `test`, in the order of `interactions`.
    """
    return _parts(interactions, pl.col(TIME) < validation_from, pl.col(TIME) < test_from)


def by_label(reviews: pl.DataFrame, users: pl.DataFrame, items: pl.DataFrame) -> Parts:
    """Return the parts of a file that labels its rows, sorted by user, in the file's order.

    Args:
        reviews: schema.REVIEWS, with `part`.
        users: schema.USERS.
        items: schema.ITEMS.
    """
    numbers = {
        name: id_codes.positions(reviews[name], of[RAW_ID]).astype(np.int32)
        for name, of in ((USER, users), (ITEM, items))
    }
    rows = reviews.with_columns(pl.Series(name, column) for name, column in numbers.items())
    return {
        part: rows.filter(pl.col(PART) == part)
        .sort(USER, maintain_order=True)
        .select(list(INTERACTIONS))
        for part in (TRAIN, VALIDATION, TEST)
    }


def by_items(
    interactions: pl.DataFrame, shares: Sequence[float], seed: int
) -> tuple[Parts, Facts]:
    """Draw the items into three groups: an interaction is in the part of its item.

    Of n items, n x share (rounded half up) are held out.

    Args:
        interactions: schema.INTERACTIONS.
        shares: of train, validation and test; their sum is 1.
        seed: of the draw.

    Returns:
        `train`, `validation` and `test`, in the order of `interactions`; and the number of
        items in each.
    """
    items = interactions[ITEM].unique().sort().to_numpy()
    order = np.random.default_rng(seed).permutation(items)
    n_validation, n_test = (int(len(items) * s + 0.5 + ROUNDING) for s in shares[1:])
    validation, test, _ = np.split(order, [n_validation, n_validation + n_test])
    held_out = pl.col(ITEM).is_in(np.concatenate([validation, test]).tolist())
    parts = _parts(interactions, ~held_out, pl.col(ITEM).is_in(validation.tolist()))
    return parts, {name: part[ITEM].n_unique() for name, part in parts.items()}


def instants(interactions: pl.DataFrame, quantiles: Sequence[float]) -> tuple[int, int]:
    """Return two quantiles of the times, in seconds.

    Interactions of the same second stay together, in the later part. Every one has a time, see
    `check_times`.
    """
    times = interactions[TIME].sort()
    first, second = (times[min(int(q * len(times)), len(times) - 1)] for q in quantiles)
    return int(first), int(second)


def ranked(parts: Parts) -> Parts:
    """Return the parts without the held-out rows of users that are not in train."""
    train_users = parts[TRAIN].select(USER).unique()
    return parts | {
        name: parts[name].join(train_users, on=USER, how="semi", maintain_order="left")
        for name in (VALIDATION, TEST)
    }


def pools(parts: Parts) -> dict[str, pl.Series]:
    """Return the items of validation and of test, ascending; of cold items, those to rank."""
    return {name: parts[name][ITEM].unique().sort() for name in (VALIDATION, TEST)}


def facts(method: Facts, parts: Parts) -> Facts:
    """Return the settings and counts that go into the metadata of a split.

    Args:
        method: its name and settings.
        parts: `train`, `validation` and `test`.

    Raises:
        RawDataError: train is empty, or a held-out part has nothing to rank.
    """
    ranked_parts = ranked(parts)
    users = pl.concat(part.select(USER) for part in parts.values())[USER].n_unique()
    counts: Facts = {}
    for name in (VALIDATION, TEST):
        with_targets = ranked_parts[name][USER].n_unique()
        counts[name] = {
            "targets": ranked_parts[name].height,
            "users": with_targets,
            "users_without_targets": users - with_targets,
            "targets_of_unknown_users": parts[name].height - ranked_parts[name].height,
        }
    if empty := [name for name, part in ranked_parts.items() if part.is_empty()]:
        heights = {name: part.height for name, part in parts.items()}
        raise RawDataError(
            f"split: expected interactions of users in train in every part, got none in "
            f"{' and '.join(empty)} ({heights}). Choose other times or shares in split, or "
            "another file of labels"
        )
    return method | counts


def check_times(interactions: pl.DataFrame, users: pl.DataFrame, items: pl.DataFrame) -> None:
    """Refuse interactions without a time; the message has the raw ids of the first.

    Args:
        interactions: schema.INTERACTIONS.
        users: schema.USERS.
        items: schema.ITEMS.

    Raises:
        RawDataError: an interaction has no time.
    """
    if missing := interactions[TIME].null_count():
        user, item, _ = interactions.filter(pl.col(TIME).is_null()).row(0)
        raise RawDataError(
            f"split: expected a time for every interaction, got {missing} without, the first "
            f"of user {users[RAW_ID][user]!r} and item {items[RAW_ID][item]!r}; choose another "
            "split.method"
        )


def midnight(day: date) -> int:
    """Return the first second of a day in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def iso_time(seconds: int) -> str:
    """Return a time in ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _parts(interactions: pl.DataFrame, in_train: pl.Expr, in_validation: pl.Expr) -> Parts:
    """Split by the first condition that holds; rows where neither holds are test."""
    part = (
        pl.when(in_train)
        .then(pl.lit(TRAIN))
        .when(in_validation)
        .then(pl.lit(VALIDATION))
        .otherwise(pl.lit(TEST))
    )
    rows = interactions.with_columns(part.alias("part"))
    return {
        name: rows.filter(pl.col("part") == name).drop("part")
        for name in (TRAIN, VALIDATION, TEST)
    }
