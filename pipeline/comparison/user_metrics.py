"""Metrics of each user or held-out item, and bootstrap confidence intervals of their means.

HR@k is [r < k] and NDCG@k is [r < k] / log2(r + 2), where r is the 0-based rank of a held-out
item, either among the candidates (sampled) or among all items (full). The metrics of several
seeds are averaged; those of a user's held-out items too.

Shapes: U users or held-out items, C columns, B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s

Floats = npt.NDArray[np.float64]

SAMPLED, FULL = "sampled", "full"
RANK = {SAMPLED: "rank_sampled", FULL: "rank_full"}
CUTOFFS = (5, 10)
K = 10  # of the NDCG that ranks the models
MEASURE = f"ndcg@{K}"
NAMES = tuple(f"{measure}@{k}" for k in CUTOFFS for measure in ("hr", "ndcg"))
COLUMNS = tuple((part, name) for part in RANK for name in NAMES)
K = 10
MEASURE = f"ndcg@{K}"  # ranks the models, sampled
USERS, TARGETS = (s.USER,), (s.USER, s.ITEM)

RESAMPLES, LEVEL = 2000, 0.95  # of the bootstrap over users; of its intervals
BLOCK = 1 << 22  # users drawn at once: three arrays of 32 MiB


def expression(part: str, name: str) -> pl.Expr:
    """Return the metric of a row of schema.RANKS, such as `ndcg@10` in the full ranking."""
    measure, k = name.split("@")
    rank = pl.col(RANK[part])
    hit = 1 / (rank + 2).log(2) if measure == "ndcg" else pl.lit(1.0)
    return pl.when(rank < int(k)).then(hit).otherwise(0.0)


def title(part: str, name: str) -> str:
    """Return the name of a column."""
    return f"{part} {name}"


TITLES = [title(*column) for column in COLUMNS]


def means(ranks: pl.DataFrame, by: Sequence[str] = USERS) -> pl.DataFrame:
    """Return the metrics of each user or each held-out item.

    Args:
        ranks: schema.RANKS, of one seed or several.
        by: `USERS` or `TARGETS`.

    Returns:
        The columns `by`, ascending, and a float column for each of `COLUMNS`, called
        `sampled hr@5` and so on.
    """
    metrics = [expression(*column).mean().alias(title(*column)) for column in COLUMNS]
    return ranks.group_by(by).agg(metrics).sort(by)


def aligned(
    ranks: Mapping[str, pl.DataFrame], by: Sequence[str] = USERS
) -> dict[str, pl.DataFrame]:
    """Return the `means` of each model, whose rows are of the same users or held-out items.

    Raises:
        SchemaError: the models ranked different ones.
    """
    metrics = {model: means(table, by) for model, table in ranks.items()}
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
