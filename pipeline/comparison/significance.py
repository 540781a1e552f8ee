"""Confidence intervals, tests and seeds of a comparison: the content of significance.json.

    {"dataset", "best", "n_users", "seed", "resamples", "level", "note",
     "n_targets", "models": {MODEL: {PART: {NAME: {"value", "low", "high", "seeds", "sd",
                                                   "redrawn": {"mean", "sd"} (sampled only)}}}},
     "pairs": [{"best", "other", "part", "name", "difference", "low", "high", "n_users",
                "wins", "ties", "losses", "p_t", "p_t_holm", "p_wilcoxon", "p_wilcoxon_holm"}],
     "protocols": see `pipeline.comparison.protocol_agreement.between`}

PART is sampled or full, NAME is a measure of `evaluate.metrics` at a k of `evaluate.k`, such as
ndcg@10. A target is a held-out item; with leave-one-out each user has one.

- value: the mean over users and seeds; [low, high] is its bootstrap confidence interval over
  the users.
- seeds, sd: the number of seeds, and the standard deviation of the mean over them; null with
  one seed.
- redrawn: the mean and standard deviation over all possible lists of negatives, see
  `pipeline.comparison.other_negatives`; absent where a user has several targets, or where the
  full ranking shows validation items.
- pairs: the best model against each other one. Each user counts once; wins are users for whom
  the best model has the higher value. The tests are paired over users and two-sided: Student's
  t, and Wilcoxon's signed-rank test without ties. Holm's correction is over the pairs of one
  PART and NAME.

The tests use each user's mean over the seeds. So p is about other users, not about another
training.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import ttest_1samp, wilcoxon

from pipeline.comparison import other_negatives, protocol_agreement, user_metrics
from pipeline.comparison.user_metrics import (
    NAMES,
    SAMPLED,
    Floats,
    Metric,
    Metrics,
    Parts,
    Ranks,
)
from pipeline.tables import rank_metrics

TESTS = ("t", "wilcoxon")
LEADING = user_metrics.leading()
LEADING = user_metrics.leading()


def table(
    ranks: Ranks,
    parts: Parts,
    best: str,
    n_items: int,
    n_negatives: int,
    seed: int,
    names: Sequence[str] = NAMES,
    hides_validation: bool = True,
    cold: bool = False,
) -> dict[str, Any]:
    """Return the content of significance.json, less `dataset`.

    Args:
        ranks: of each model.
        parts: the split.
        best: the model that is tested against the others.
        n_items: number of items.
        n_negatives: of each target in the sampled ranking.
        seed: of the bootstrap.
        names: of the metrics, such as `hr@5`.
        hides_validation: whether the full ranking does, as `evaluate.mask` says.
        cold: whether the split holds out items.

    Raises:
        SchemaError: the models ranked different users.
    """
    of_users = user_metrics.aligned(ranks, names=names)
    opponents = other_negatives.opponents(parts, n_items, cold=cold)
    means = _bootstrap(of_users, np.random.default_rng(seed))
    models = {m: _model(of_users[m], means[m], ranks[m]) for m in ranks}
    of_models = (ranks if hides_validation else {}), opponents, n_negatives
    for model, metrics in other_negatives.expectations(*of_models, names).items():
        for name, moments in metrics.items():
            models[model][SAMPLED][name]["redrawn"] = moments
    columns = user_metrics.columns(of_users[best])
    return {
        "best": best,
        "n_users": of_users[best].height,
        "n_targets": ranks[best].select(user_metrics.TARGETS).n_unique(),
        "seed": seed,
        "resamples": user_metrics.RESAMPLES,
        "level": user_metrics.LEVEL,
        "note": protocol_agreement.note(n_negatives),
        "models": models,
        "pairs": [row for c in columns for row in pairs(of_users, best, *c, means=means)],
        "protocols": protocol_agreement.between(models, opponents, n_negatives),
    }


def pairs(
    metrics: Metrics,
    best: str,
    part: str,
    name: str,
    means: Mapping[str, Floats] | None = None,
) -> list[dict[str, Any]]:
    """Test the best model against each other one in one metric.

    Args:
        metrics: of each model and user.
        best: one of the models; any other model may take its place.
        part: `sampled` or `full`.
        name: such as `ndcg@10`.
        means: the models' bootstrap means, (B, C); without them rows have no interval.

    Returns:
        A row per other model, as in significance.json.
    """
    column = user_metrics.title(part, name)
    place = user_metrics.columns(metrics[best]).index((part, name))
    rows = []
    for other in (model for model in metrics if model != best):
        difference = (metrics[best][column] - metrics[other][column]).to_numpy()
        row: dict[str, Any] = {"best": best, "other": other, "part": part, "name": name}
        row |= _counts(difference) | _p_values(difference)
        if means is not None:
            bounds = user_metrics.intervals((means[best] - means[other])[:, [place]])[:, 0]
            row |= {"low": float(bounds[0]), "high": float(bounds[1])}
        rows.append(row)
    for test in TESTS:
        corrected = holm([row[f"p_{test}"] for row in rows])
        for row, p in zip(rows, corrected, strict=True):
            row[f"p_{test}_holm"] = p
    return rows


def against_best(ranks: Ranks, best: str, metric: Metric = LEADING) -> list[dict[str, Any]]:
    """Test the best model against each other one in one metric, by Wilcoxon's test.

    Returns:
        One row per other model: the mean difference (positive where the best one is
        better), the number of users and of those that differ, p, and p after Holm's correction.

    Raises:
        SchemaError: the models ranked different users.
    """
    of_users = user_metrics.aligned(ranks, names=[metric[1]])
    return [
        {
            "best": best,
            "other": row["other"],
            "mean_difference": row["difference"],
            "n_users": row["n_users"],
            "n_different": row["wins"] + row["losses"],
            "p": row["p_wilcoxon"],
            "p_holm": row["p_wilcoxon_holm"],
        }
        for row in pairs(of_users, best, *metric)
    ]


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected after Holm (1979), in the order given."""
    corrected, largest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        corrected[index] = largest
    return corrected


