"""The study's figures: measures over a setting's values, validation by epoch, HR@k.

The same numbers give the same bytes, as SVG and as PNG. `themed` makes an SVG that takes the
colours of the page that includes it, in light and in dark mode.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.comparison.user_metrics import FULL, SAMPLED, hit_ratios
from pipeline.experiments.chart_style import COLOURS, INK, SHADE, SOFT, STYLE, svg
from pipeline.params.cell import text
from pipeline.tables.io import replacing, write_text

DASHES: Any = ("-", (0, (6, 2)), (0, (2, 2)), (0, (8, 2, 2, 2)))
MARKS = "os^D"
PANELS = {"hr@5": "HR@5", "ndcg@5": "NDCG@5"}  # as in the paper's Figure 4 and Table 5
DPI = 160  # of the PNG
WIDE = (8.4, 3.4)  # inches

Rows: TypeAlias = Sequence[Mapping[str, Any]]  # of a grid, as tables.json has them
Points: TypeAlias = Sequence[tuple[int, Mapping[str, Any]]]  # x, and the row


def grid(rows: Rows) -> Figure:
    """Return a figure of a grid: sampled HR@5 and NDCG@5 over the setting's values.

    Bars are a standard deviation up and down; what the paper prints is grey.
    """
    ((setting, _),) = rows[0]["values"].items()
    values = list(dict.fromkeys(row["values"][setting] for row in rows))
    figure, panels = _panels()
    for axes, (measure, title) in zip(panels, PANELS.items(), strict=True):
        points = [(values.index(row["values"][setting]), row) for row in rows]
        _models(axes, points, measure)
        _paper(axes, points, measure)
        axes.set_xticks(range(len(values)), [text(value) for value in values])
        axes.set_xlabel(setting.replace("_", " "))
        axes.set_title(f"{title}, sampled", loc="left", fontsize=11)
    _legend(figure, panels[0])
    return figure


def _models(axes: Axes, points: Points, measure: str) -> None:
    models = dict.fromkeys(row["model"] for _, row in points)
    for number, model in enumerate(models):
        drawn = [
            (x, row["sampled"][measure])
            for x, row in points
            if row["model"] == model and measure in row["sampled"]
        ]
        axes.errorbar(
            [x for x, _ in drawn],
            [value["mean"] for _, value in drawn],
            yerr=[value["sd"] or 0.0 for _, value in drawn],
            color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)],
            marker=MARKS[number % len(MARKS)],
            markersize=5,
            capsize=3,
            label=model,
        )


def _paper(axes: Axes, points: Points, measure: str) -> None:
    printed = [(x, row["paper"]) for x, row in points if measure in (row["paper"] or ())]
    if printed:
        axes.plot(
            [x for x, _ in printed],
            [paper[measure] for _, paper in printed],
            color=SOFT,
            linestyle=(0, (1, 2)),
            marker="x",
            label=f"mcln, paper ({printed[0][1]['where']})",
        )


def learning(histories: Mapping[str, pl.DataFrame], selected_on: str) -> Figure:
    """Return the metric that chooses the epoch, and the loss, by epoch, while it was chosen.

    Args:
        histories: schema.HISTORY of each model, one seed.
        selected_on: the metric, as in metrics.json.
    """
    figure, panels = _panels()
    chosen = {m: h.filter(pl.col("phase") == "select") for m, h in histories.items()}
    titles = {"value": selected_on, "loss": "Loss, of the first shown"}
    first = pl.col("loss") / pl.col("loss").drop_nulls().first()
    for axes, (column, title) in zip(panels, titles.items(), strict=True):
        for number, (model, history) in enumerate(chosen.items()):
            # A loss is a mean in one model and a sum in another: only its course compares.
            points = history.with_columns(first).select("epoch", column).drop_nulls()
            if points.height:
                _line(axes, number, model, points["epoch"].to_list(), points[column].to_list())
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title, loc="left", fontsize=11)
    _legend(figure, panels[0])
    return figure


def cutoffs(ranks: Mapping[str, pl.DataFrame]) -> Figure:
    """Return HR@k for k from 1 to 20 in both protocols, from each model's schema.RANKS."""
    figure, panels = _panels()
    titles = {SAMPLED: "HR@k, sampled", FULL: "HR@k, full"}
    for axes, (part, title) in zip(panels, titles.items(), strict=True):
        for number, (model, table) in enumerate(ranks.items()):
            ks, values = zip(*hit_ratios(table, part), strict=True)
            _line(axes, number, model, list(ks), list(values))
        axes.set_xlabel("k")
        axes.set_xticks([1, 5, 10, 15, 20])
        axes.set_ylim(bottom=0)
        axes.set_title(title, loc="left", fontsize=11)
    _legend(figure, panels[0])
    return figure


def _line(axes: Axes, number: int, label: str, xs: list[Any], ys: list[Any]) -> None:
    # Ten models and eight colours: the ninth has the first one's colour, and other dashes.
    dashes = DASHES[(number + number // len(COLOURS)) % len(DASHES)]
    axes.plot(
        xs, ys, color=COLOURS[number % len(COLOURS)], linestyle=dashes, lw=1.8, label=label
    )


def _panels() -> tuple[Figure, list[Axes]]:
    """Return a figure with two panels side by side."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=WIDE, layout="constrained")
        panels = list(figure.subplots(1, 2))
        for axes in panels:
            axes.grid(axis="y", color=SOFT, alpha=0.25, lw=0.8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(SOFT)
    return figure, panels


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower left", ncols=5, frameon=False, labelcolor=INK
    )


def write(figure: Figure, folder: Path, name: str) -> str:
    """Write NAME.svg and NAME.png, and return the SVG, which has no background."""
    drawn = svg(figure, transparent=True)
    write_text(drawn, folder / f"{name}.svg")
    with replacing(folder / f"{name}.png") as partial, mpl.rc_context(STYLE):
        figure.savefig(partial, format="png", dpi=DPI, facecolor="white")
    return drawn


def themed(drawn: str, name: str, label: str) -> str:
    """Return an SVG to be included in a page: with the page's colours, and ids of its own."""
    colours = {INK: "ink", SOFT: "soft", SHADE: "bg"}
    colours |= {colour: f"c{number}" for number, colour in enumerate(COLOURS)}
    body = drawn[drawn.index("<svg") :]
    for colour, variable in colours.items():
        body = body.replace(colour, f"var(--{variable})")
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    # The page sets the size; <metadata> names a licence of matplotlib's own terms.
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' (?:width|height)="[\d.]+pt"', "", body, count=2)
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
