"""Filters before the core: which reviews count, and which items may stay.

Not a stage: what `kcore` does first. In this order: stars, bought, dates, item fields. A review
of which it is not known whether it passes does not pass; where that is so of all reviews, the
filter is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from pipeline import params
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.tables.schema import ITEM, RATING, RAW_ID, REVIEWS, TIME, USER, VERIFIED

Steps = list[dict[str, Any]]
OF_A_CORE = ("k_user", "k_item", "min_rating", VERIFIED, "since", "before")


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """What is filtered by.

    Args:
        min_rating: stars that a review must have at least.
        verified: only reviews of those who bought the item.
        since: first day (UTC) of the reviews that stay.
        before: day (UTC) from whose midnight on reviews do not stay.
        require: item fields that must not be empty.
    """

    min_rating: float | None = None
    verified: bool = False
    since: date | None = None
    before: date | None = None
    require: Sequence[str] = ()

    def named(self) -> Iterator[tuple[str, Any, str, pl.Expr]]:
        """Yield name, value, column of the reviews and condition of those that are set."""
        if self.min_rating is not None:
            # In the column's own precision, in which 3.3 is not less than 3.3.
            stars = pl.col(RATING) >= pl.lit(self.min_rating, dtype=REVIEWS[RATING])
            yield "min_rating", self.min_rating, RATING, stars
        if self.verified:
            yield VERIFIED, True, VERIFIED, pl.col(VERIFIED)
        if self.since is not None:
            yield "since", self.since.isoformat(), TIME, pl.col(TIME) >= _midnight(self.since)
        if self.before is not None:
            yield "before", self.before.isoformat(), TIME, pl.col(TIME) < _midnight(self.before)


def asked_for(rules: params.KCore) -> Filters:
    """Return what a dataset's section of params.yaml filters by."""
    return Filters(
        min_rating=rules.min_rating,
        verified=bool(rules.verified),
        since=date.fromisoformat(rules.since) if rules.since else None,
        before=date.fromisoformat(rules.before) if rules.before else None,
        require=rules.require,
    )


def check_none_asked_for(rules: params.KCore, dataset: str) -> None:
    """Refuse filters of a published split, which is taken as it is; k is known not to count.

    Raises:
        ParamsError: one is set; its key is named.
    """
    for name in OF_A_CORE:
        if getattr(rules, name) not in (None, False):
            raise ParamsError(
                f"params.yaml: kcore.{name}: {dataset} is a published split, which is taken as "
                f"it is; write `kcore.datasets.{dataset}.{name}: null`"
            )


def filtered(
    reviews: pl.DataFrame, items: pl.DataFrame, filters: Filters
) -> tuple[pl.DataFrame, Steps]:
    """Return the reviews that pass, in their order, and the counts before and after each step.

    Args:
        reviews: schema.REVIEWS, perhaps with `verified`.
        items: schema.RAW_ITEMS.
        filters: what is filtered by.

    Raises:
        ParamsError: the dataset does not say what a filter asks for.
        RawDataError: no review passes; the message has the counts of each step.
    """
    steps: Steps = [step("all reviews", None, reviews)]
    for name, value, column, passes in filters.named():
        _check_known(reviews, column, name)
        reviews = reviews.filter(passes)
        steps.append(step(name, value, reviews))
    if filters.require:
        usable = items.filter(pl.all_horizontal(_filled(items, f) for f in filters.require))
        reviews = reviews.join(
            usable, left_on=ITEM, right_on=RAW_ID, how="semi", maintain_order="left"
        )
        steps.append(step("require", list(filters.require), reviews))
    if reviews.is_empty():
        raise RawDataError(
            f"kcore: no review is left ({in_words(steps)}). Ask for less in kcore"
        )
    return reviews, steps


def step(name: str, value: Any, reviews: pl.DataFrame) -> dict[str, Any]:
    """Return a step's entry of statistics.json: what it was, and what is left after it."""
    return {
        "filter": name,
        "value": value,
        "users": reviews[USER].n_unique(),
        "items": reviews[ITEM].n_unique(),
        "reviews": reviews.height,
    }


def in_words(steps: Steps) -> str:
    """Return the counts of the steps in a line."""
    return "; ".join(
        f"{one['filter']}{'' if one['value'] is None else ' ' + str(one['value'])}: "
        f"{one['users']} users, {one['items']} items, {one['reviews']} reviews"
        for one in steps
    )


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _check_known(reviews: pl.DataFrame, column: str, name: str) -> None:
    if column not in reviews.columns or (reviews.height and not reviews[column].count()):
        raise ParamsError(
            f"params.yaml: kcore.{name}: expected a dataset whose reviews have a {column}, got "
            "one without; leave the filter out, for this dataset by kcore.datasets.<dataset>"
        )


def _filled(items: pl.DataFrame, field: str) -> pl.Expr:
    if field not in items.columns:
        raise ParamsError(
            f"params.yaml: kcore.require: no item field {field!r}; expected some of "
            f"{items.columns}"
        )
    column = pl.col(field)
    if isinstance(items.schema[field], pl.List):
        return column.list.len().fill_null(0) > 0
    return column.cast(pl.String).str.strip_chars().fill_null("") != ""