def over_seeds(ranks: pl.DataFrame, part: str, name: str) -> tuple[int, float | None]:
    """Return the number of seeds, and a metric's sample standard deviation over them.

    The standard deviation is None for one seed. `ranks` is schema.RANKS of a model.
    """
    of_seeds = ranks.sort(rank_metrics.SEED).partition_by(rank_metrics.SEED)
    means = np.array([rank_metrics.means(of_seed, part, [name])[name] for of_seed in of_seeds])
    return len(means), float(means.std(ddof=1)) if len(means) > 1 else None


def _bootstrap(metrics: Metrics, generator: np.random.Generator) -> dict[str, Floats]:
    """Return the bootstrap means of each model, (B, C); the models share the draws."""
    values = np.hstack([user_metrics.values(table) for table in metrics.values()])
    means = np.split(user_metrics.resampled(values, generator), len(metrics), axis=1)
    return dict(zip(metrics, means, strict=True))


def _model(metrics: pl.DataFrame, means: Floats, ranks: pl.DataFrame) -> dict[str, Any]:
    numbers: dict[str, Any] = {part: {} for part in user_metrics.RANK}
    bounds = user_metrics.intervals(means)
    for (part, name), low, high in zip(
        user_metrics.columns(metrics), *bounds.tolist(), strict=True
    ):
        seeds, sd = over_seeds(ranks, part, name)
        value = metrics[user_metrics.title(part, name)].mean()
        interval = {"value": value, "low": low, "high": high}
        numbers[part][name] = interval | {"seeds": seeds, "sd": sd}
    return numbers


def _counts(difference: Floats) -> dict[str, Any]:
    return {
        "difference": float(difference.mean()),
        "n_users": len(difference),
        "wins": int((difference > 0).sum()),
        "ties": int((difference == 0).sum()),
        "losses": int((difference < 0).sum()),
    }


def _p_values(difference: Floats) -> dict[str, float]:
    untied = difference[difference != 0]
    if not len(untied):
        return {"p_t": 1.0, "p_wilcoxon": 1.0}
    with warnings.catch_warnings():
        # Where all differences are equal, t is infinite and p is 0, as it should be.
        warnings.filterwarnings("ignore", message="Precision loss|divide by zero")
        t = ttest_1samp(difference, 0.0)
    return {"p_t": float(t.pvalue), "p_wilcoxon": float(wilcoxon(untied).pvalue)}
