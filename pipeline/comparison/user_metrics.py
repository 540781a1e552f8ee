"""Metrics of each user or held-out item, and bootstrap confidence intervals of their means.

pipeline/tables/rank_metrics.py computes them. The metrics of several seeds are averaged. Those
of a held-out item are what they would be if it were its user's only one.

Shapes: U users or held-out items, C columns, B resamples.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from model.measures import (
    FULL,
    MEASURES,
    SAMPLED,
    SELECT_BY,
    WORDS,
    is_measured,
    split_metric,
    split_name,
)
from pipeline.job.errors import SchemaError
from pipeline.tables import rank_metrics
from pipeline.tables import schema as s
from pipeline.tables.rank_metrics import RANK, TARGETS, USERS, Metric, title

__all__ = ["FULL", "MEASURES", "RANK", "SAMPLED", "TARGETS", "USERS", "Metric", "title"]

Floats = npt.NDArray[np.float64]
Ranks = Mapping[str, pl.DataFrame]  # schema.RANKS of each model, of one seed or several
Parts = Mapping[str, pl.DataFrame]  # schema.INTERACTIONS of train, validation and test
Metrics = Mapping[str, pl.DataFrame]  # `means` of each model, rows of the same users or targets

CUTOFFS = (5, 10)  # the paper's, like the measures
SHOWN = ("hr", "ndcg")

TOP = 20  # largest k of curves
# In titles of columns; what of it needs an explanation.
SHORT = {"hr": "HR", "recall": "R", "precision": "P", "ndcg": "N", "map": "MAP", "mrr": "MRR"}
LONG = {"recall": "recall", "precision": "precision", "ndcg": "NDCG"}

RESAMPLES, LEVEL = 2000, 0.95  # of the bootstrap over users; of its intervals
BLOCK = 1 << 22  # users drawn at once: three arrays of 32 MiB


def names(
    cutoffs: Sequence[int] = CUTOFFS, measures: Sequence[str] = SHOWN, part: str = FULL
) -> list[str]:
    """Return the metrics at these cut-offs: `hr@5`, `ndcg@5`, `hr@10`, `ndcg@10`.

    Left out are measures that the protocol `part` does not have, such as sampled `map`.
    """
    measured = [m for m in dict.fromkeys(measures) if m in MEASURES[part]]
    return [f"{measure}@{k}" for k in cutoffs for measure in measured]


NAMES = tuple(names())


def shown(names: Sequence[str]) -> list[Metric]:
    """Return both protocols' metrics of these names, where they have them."""
    return [(part, name) for part in RANK for name in names if is_measured(part, name)]


def measure_of(select_by: str) -> str:
    """Return the measure of a metric such as `full recall@20`."""
    return split_name(split_metric(select_by)[1])[0]


def leading(cutoffs: Sequence[int] = CUTOFFS, select_by: str = SELECT_BY) -> Metric:
    """Return the metric by which models are ranked: that of `train.select_by`.

    Its k is the one of `cutoffs` that is nearest to the k of `select_by`.
    """
    part, name = split_metric(select_by)
    measure, wanted = split_name(name)
    return part, f"{measure}@{min(cutoffs, key=lambda k: (abs(k - wanted), k))}"


def cutoffs_of(
    metrics: Mapping[str, Mapping[str, Any]], measures: Sequence[str] = SHOWN
) -> tuple[int, ...]:
    """Return the cut-offs of the models' metrics.json, ascending.

    Raises:
        SchemaError: a model was measured at none, at others than the first, or lacks one of the
            `measures` in a protocol that has it.
    """
    found = {
        (model, part): sorted(int(name[3:]) for name in content[part] if name.startswith("hr@"))
        for model, content in metrics.items()
        for part in RANK
    }
    first = next(iter(found.values()))
    for (model, part), cutoffs in found.items():
        expected = set(names(first, measures, part))
        if cutoffs != first or not cutoffs or not expected <= set(metrics[model][part]):
            raise SchemaError(
                f"{model}/{s.METRICS_FILE}: expected {part} {', '.join(measures)} at k of "
                f"{first}, as of the other models, got {sorted(metrics[model][part])}; run the "
                "stage evaluate again for all"
            )
    return tuple(first)


