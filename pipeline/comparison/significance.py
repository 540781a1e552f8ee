"""How sure the numbers of a comparison are: the content of significance.json.

    {"dataset", "best", "n_users", "seed", "resamples", "level", "note",
     "n_targets", "models": {MODEL: {PART: {NAME: {"value", "low", "high", "seeds", "sd",
                                                   "redrawn": {"mean", "sd"} (sampled only)}}}},
     "pairs": [{"best", "other", "part", "name", "difference", "low", "high", "n_users",
                "wins", "ties", "losses", "p_t", "p_t_holm", "p_wilcoxon", "p_wilcoxon_holm"}],
     "protocols": see `pipeline.comparison.protocol_agreement.between`}

PART is sampled or full, NAME is hr@5, ndcg@5, hr@10 or ndcg@10.

- value: the mean over targets (and seeds), with the bootstrap interval [low, high] over them.
  With leave-one-out each user has one target, else perhaps several.
- seeds, sd: the number of seeds, and the standard deviation over them of the mean; null with
  one seed.
- redrawn: the mean and standard deviation over all lists of negatives that could have been
  drawn, see `pipeline.comparison.other_negatives`; absent where a user has several targets.
- pairs: the best model against each other one. wins are users for whom it is worth more, and
  difference, low and high are over users, of each of whom the targets' mean counts. The
  tests are paired over users and two-sided: Student's t, and Wilcoxon's signed ranks without
  the users that tie. Holm's correction is over the pairs of one PART and NAME.

Seeds enter a test as a user's mean, so that p says whether other users would agree, not
whether another training would.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import ttest_1samp, wilcoxon

from pipeline.comparison import other_negatives, protocol_agreement, user_metrics
from pipeline.comparison.user_metrics import Floats

TESTS = ("t", "wilcoxon")


def table(
    ranks: Mapping[str, pl.DataFrame],
    parts: Mapping[str, pl.DataFrame],
    best: str,
    n_items: int,
    seed: int,
) -> dict[str, Any]:
    """Return the content of significance.json, less `dataset`.

    Args:
        ranks: schema.RANKS of each model, of one seed or several.
        parts: train, validation and test, schema.INTERACTIONS each.
        best: one of the models.
        n_items: I.
        seed: of the bootstrap.

    Raises:
        SchemaError: the models ranked different users.
    """
    worth, of_targets = (
        user_metrics.aligned(ranks),
        user_metrics.aligned(ranks, user_metrics.TARGETS),
    )
    opponents = other_negatives.opponents(parts, n_items)
    generator = np.random.default_rng(seed)
    means = _resampled(worth, generator)
    several = of_targets[best].height > worth[best].height
    spread = _resampled(of_targets, generator) if several else means
    models = {model: _model(of_targets[model], spread[model], ranks[model]) for model in worth}
    for model, found in other_negatives.table(ranks, opponents).items():
        for name, redrawn in found.items():
            models[model][user_metrics.SAMPLED][name]["redrawn"] = redrawn
    return {
        "best": best,
        "n_users": worth[best].height,
        "n_targets": of_targets[best].height,
        "seed": seed,
        "resamples": user_metrics.RESAMPLES,
        "level": user_metrics.LEVEL,
        "note": protocol_agreement.NOTE,
        "models": models,
        "pairs": [
            row
            for column in user_metrics.COLUMNS
            for row in pairs(worth, best, *column, means=means)
        ],
        "protocols": protocol_agreement.between(models, opponents),
    }


def _resampled(
    worth: Mapping[str, pl.DataFrame], generator: np.random.Generator
) -> dict[str, Floats]:
    columns = [user_metrics.title(*column) for column in user_metrics.COLUMNS]
    values = np.hstack([found.select(columns).to_numpy() for found in worth.values()])
    drawn = np.split(user_metrics.resampled(values, generator), len(worth), axis=1)
    return dict(zip(worth, drawn, strict=True))


def against_the_best(ranks: Mapping[str, pl.DataFrame], best: str) -> list[dict[str, Any]]:
    """Test the best model against each other one.

    Args:
        ranks: schema.RANKS of each model. Several seeds of a user are averaged.
        best: one of the models.

    Returns:
        One row per other model: the mean difference of NDCG@10 in the best one's favour, how
        many users there are and how many differ, p, and p after Holm's correction.

    Raises:
        SchemaError: the models ranked different users.
    """
    aligned = user_metrics.aligned(ranks)
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
        for row in pairs(aligned, best, user_metrics.SAMPLED, user_metrics.MEASURE)
    ]


def pairs(
    worth: Mapping[str, pl.DataFrame],
    best: str,
    part: str,
    name: str,
    means: Mapping[str, Floats] | None = None,
) -> list[dict[str, Any]]:
    """Test the best model against each other one in one measure.

    Args:
        worth: `gains.aligned` of the models.
        best: one of them, or any other model that the rest is to be held against.
        part: `sampled` or `full`.
        name: such as `ndcg@10`.
        means: the models' resampled means, (B, C); without them rows have no interval.

    Returns:
        A row per other model, as in significance.json.
    """
    column, place = user_metrics.title(part, name), user_metrics.COLUMNS.index((part, name))
    rows = []
    for other in (model for model in worth if model != best):
        difference = (worth[best][column] - worth[other][column]).to_numpy()
        row: dict[str, Any] = {"best": best, "other": other, "part": part, "name": name}
        row |= _counts(difference) | _p_values(difference)
        if means is not None:
            ends = user_metrics.intervals((means[best] - means[other])[:, [place]])[:, 0]
            row |= {"low": float(ends[0]), "high": float(ends[1])}
        rows.append(row)
    for test in TESTS:
        corrected = holm([row[f"p_{test}"] for row in rows])
        for row, p in zip(rows, corrected, strict=True):
            row[f"p_{test}_holm"] = p
    return rows


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected after Holm (1979), in the order given."""
    corrected, largest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        corrected[index] = largest
    return corrected


