"""Metrics from tables of ranks, schema.RANKS; model/metrics.py defines them.

A metric is a protocol and a name, such as ("full", "recall@20"). Each is a sum over the
held-out items of a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import polars as pl

from model.measures import FULL, SAMPLED, split_metric, split_name
from pipeline.tables.schema import ITEM, USER

Metric: TypeAlias = tuple[str, str]
RANK = {SAMPLED: "rank_sampled", FULL: "rank_full"}  # columns of schema.RANKS
USERS, TARGETS = (USER,), (USER, ITEM)
SEED, N, PLACE = "seed", "n", "place"  # held-out items of a group; place among them


def title(protocol: str, name: str) -> str:
    """Return the name of a column."""
    return f"{protocol} {name}"


def of_groups(
    ranks: pl.DataFrame, metrics: Sequence[Metric], by: Sequence[str] = USERS
) -> pl.DataFrame:
    """Return the metrics of each user, or of each held-out item as if its user had no other.

    Args:
        ranks: schema.RANKS, of one seed or several.
        metrics: each once.
        by: `USERS` or `TARGETS`.

    Returns:
        The columns `by`, ascending, and a float column per metric, means over the seeds, called
        `sampled hr@5` and so on.
    """
    group = [*by, SEED]
    rows = ranks.with_columns(
        pl.len().over(group).cast(pl.Float64).alias(N),
        (pl.col(RANK[FULL]).rank("ordinal").over(group) - 1).cast(pl.Float64).alias(PLACE),
    )
    names = [title(*metric) for metric in metrics]
    terms = (_term(*metric).alias(title(*metric)) for metric in metrics)
    of_seeds = (
        rows.select(*group, *terms)
        .group_by(group, maintain_order=True)
        .agg(pl.col(names).sum())
    )
    means = of_seeds.group_by(by, maintain_order=True).agg(pl.col(names).mean())
    return means.sort(by)


def means(ranks: pl.DataFrame, protocol: str, names: Sequence[str]) -> dict[str, float]:
    """Return the mean over the users of schema.RANKS of each metric of a protocol.

    Raises:
        ValueError: the protocol has no such metric.
    """
    metrics = [split_metric(title(protocol, name)) for name in names]
    of_users = of_groups(ranks, metrics)
    return {name: float(of_users[title(protocol, name)].to_numpy().mean()) for name in names}


def _term(protocol: str, name: str) -> pl.Expr:
    """Return what each held-out item adds to the metric of its group."""
    measure, k = split_name(name)
    rank, n = pl.col(RANK[protocol]).cast(pl.Float64), pl.col(N)
    gain, reciprocal, most = 1 / (rank + 2).log(2), 1 / (rank + 1), n.clip(upper_bound=k)
    first = (pl.col(PLACE) == 0).cast(pl.Float64)
    if protocol == SAMPLED:
        values = {"hr": 1 / n, "recall": 1 / n, "ndcg": gain / n, "mrr": reciprocal / n}
    else:
        values = {
            "hr": first,
            "recall": 1 / n,
            "precision": pl.lit(1 / k),
            "ndcg": gain / _ideal(n, k),
            "map": (pl.col(PLACE) + 1) * reciprocal / most,
            "mrr": first * reciprocal,
        }
    return pl.when(rank < k).then(values[measure]).otherwise(0.0)


def _ideal(n: pl.Expr, k: int) -> pl.Expr:
    """Return the DCG of min(n, k) hits at the top."""
    gains = 1 / (pl.int_range(k, eager=True).cast(pl.Float64) + 2).log(2)
    return pl.lit(gains.cum_sum()).gather(n.clip(upper_bound=k).cast(pl.Int64) - 1)