def columns(table: pl.DataFrame) -> list[Metric]:
    """Return the part and the metric of each of the columns of `means`, in their order."""
    return [
        (part, name)
        for part, _, name in (column.partition(" ") for column in table.columns)
        if name
    ]


def values(table: pl.DataFrame) -> Floats:
    """Return the metrics of `means` without the ids, (U, C)."""
    return table.select(title(*column) for column in columns(table)).to_numpy()


def means(
    ranks: pl.DataFrame, by: Sequence[str] = USERS, names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return the metrics of each user or each held-out item.

    Args:
        ranks: schema.RANKS, of one seed or several.
        by: `USERS` or `TARGETS`.
        names: such as `hr@5`; by default those of the function `names`.

    Returns:
        The columns `by`, ascending, and a float column for each protocol and metric, called
        `sampled hr@5` and so on.
    """
    return rank_metrics.of_groups(ranks, shown(names or NAMES), by)


def aligned(
    ranks: Ranks, by: Sequence[str] = USERS, names: Sequence[str] | None = None
) -> Metrics:
    """Return the `means` of each model, whose rows are of the same users or held-out items.

    Raises:
        SchemaError: the models ranked different ones.
    """
    metrics = {model: means(table, by, names) for model, table in ranks.items()}
    first = next(iter(metrics), "")
    for model, table in metrics.items():
        if not table.select(by).equals(metrics[first].select(by)):
            raise SchemaError(
                f"{first} and {model}: their {s.RANKS_FILE} have different {by[-1]}s; run the "
                "stage evaluate again for both"
            )
    return metrics


def hit_ratios(ranks: pl.DataFrame, part: str) -> list[tuple[int, float]]:
    """Return k and HR@k for k from 1 to TOP, from schema.RANKS."""
    at_k = names(range(1, TOP + 1), ["hr"])
    return list(enumerate(rank_metrics.means(ranks, part, at_k).values(), 1))


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean, the standard deviation (n - 1; None of one value) and the values."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd, "seeds": list(values)}


def short(name: str) -> str:
    """Return a metric's column title: `N@5` for `ndcg@5`."""
    measure, _, k = name.partition("@")
    return f"{SHORT[measure]}@{k}"


def in_text(name: str) -> str:
    """Return a metric's name in a text: `NDCG@5` for `ndcg@5`."""
    measure, _, k = name.partition("@")
    return f"{WORDS[measure]}@{k}"


def legend(measures: Sequence[str]) -> str:
    """Return what the letters of column titles stand for, in sentences; "" for HR alone."""
    letters = [f"{SHORT[m]} is {LONG[m]}" for m in measures if m in LONG]
    return f"{', '.join(letters)}. " if letters else ""


def resampled(
    values: Floats, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Floats:
    """Return bootstrap means of the rows, drawn with replacement; columns share the draws.

    Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979,
    https://doi.org/10.1214/aos/1176344552.

    Args:
        values: (U, C), at least one row.
        generator: of the draws.
        resamples: B.

    Returns:
        (B, C).
    """
    n, means = len(values), []
    for first in range(0, resamples, rows := max(1, BLOCK // n)):
        height = min(rows, resamples - first)
        drawn = generator.integers(n, size=(height, n)) + n * np.arange(height)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=height * n).reshape(height, n)
        means.append(counts.astype(np.float64) @ values / n)
    return np.concatenate(means)


def intervals(means: Floats) -> Floats:
    """Return the bounds, (2, C), of the percentile intervals of (B, C) bootstrap means."""
    tail = 100 * (1 - LEVEL) / 2
    return np.percentile(means, [tail, 100 - tail], axis=0)
