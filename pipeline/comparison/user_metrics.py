"""Metrics of each user or held-out item, and bootstrap confidence intervals of their means.

HR@k is [r < k] and NDCG@k is [r < k] / log2(r + 2), where r is the 0-based rank of a held-out
item, either among the candidates (sampled) or among all items (full). The metrics of several
seeds are averaged; those of a user's held-out items too.

Shapes: U users or held-out items, C columns, B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s

Floats = npt.NDArray[np.float64]
Ranks = Mapping[str, pl.DataFrame]  # schema.RANKS of each model, of one seed or several
Parts = Mapping[str, pl.DataFrame]  # schema.INTERACTIONS of train, validation and test
Metrics = Mapping[str, pl.DataFrame]  # `means` of each model, rows of the same users or targets

SAMPLED, FULL = "sampled", "full"
RANK = {SAMPLED: "rank_sampled", FULL: "rank_full"}
CUTOFFS = (5, 10)  # the paper's
K = 10  # of the NDCG by which an epoch is chosen
USERS, TARGETS = (s.USER,), (s.USER, s.ITEM)

RESAMPLES, LEVEL = 2000, 0.95  # of the bootstrap over users; of its intervals
BLOCK = 1 << 22  # users drawn at once: three arrays of 32 MiB


def names(cutoffs: Sequence[int] = CUTOFFS) -> list[str]:
    """Return the metrics at these cut-offs: `hr@5`, `ndcg@5`, `hr@10`, `ndcg@10`."""
    return [f"{measure}@{k}" for k in cutoffs for measure in ("hr", "ndcg")]


def leading(cutoffs: Sequence[int] = CUTOFFS) -> int:
    """Return the k of the sampled NDCG@k that ranks the models: 10, or the nearest to it."""
    return min(cutoffs, key=lambda k: (abs(k - K), k))


def cutoffs_of(metrics: Mapping[str, Mapping[str, Any]]) -> tuple[int, ...]:
    """Return the cut-offs of the models' metrics.json, ascending.

    Raises:
        SchemaError: a model was measured at none, or at others than the first.
    """
    found = {
        (model, part): sorted(int(name[3:]) for name in content[part] if name.startswith("hr@"))
        for model, content in metrics.items()
        for part in (SAMPLED, FULL)
    }
    first = next(iter(found.values()))
    for (model, part), cutoffs in found.items():
        if (
            cutoffs != first
            or not cutoffs
            or not set(names(cutoffs)) <= set(metrics[model][part])
        ):
            raise SchemaError(
                f"{model}/{s.METRICS_FILE}: expected {part} HR@k and NDCG@k at k of {first}, "
                f"as of the other models, got {cutoffs}; run the stage evaluate again for all"
            )
    return tuple(first)


def expression(part: str, name: str) -> pl.Expr:
    """Return the metric of a row of schema.RANKS, such as `ndcg@10` in the full ranking."""
    measure, k = name.split("@")
    rank = pl.col(RANK[part])
    hit = 1 / (rank + 2).log(2) if measure == "ndcg" else pl.lit(1.0)
    return pl.when(rank < int(k)).then(hit).otherwise(0.0)


def title(part: str, name: str) -> str:
    """Return the name of a column."""
    return f"{part} {name}"


def columns(table: pl.DataFrame) -> list[tuple[str, str]]:
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
    ranks: pl.DataFrame, by: Sequence[str] = USERS, cutoffs: Sequence[int] = CUTOFFS
) -> pl.DataFrame:
    """Return the metrics of each user or each held-out item.

    Args:
        ranks: schema.RANKS, of one seed or several.
        by: `USERS` or `TARGETS`.
        cutoffs: the values of k.

    Returns:
        The columns `by`, ascending, and a float column for each protocol and metric, called
        `sampled hr@5` and so on.
    """
    metrics = [
        expression(part, name).mean().alias(title(part, name))
        for part in RANK
        for name in names(cutoffs)
    ]
    return ranks.group_by(by).agg(metrics).sort(by)


def aligned(
    ranks: Ranks, by: Sequence[str] = USERS, cutoffs: Sequence[int] = CUTOFFS
) -> Metrics:
    """Return the `means` of each model, whose rows are of the same users or held-out items.

    Raises:
        SchemaError: the models ranked different ones.
    """
    metrics = {model: means(table, by, cutoffs) for model, table in ranks.items()}
    first = next(iter(metrics), "")
    for model, table in metrics.items():
        if not table.select(by).equals(metrics[first].select(by)):
            raise SchemaError(
                f"{first} and {model}: their {s.RANKS_FILE} have different {by[-1]}s; run the "
                "stage evaluate again for both"
            )
    return metrics


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
