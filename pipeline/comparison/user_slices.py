"""The models on subsets of the held-out items: the content of slices.json.

    {"dataset", "counted", "seed", "resamples", "level",
     "partitions": {KEY: {"title", "slices": [
         {"name", "what", "n_users", "n_targets",
          "models": {MODEL: {PART: {NAME: {"value", "low", "high"}}}}}]}}}

PART is sampled or full, NAME is a measure of `evaluate.metrics` at a k of `evaluate.k`. A
value is the mean over the targets (held-out items) of a slice, each with the metrics of a user
who has this target alone. Each partition puts every target into one slice:

- activity: by the number of the user's training items.
- popularity: by the number of the target's training users. Head, mid and tail items have about
  a third of the training pairs each; cold items have none.
- recurs: whether the target is among the user's training items, which happens in published
  splits.
- has MODALITY: whether the target has that content; without it, its feature is a row of zeros.

`counted` says which pairs are training pairs: those that the models learned from. [low, high]
is the bootstrap confidence interval over the slice's targets; null for fewer than two targets,
or where all have the same value, so that resampling has no spread. A slice without targets has
no models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.comparison import user_metrics
from pipeline.comparison.user_metrics import (
    NAMES,
    RANK,
    TARGETS,
    Metrics,
    Parts,
    Ranks,
)
from pipeline.tables import schema as s

BOTH = "train and validation"
EDGES = (5, 10, 20, 50)  # training items at which a class of activity begins
PLACES = {
    "head": "the most popular items, with the first third of the training pairs",
    "mid": "the next items, with the second third",
    "tail": "the other items with a training pair",
    "cold": "items without a training pair",
}
Mask = npt.NDArray[np.bool_]


def table(
    ranks: Ranks,
    parts: Parts,
    trained_on: Iterable[str | None],
    present: Mapping[str, Mask],
    seed: int,
    names: Sequence[str] = NAMES,
) -> dict[str, Any]:
    """Return the content of slices.json, less `dataset`.

    Args:
        ranks: of each model.
        parts: of the split.
        trained_on: of each model, from metrics.json.
        present: (I,) of each modality.
        seed: of the bootstrap.
        names: of the metrics, such as `hr@5`.

    Raises:
        SchemaError: the models ranked different users.
    """
    metrics = user_metrics.aligned(ranks, TARGETS, names)
    counted, pairs = learned_from(parts[s.TRAIN], parts[s.VALIDATION], trained_on)
    targets = next(iter(metrics.values())).select(TARGETS)
    generator = np.random.default_rng(seed)
    result = {}
    for key, (title, slices, labels) in partitions(targets, pairs, present).items():
        inside = {name: (labels == name).to_numpy() for name in slices}
        result[key] = {
            "title": title,
            "slices": [
                {"name": name, "what": what}
                | _sizes(targets.filter(inside[name]))
                | {"models": _models(metrics, inside[name], generator)}
                for name, what in slices.items()
            ],
        }
    facts = {"counted": counted, "seed": seed, "resamples": user_metrics.RESAMPLES}
    return facts | {"level": user_metrics.LEVEL, "partitions": result}


def learned_from(
    train: pl.DataFrame, validation: pl.DataFrame, trained_on: Iterable[str | None]
) -> tuple[str, pl.DataFrame]:
    """Return which pairs all the models learned from, in words and as `user` and `item`.

    Args:
        train: schema.INTERACTIONS; in a published split it has the validation items too.
        validation: schema.INTERACTIONS.
        trained_on: of each model, from metrics.json.
    """
    train, validation = (part.select(TARGETS) for part in (train, validation))
    if set(trained_on) == {BOTH}:
        return BOTH, pl.concat([train, validation]).unique(maintain_order=True)
    rest = train.join(validation, on=TARGETS, how="anti")
    return s.TRAIN, rest.unique(maintain_order=True)


def partitions(
    targets: pl.DataFrame, pairs: pl.DataFrame, present: Mapping[str, Mask]
) -> dict[str, tuple[str, dict[str, str], pl.Series]]:
    """Return each partition's title, its slices in words, and the slice of each target.

    Args:
        targets: `user` and `item`.
        pairs: of the training, each once.
        present: (I,) of each modality.
    """
    recurs = {"yes": "the target is one of them", "no": "it is not"}
    recurs_title = "the target among the user's training items"
    result = {
        "activity": ("training items of the user", _classes(), activity(targets, pairs)),
        "popularity": ("popularity of the target", PLACES, popularity(targets, pairs)),
        "recurs": (recurs_title, recurs, recurring(targets, pairs)),
    }
    for modality, has_content in present.items():
        slices = {"present": f"the target has {modality} content", "absent": "it has none"}
        of_targets = has_content[targets[s.ITEM].to_numpy()]
        labels = pl.Series(np.where(of_targets, "present", "absent"))
        result[f"has {modality}"] = (f"{modality} content of the target", slices, labels)
    return result


def activity(targets: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    """Return the class of each target's user, such as `5–9` training items."""
    place = np.searchsorted(EDGES, _counts(targets, pairs, s.USER).to_numpy(), side="right")
    return pl.Series(np.array(list(_classes()))[place])


