"""Filters that stage `kcore` applies before it computes the core.

The order is: stars, verified purchase, dates, item fields. A review with a missing value does
not pass. A filter on a column that is missing in all reviews is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pipeline import params
from pipeline.interactions.splits import midnight
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.tables.schema import ITEM, RATING, RAW_ID, REVIEWS, TIME, USER, VERIFIED

Steps = list[dict[str, Any]]
CORE_SETTINGS = ("k_user", "k_item", "min_rating", VERIFIED, "since", "before", "max_per_user")


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """The filters of a dataset."""

    min_rating: float | None = None  # stars
    verified: bool = False  # only reviews by buyers of the item
    since: date | None = None  # first day, UTC
    before: date | None = None  # first day that is excluded, UTC
    max_per_user: int | None = None  # items of a user, above which the user is left out
    require: Sequence[str] = ()  # item fields that must not be empty

    def of_reviews(self) -> Iterator[tuple[str, Any, str, pl.Expr]]:
        """Yield name, value, review column and condition of each filter that is set."""
        if self.min_rating is not None:
            # In the precision of the column: as a float64, 3.3 is less than its float32.
            stars = pl.col(RATING) >= pl.lit(self.min_rating, dtype=REVIEWS[RATING])
            yield "min_rating", self.min_rating, RATING, stars
        if self.verified:
            yield VERIFIED, True, VERIFIED, pl.col(VERIFIED)
        if self.since is not None:
            yield "since", self.since.isoformat(), TIME, pl.col(TIME) >= midnight(self.since)
        if self.before is not None:
            yield "before", self.before.isoformat(), TIME, pl.col(TIME) < midnight(self.before)
        if self.max_per_user is not None:
            few = pl.col(ITEM).n_unique().over(USER) <= self.max_per_user
            yield "max_per_user", self.max_per_user, USER, few


def from_params(section: params.KCore) -> Filters:
    """Return the filters of a dataset's section `kcore`."""
    return Filters(
        min_rating=section.min_rating,
        verified=bool(section.verified),
        since=date.fromisoformat(section.since) if section.since else None,
        before=date.fromisoformat(section.before) if section.before else None,
        max_per_user=section.max_per_user,
        require=section.require,
    )


def check_none(section: params.KCore, dataset: str) -> None:
    """Check that a published split, which is never filtered, has no filters; k is ignored.

    Raises:
        ParamsError: a filter is set.
    """
    for name in CORE_SETTINGS:
        if getattr(section, name) not in (None, False):
            raise ParamsError(
                f"params.yaml: kcore.{name}: {dataset} is a published split, which is not "
                f"filtered; write `kcore.datasets.{dataset}.{name}: null`"
            )


def filtered(
    reviews: pl.DataFrame, items: pl.DataFrame, filters: Filters
) -> tuple[pl.DataFrame, Steps]:
    """Return the reviews that pass, in their order, and the counts after each step.

    Args:
        reviews: schema.REVIEWS, optionally with `verified`.
        items: schema.RAW_ITEMS.
        filters: the filters to apply.

    Raises:
        ParamsError: the dataset has no values in a column that a filter needs.
        RawDataError: no review passes; the message has the counts of each step.
    """
    steps: Steps = [step("all reviews", None, reviews)]
    for name, value, column, passes in filters.of_reviews():
        _check_has_values(reviews, column, name)
        reviews = reviews.filter(passes)
        steps.append(step(name, value, reviews))
    if filters.require:
        usable = items.filter(pl.all_horizontal(_filled(items, f) for f in filters.require))
        reviews = reviews.join(
            usable, left_on=ITEM, right_on=RAW_ID, how="semi", maintain_order="left"
        )
        steps.append(step("require", list(filters.require), reviews))
    if reviews.is_empty():
        raise RawDataError(f"kcore: no review passes ({summary(steps)}). Relax the filters")
    return reviews, steps


def step(name: str, value: Any, reviews: pl.DataFrame) -> dict[str, Any]:
    """Return a step's entry of statistics.json: the filter and the counts after it."""
    return {
        "filter": name,
        "value": value,
        "users": reviews[USER].n_unique(),
        "items": reviews[ITEM].n_unique(),
        "reviews": reviews.height,
    }


def summary(steps: Steps) -> str:
    """Return the counts of the steps in one line."""
    return "; ".join(
        f"{entry['filter']}{'' if entry['value'] is None else ' ' + str(entry['value'])}: "
        f"{entry['users']} users, {entry['items']} items, {entry['reviews']} reviews"
        for entry in steps
    )


def _check_has_values(reviews: pl.DataFrame, column: str, name: str) -> None:
    if column not in reviews.columns or (reviews.height and not reviews[column].count()):
        raise ParamsError(
            f"params.yaml: kcore.{name}: expected a dataset whose reviews have a {column}, got "
            "one without; remove the filter, for this dataset in kcore.datasets.<dataset>"
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