def over_seeds(ranks: pl.DataFrame, part: str, name: str) -> tuple[int, float | None]:
    """Return the number of seeds, and the sample standard deviation over them; None for one.

    Args:
        ranks: schema.RANKS.
        part: `sampled` or `full`.
        name: such as `ndcg@10`.
    """
    worth = user_metrics.expression(part, name).mean().alias("mean")
    means = ranks.group_by("seed").agg(worth).sort("seed")["mean"].to_numpy()
    return len(means), float(means.std(ddof=1)) if len(means) > 1 else None


def _model(worth: pl.DataFrame, means: Floats, ranks: pl.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {part: {} for part in user_metrics.RANK}
    ends = user_metrics.intervals(means)
    for (part, name), low, high in zip(user_metrics.COLUMNS, *ends.tolist(), strict=True):
        seeds, sd = over_seeds(ranks, part, name)
        value = worth[user_metrics.title(part, name)].mean()
        found[part][name] = {"value": value, "low": low, "high": high}
        found[part][name] |= {"seeds": seeds, "sd": sd}
    return found


def _counts(difference: Floats) -> dict[str, Any]:
    return {
        "difference": float(difference.mean()),
        "n_users": len(difference),
        "wins": int((difference > 0).sum()),
        "ties": int((difference == 0).sum()),
        "losses": int((difference < 0).sum()),
    }


def _p_values(difference: Floats) -> dict[str, float]:
    differing = difference[difference != 0]
    if not len(differing):
        return {"p_t": 1.0, "p_wilcoxon": 1.0}
    with warnings.catch_warnings():
        # Of differences that are all alike: t is infinite and p is 0, as it should be.
        warnings.filterwarnings("ignore", message="Precision loss|divide by zero")
        t = ttest_1samp(difference, 0.0)
    return {"p_t": float(t.pvalue), "p_wilcoxon": float(wilcoxon(differing).pvalue)}