def popularity(targets: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    """Return head, mid, tail or cold for each target.

    Items with the same number of training users are in the same slice: an item is in the head
    while the items with more users have less than a third of the pairs.
    """
    by_count = (
        pairs.group_by(s.ITEM)
        .len("users")
        .group_by("users")
        .agg(pl.col("users").sum().alias("pairs"))
        .sort("users", descending=True)
    )
    before = (pl.col("pairs").cum_sum() - pl.col("pairs")) / max(pairs.height, 1)
    place = (
        pl.when(before * 3 < 1).then(pl.lit("head")).when(before * 3 < 2).then(pl.lit("mid"))
    )
    places = by_count.select("users", place.otherwise(pl.lit("tail")).alias("place"))
    counts = _counts(targets, pairs, s.ITEM).alias("users").to_frame()
    rows = counts.join(places, on="users", how="left", maintain_order="left")
    return rows["place"].fill_null("cold")


def recurring(targets: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    """Return yes where a target is among its user's training items, else no."""
    marked = pairs.with_columns(pl.lit("yes").alias("recurs"))
    rows = targets.join(marked, on=TARGETS, how="left", maintain_order="left")
    return rows["recurs"].fill_null("no")


def _sizes(targets: pl.DataFrame) -> dict[str, int]:
    return {"n_users": targets[s.USER].n_unique(), "n_targets": targets.height}


def _classes() -> dict[str, str]:
    starts = (0, *EDGES)
    names = [f"{a}–{b - 1}" for a, b in zip(starts, EDGES, strict=False)]
    return {name: f"{name} training items" for name in (*names, f"{EDGES[-1]}+")}


def _counts(targets: pl.DataFrame, pairs: pl.DataFrame, column: str) -> pl.Series:
    """Return how many training pairs each target's user or item has."""
    counts = pairs.group_by(column).len("n")
    return targets.join(counts, on=column, how="left", maintain_order="left")["n"].fill_null(0)


def _models(metrics: Metrics, inside: Mask, generator: np.random.Generator) -> dict[str, Any]:
    """Return the numbers of each model on the targets that are `inside` a slice."""
    if not inside.any():
        return {}
    values = np.hstack([user_metrics.values(table)[inside] for table in metrics.values()])
    bounds = user_metrics.intervals(user_metrics.resampled(values, generator))
    constant = values.min(axis=0) == values.max(axis=0)
    numbers = zip(
        values.mean(axis=0).tolist(), constant.tolist(), *bounds.tolist(), strict=True
    )
    result: dict[str, Any] = {model: {part: {} for part in RANK} for model in metrics}
    columns = product(metrics, user_metrics.columns(next(iter(metrics.values()))))
    for (model, (part, name)), (value, same, low, high) in zip(columns, numbers, strict=True):
        interval = {"low": None, "high": None} if same else {"low": low, "high": high}
        result[model][part][name] = {"value": value} | interval
    return result
