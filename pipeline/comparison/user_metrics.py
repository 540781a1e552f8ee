"""What a target's or a user's ranks are worth, and how sure a mean over them is.

HR@k of a user is [r < k], NDCG@k is [r < k] / log2(r + 2), with r the 0-based rank of the
held-out item; both among the candidates (sampled) and among all items (full). Several seeds are
averaged, and for a user also several held-out items.

Shapes: U users, C columns, B resamples.
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
USERS, TARGETS = (s.USER,), (s.USER, s.ITEM)
COLUMNS = tuple((part, name) for part in RANK for name in NAMES)

RESAMPLES, LEVEL = 2000, 0.95  # of the bootstrap over users; of its intervals
BLOCK = 1 << 22  # users drawn at once: three arrays of 32 MiB


def expression(part: str, name: str) -> pl.Expr:
    """Return what a row of schema.RANKS is worth, such as `ndcg@10` in the full ranking."""
    measure, k = name.split("@")
    rank = pl.col(RANK[part])
    worth = 1 / (rank + 2).log(2) if measure == "ndcg" else pl.lit(1.0)
    return pl.when(rank < int(k)).then(worth).otherwise(0.0)


def means(ranks: pl.DataFrame, of: Sequence[str] = USERS) -> pl.DataFrame:
    """Return what each user, or each target, is worth.

    Args:
        ranks: schema.RANKS, of one seed or several.
        of: `USERS` or `TARGETS`.

    Returns:
        The columns `of`, ascending, and a float column for each of `COLUMNS`, called
        `sampled hr@5` and so on.
    """
    worth = [expression(*column).mean().alias(title(*column)) for column in COLUMNS]
    return ranks.group_by(of).agg(worth).sort(of)


def title(part: str, name: str) -> str:
    """Return the name of a column."""
    return f"{part} {name}"


def aligned(
    ranks: Mapping[str, pl.DataFrame], of: Sequence[str] = USERS
) -> dict[str, pl.DataFrame]:
    """Return the `means` of each model, row by row of the same users or targets.

    Raises:
        SchemaError: the models ranked different ones.
    """
    found = {model: means(table, of) for model, table in ranks.items()}
    first = next(iter(found), "")
    for model, table in found.items():
        if not table.select(of).equals(found[first].select(of)):
            raise SchemaError(
                f"{first} and {model}: their {s.RANKS_FILE} have different {of[-1]}s; run the "
                "stage evaluate again for both"
            )
    return found


def resampled(
    values: Floats, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Floats:
    """Return the means of rows drawn again, with replacement; the columns share the draws.

    Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979,
    https://doi.org/10.1214/aos/1176344552.

    Args:
        values: (U, C), at least one user or target.
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
    """Return the ends, (2, C), of the percentile intervals of (B, C) resampled means."""
    tail = 100 * (1 - LEVEL) / 2
    return np.percentile(means, [tail, 100 - tail], axis=0)
