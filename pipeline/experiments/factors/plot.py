"""The figure of the rule `factors`: what a change of one factor does to a score, by model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.experiments.chart_style import COLOURS, INK, SHADE, SOFT, STYLE, svg
from pipeline.experiments.factors.effects import FEATURE, SCORE, is_nuisance, ordered


def draw(table: Mapping[str, Any]) -> str:
    """Return factors.svg: the score's changes by factor, and each model's ratio.

    The same table gives the same text.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[2.2, 1])
        _bars(left, table)
        _ratios(right, table)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(SOFT)
        figure.legend(loc="outside lower left", ncols=8, frameon=False)
    return svg(figure)


def _bars(axes: Axes, table: Mapping[str, Any]) -> None:
    """Draw a group of bars per factor, one bar per model."""
    factors, width = ordered(table), 0.8 / len(table["models"])
    for number, (model, measures) in enumerate(table["models"].items()):
        values = measures[SCORE]["factors"]
        shown = [(place, values[f]) for place, f in enumerate(factors) if f in values]
        axes.bar(
            [place + (number + 0.5) * width - 0.4 for place, _ in shown],
            [value["mean"] for _, value in shown],
            0.9 * width,
            yerr=[value["standard_error"] for _, value in shown],
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
    rows = [(name, measures[SCORE]["ratio"]) for name, measures in table["models"].items()]
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(rows))]
    rows += [(f"{m} feature", own[FEATURE]["ratio"]) for m, own in table["features"].items()]
    colours += [SOFT] * len(table["features"])
    axes.axvline(1, color=SOFT, lw=1, ls=(0, (4, 3)), zorder=0)
    for place, ((_, ratio), colour) in enumerate(zip(rows, colours, strict=True)):
        if ratio is None:
            continue
        axes.plot([ratio["low"], ratio["high"]], [place, place], color=colour, lw=2)
        axes.plot(ratio["value"], place, "o", color=colour, ms=7)
        text, end = f"{ratio['value']:.2f}", (ratio["high"], place)
        axes.annotate(text, end, (6, 0), va="center", textcoords="offset points")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * max([1.0, *(ratio["high"] for _, ratio in rows if ratio)]))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("nuisance / preference (0 is ideal)")
    axes.set_title("How much of it is irrelevant", loc="left", fontsize=11)
