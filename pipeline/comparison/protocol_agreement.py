"""Do sampled and full ranking put the models in the same order?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import hypergeom, kendalltau, spearmanr

from pipeline.comparison.user_metrics import FULL, RANK, SAMPLED


def note(n_negatives: int) -> str:
    """Return why sampled and full ranking may disagree, where each target has n negatives."""
    is_papers = n_negatives == 99
    part = "tenth" if is_papers else f"{min(1.0, 10 / (n_negatives + 1)):.0%}"
    return (
        "Sampled and full ranking can disagree on which model is better, not only in size. A "
        f"target's rank among {n_negatives} random items says about what share of the "
        "catalogue is above it: the sampled HR@10 asks whether that is less than "
        f"{'a ' * is_papers}{part}, and in a catalogue of thousands hardly tells the first "
        "place from the fiftieth, while full HR@10 counts the first ten places and nothing "
        f"else. A model that moves many targets from the middle to the upper {part} gains in "
        "the first, one that moves a few to the very top in the second (Krichene and Rendle, "
        "On Sampled Metrics for Item Recommendation, KDD 2020, "
        "https://doi.org/10.1145/3394486.3403226). The full ranking is the one that a user "
        "meets; the sampled one is the paper's"
        f"{'' if is_papers else ', there with 99'}."
    )


def between(
    models: Mapping[str, Any], opponents: pl.DataFrame, n_negatives: int
) -> dict[str, Any]:
    """Compare the two protocols.

    Args:
        models: `{model: {part: {name: {"value"}}}}`, as in significance.json.
        opponents: `user` and `opponents`, see `other_negatives.opponents`.
        n_negatives: of each target in the sampled ranking.

    Returns:
        "measures": for each NAME the models from best to worst by "sampled" and by "full";
        "kendall" (tau-b) and "spearman", the correlations of the two over the models (null for
        fewer than two models or where all values are equal); and "disagree": pairs [a, b] of
        which a is better sampled and b is better full. "even": for each k the last place
        (0-based) in the full ranking at which a held-out item of the median user is at least as
        likely inside the sampled top k as outside.
    """
    names = list(next(iter(models.values()))[SAMPLED])
    cutoffs = dict.fromkeys(int(name.split("@")[1]) for name in names)
    return {
        "measures": {name: _measure(models, name) for name in names},
        "even": {str(k): even(opponents, k, n_negatives) for k in cutoffs},
    }


def even(opponents: pl.DataFrame, k: int, n_negatives: int) -> int:
    """Return the largest full rank at which a sampled hit at k is at least as likely as not."""
    n = int(np.median(opponents["opponents"].to_numpy()))
    chance = hypergeom.cdf(k - 1, n, np.arange(n + 1), n_negatives)
    return int((chance >= 0.5).sum()) - 1


def _measure(models: Mapping[str, Any], name: str) -> dict[str, Any]:
    values = {
        part: {model: metrics[part][name]["value"] for model, metrics in models.items()}
        for part in RANK
    }
    sampled, full = (list(values[part].values()) for part in (SAMPLED, FULL))
    varied = len(set(sampled)) > 1 and len(set(full)) > 1
    return {
        part: sorted(by_model, key=by_model.__getitem__, reverse=True)
        for part, by_model in values.items()
    } | {
        "kendall": float(kendalltau(sampled, full).statistic) if varied else None,
        "spearman": float(spearmanr(sampled, full).statistic) if varied else None,
        "disagree": _disagreements(values[SAMPLED], values[FULL]),
    }


def _disagreements(sampled: Mapping[str, float], full: Mapping[str, float]) -> list[list[str]]:
    pairs = []
    for a, b in combinations(sampled, 2):
        better, worse = (a, b) if sampled[a] > sampled[b] else (b, a)
        if sampled[better] > sampled[worse] and full[worse] > full[better]:
            pairs.append([better, worse])
    return pairs
