"""The effects of copies, summed up as numbers and as tables: what the rule `factors` writes.

Shapes: n items that were copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.pages import markdown_table
from pipeline.sources.sample.factors import BY_NAME, NUISANCE, PREFERENCE

Floats: TypeAlias = NDArray[np.float64]
Effects: TypeAlias = dict[str, Floats]  # factor -> (n, measures), at least 0

SCORE, RANK, FEATURE = "score", "rank", "feature"
UNITS = {
    SCORE: "mean absolute change of the copied item's score, in standard deviations of a "
    "user's scores over the catalogue",
    RANK: "mean absolute change of the copied item's rank in the catalogue, in places",
    FEATURE: "mean length of the change of the copied item's feature, in mean lengths of the "
    "catalogue's features",
}
N_RESAMPLES, INTERVAL = 2000, (2.5, 97.5)  # of the bootstrap over items; percentiles


def table(
    features: Mapping[str, Tensor],
    items: Sequence[int],
    copied: Mapping[str, Mapping[str, Tensor]],
    of_models: Mapping[str, Effects],
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Return the content of factors.json, without what the caller knows.

    Features are modality -> (I, width), of all items as they are; copied are factor -> modality
    -> (n, width); of_models has the effects on score and rank.
    """
    moved = {m: feature_effects(f, f[items], m, copied) for m, f in features.items()}
    return {
        "factors": {
            f: {"role": BY_NAME[f].role, "shown_in": BY_NAME[f].shown_in} for f in copied
        },
        "items": len(items),
        "catalogue": len(next(iter(features.values()))),
        "units": UNITS,
        "features": {m: summary(e, (FEATURE,), generator) for m, e in moved.items()},
        "models": {m: summary(e, (SCORE, RANK), generator) for m, e in of_models.items()},
    }


def feature_effects(
    feature: Tensor, rows: Tensor, modality: str, copied: Mapping[str, Mapping[str, Tensor]]
) -> Effects:
    """Return how far the copies' features are from the originals', (n, 1) per factor shown."""
    length = feature.norm(dim=1)
    unit = length[length > 0].mean()
    distances = {
        f: (by[modality] - rows).norm(dim=1, keepdim=True) / unit for f, by in copied.items()
    }
    return {f: moved.double().numpy() for f, moved in distances.items() if moved.any()}


def summary(
    effects: Effects, measures: Sequence[str], generator: np.random.Generator
) -> dict[str, Any]:
    """Return, per measure, means and standard errors per factor, means per role, their ratio.

    A role's mean is that over its factors, a factor's that over the items. The interval of the
    ratio is from a bootstrap over the items.
    """
    summaries: dict[str, Any] = {}
    for column, measure in enumerate(measures):
        values = {factor: effect[:, column] for factor, effect in effects.items()}
        roles = {role: _mean_of(values, role) for role in (PREFERENCE, NUISANCE)}
        summaries[measure] = {
            "factors": {
                f: {"mean": v.mean(), "standard_error": v.std() / len(v) ** 0.5}
                for f, v in values.items()
            },
            "roles": {r: None if v is None else float(v.mean()) for r, v in roles.items()},
            "ratio": ratio(roles[NUISANCE], roles[PREFERENCE], generator),
        }
    return summaries


def _mean_of(values: Mapping[str, Floats], role: str) -> Floats | None:
    of_role = [value for factor, value in values.items() if BY_NAME[factor].role == role]
    return np.mean(of_role, axis=0) if of_role else None


def ratio(
    above: Floats | None, below: Floats | None, generator: np.random.Generator
) -> dict[str, float] | None:
    """Return the ratio of two means over items with a 95 % interval; None without either."""
    if above is None or below is None or not below.mean():
        return None
    drawn = generator.integers(len(below), size=(N_RESAMPLES, len(below)))
    resampled = above[drawn].mean(1) / below[drawn].mean(1).clip(min=np.finfo(float).tiny)
    low, high = np.percentile(resampled, INTERVAL).tolist()
    return {"value": float(above.mean() / below.mean()), "low": low, "high": high}


def markdown(table: Mapping[str, Any]) -> str:
    """Return factors.md: what was done, then a table per measure."""
    lines = [f"# {table['dataset']}: what moves a score", "", _method(table), ""]
    if table["left_out"]:
        lines += [f"Left out, since they read ids alone: {', '.join(table['left_out'])}.", ""]
    lines.append(
        "A ratio of 0 is what the paper is after; a model that weighs all content alike has "
        "about that of its features, in the last table. Intervals, 95 %, are over the items."
    )
    of_measure = {SCORE: table["models"], RANK: table["models"], FEATURE: table["features"]}
    for measure, rows in of_measure.items():
        unit = table["units"][measure]
        lines += ["", f"## The {measure}", "", f"{unit[0].upper()}{unit[1:]}.", ""]
        lines += _rows(table, measure, rows)
    return "\n".join(lines) + "\n"


def _method(table: Mapping[str, Any]) -> str:
    n, n_items = table["items"], table["catalogue"]
    return (
        f"{n} of {n_items} items, seed {table['seed']}, one training of each model. An item is "
        "copied once per factor, with another value of that factor and everything else as it "
        "was; one copy at a time stands in its item's place. Changes are means over the items "
        "and all users, ± the standard error over the items. Factors in *italics* are a "
        "nuisance: they decide what people are shown, not what they choose. A dash is a factor "
        "that no feature of the model shows. The columns preference and nuisance are means "
        "over their factors."
    )


def _rows(table: Mapping[str, Any], measure: str, rows: Mapping[str, Any]) -> list[str]:
    factors = ordered(table)
    first = "modality" if measure == FEATURE else "model"
    names = [f"*{f}*" if is_nuisance(table, f) else f for f in factors]
    head = [first, *names, PREFERENCE, NUISANCE, f"{NUISANCE} / {PREFERENCE}"]
    cells = []
    for name, measures in rows.items():
        effect = measures[measure]
        means, roles = effect["factors"], effect["roles"]
        cells.append(
            [
                name,
                *(_cell("{mean:.3f} ± {standard_error:.3f}", means.get(f)) for f in factors),
                *(
                    "–" if roles[role] is None else f"{roles[role]:.3f}"
                    for role in (PREFERENCE, NUISANCE)
                ),
                _cell("{value:.2f} ({low:.2f} to {high:.2f})", effect["ratio"]),
            ]
        )
    return markdown_table.lines(head, cells)


def _cell(pattern: str, numbers: Mapping[str, float] | None) -> str:
    return "–" if numbers is None else pattern.format(**numbers)


def ordered(table: Mapping[str, Any]) -> list[str]:
    """Return the factors, those that people choose by first."""
    return sorted(table["factors"], key=lambda factor: is_nuisance(table, factor))


def is_nuisance(table: Mapping[str, Any], factor: str) -> bool:
    """Return whether a factor decides what people are shown, not what they choose."""
    return bool(table["factors"][factor]["role"] == NUISANCE)
