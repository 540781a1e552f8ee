"""The picture of stage `study`: what a change of one factor does to a score, by model."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.experiments.factors.effects import FEATURE, SCORE, is_nuisance, ordered

COLOURS = (
    "#0b6bcb",
    "#c2410c",
    "#0a7d4f",
    "#a21caf",
    "#856404",
    "#0e7490",
    "#be123c",
    "#4b5563",
)
INK, SOFT, SHADE = "#1d2125", "#59626b", "#f1f2f4"
# Letters as outlines look alike everywhere; the salt makes the ids of the SVG repeatable.
STYLE: Any = {
    "svg.hashsalt": "study",
    "svg.fonttype": "path",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def figure(table: Mapping[str, Any]) -> str:
    """Return factors.svg: the score's changes by factor, and each model's ratio.

    The same table gives the same text.
    """
    with mpl.rc_context(STYLE):
        picture = Figure(figsize=(10.4, 4.4), layout="constrained")
        left, right = picture.subplots(1, 2, width_ratios=[2.2, 1])
        _bars(left, table)
        _ratios(right, table)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(SOFT)
        picture.legend(loc="outside lower left", ncols=8, frameon=False)
        text = io.StringIO()
        picture.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _bars(axes: Axes, table: Mapping[str, Any]) -> None:
    """Draw a group of bars per factor, one bar per model."""
    factors, width = ordered(table), 0.8 / len(table["models"])
    for number, (model, summed) in enumerate(table["models"].items()):
        own = summed[SCORE]["factors"]
        places = [p + (number + 0.5) * width - 0.4 for p, f in enumerate(factors) if f in own]
        values = [own[f] for f in factors if f in own]
        axes.bar(
            places,
            [value["mean"] for value in values],
            0.9 * width,
            yerr=[value["standard_error"] for value in values],
            color=COLOURS[number % len(COLOURS)],
            error_kw={"ecolor": INK, "elinewidth": 1},
            label=model,
        )
    n_preference = sum(not is_nuisance(table, factor) for factor in factors)
    axes.axvspan(n_preference - 0.5, len(factors) - 0.5, color=SHADE, zorder=0)
    axes.set_xlim(-0.5, len(factors) - 0.5)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
    halves = {0: "decides what people choose", n_preference: "decides what they are shown"}
    across = axes.get_xaxis_transform()
    for first, text in halves.items():
        axes.text(first - 0.4, 0.97, text, transform=across, va="top", color=SOFT)
    axes.set_xticks(range(len(factors)), factors)
    axes.tick_params(length=0)
    axes.set_ylabel("change of the score (sd of the user's scores)")
    axes.set_title("What a change of one factor does", loc="left", fontsize=11)


def _ratios(axes: Axes, table: Mapping[str, Any]) -> None:
    """Draw each model's ratio with its interval, then that of the features themselves."""
    rows = [(name, one[SCORE]["ratio"]) for name, one in table["models"].items()]
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(rows))]
    rows += [(f"{m} feature", one[FEATURE]["ratio"]) for m, one in table["features"].items()]
    colours += [SOFT] * len(table["features"])
    axes.axvline(1, color=SOFT, lw=1, ls=(0, (4, 3)), zorder=0)
    for place, ((_, found), colour) in enumerate(zip(rows, colours, strict=True)):
        if found is None:
            continue
        axes.plot([found["low"], found["high"]], [place, place], color=colour, lw=2)
        axes.plot(found["value"], place, "o", color=colour, ms=7)
        text, end = f"{found['value']:.2f}", (found["high"], place)
        axes.annotate(text, end, (6, 0), va="center", textcoords="offset points")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * max([1.0, *(found["high"] for _, found in rows if found)]))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("nuisance / preference (0 is ideal)")
    axes.set_title("How much of it is irrelevant", loc="left", fontsize=11)
