"""The study's figures: measures over a setting's values, validation by epoch, HR@k.

The same numbers give the same bytes, as SVG and as PNG. `themed` makes an SVG that takes the
colours of the page it is put into, in light and in dark.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.experiments.factors.plot import COLOURS, INK, SOFT, STYLE
from pipeline.params.cell import text
from pipeline.tables.io import replacing, write_text

DASHES: Any = ("-", (0, (6, 2)), (0, (2, 2)), (0, (8, 2, 2, 2)))
MARKS = "os^D"
PANELS = (("hr@5", "HR@5"), ("ndcg@5", "NDCG@5"))  # as in the paper's Figure 4 and Table 5
TOP, DPI = 20, 160  # largest k; of the PNG
WIDE = (8.4, 3.4)  # inches


def grid(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Return a figure of a grid: sampled HR@5 and NDCG@5 over the setting's values.

    Args:
        rows: of a grid, as tables.json has them. Bars are a standard deviation up and down;
            what the paper prints is grey.
    """
    ((setting, _),) = rows[0]["values"].items()
    every = [row["values"][setting] for row in rows]
    values = list(dict.fromkeys(every))
    models = list(dict.fromkeys(row["model"] for row in rows))
    picture, panels = _panels(2)
    for axes, (measure, title) in zip(panels, PANELS, strict=True):
        for number, model in enumerate(models):
            own = [row for row in rows if row["model"] == model and measure in row["sampled"]]
            _series(axes, number, model, values, setting, own, measure)
        printed = [row for row in rows if row["paper"] and measure in row["paper"]]
        if printed:
            _paper(axes, printed, values, setting, measure)
        axes.set_xticks(range(len(values)), [text(value) for value in values])
        axes.set_xlabel(setting.replace("_", " "))
        axes.set_title(f"{title}, sampled", loc="left", fontsize=11)
    _legend(picture, panels[0])
    return picture


def _series(
    axes: Axes,
    number: int,
    model: str,
    values: Sequence[Any],
    setting: str,
    rows: Sequence[Mapping[str, Any]],
    measure: str,
) -> None:
    found = [row["sampled"][measure] for row in rows]
    axes.errorbar(
        [values.index(row["values"][setting]) for row in rows],
        [value["mean"] for value in found],
        yerr=[value["sd"] or 0.0 for value in found],
        color=COLOURS[number % len(COLOURS)],
        linestyle=DASHES[number % len(DASHES)],
        marker=MARKS[number % len(MARKS)],
        markersize=5,
        capsize=3,
        label=model,
    )


def _paper(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    values: Sequence[Any],
    setting: str,
    measure: str,
) -> None:
    axes.plot(
        [values.index(row["values"][setting]) for row in rows],
        [row["paper"][measure] for row in rows],
        color=SOFT,
        linestyle=(0, (1, 2)),
        marker="x",
        label=f"mcln, paper ({rows[0]['paper']['where']})",
    )


def learning(histories: Mapping[str, pl.DataFrame]) -> Figure:
    """Return validation's NDCG@10 and the loss, by epoch, while the epoch was chosen.

    Args:
        histories: schema.HISTORY of each model, one seed.
    """
    picture, panels = _panels(2)
    chosen = {m: h.filter(pl.col("phase") == "select") for m, h in histories.items()}
    titles = {"ndcg@10": "NDCG@10 on validation, sampled", "loss": "Loss, of the first shown"}
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
    _legend(picture, panels[0])
    return picture


def cutoffs(ranks: Mapping[str, pl.DataFrame]) -> Figure:
    """Return HR@k for k from 1 to TOP in both protocols.

    Args:
        ranks: schema.RANKS of each model, all seeds.
    """
    picture, panels = _panels(2)
    names = {"rank_sampled": "HR@k, sampled", "rank_full": "HR@k, full"}
    for axes, (column, title) in zip(panels, names.items(), strict=True):
        for number, (model, table) in enumerate(ranks.items()):
            ks = list(range(1, TOP + 1))
            _line(axes, number, model, ks, [(table[column] < k).mean() for k in ks])
        axes.set_xlabel("k")
        axes.set_xticks([1, 5, 10, 15, 20])
        axes.set_ylim(bottom=0)
        axes.set_title(title, loc="left", fontsize=11)
    _legend(picture, panels[0])
    return picture


def _line(axes: Axes, number: int, label: str, xs: list[Any], ys: list[Any]) -> None:
    # Ten models and eight colours: the ninth has the first one's, and other dashes.
    dashes = DASHES[(number + number // len(COLOURS)) % len(DASHES)]
    axes.plot(
        xs, ys, color=COLOURS[number % len(COLOURS)], linestyle=dashes, lw=1.8, label=label
    )


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    with mpl.rc_context(STYLE):
        picture = Figure(figsize=WIDE, layout="constrained")
        panels = list(picture.subplots(1, number))
        for axes in panels:
            axes.grid(axis="y", color=SOFT, alpha=0.25, lw=0.8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(SOFT)
    return picture, panels


def _legend(picture: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    picture.legend(
        handles, labels, loc="outside lower left", ncols=5, frameon=False, labelcolor=INK
    )


def write(picture: Figure, folder: Path, name: str) -> str:
    """Write NAME.svg and NAME.png, and return the SVG."""
    drawn = svg(picture)
    write_text(drawn, folder / f"{name}.svg")
    with replacing(folder / f"{name}.png") as partial, mpl.rc_context(STYLE):
        picture.savefig(partial, format="png", dpi=DPI, facecolor="white")
    return drawn


def svg(picture: Figure) -> str:
    """Return a figure as SVG without a background."""
    with mpl.rc_context(STYLE):
        drawn = io.StringIO()
        picture.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return drawn.getvalue()


def themed(drawn: str, name: str, label: str) -> str:
    """Return an SVG to be put into a page: its colours are the page's, its ids its own.

    Args:
        drawn: an SVG of this module or of study_plot.
        name: what its ids begin with.
        label: what it shows, for who does not see it.
    """
    colours = {INK: "ink", SOFT: "soft", "#f1f2f4": "bg"}
    colours |= {colour: f"c{number}" for number, colour in enumerate(COLOURS)}
    body = drawn[drawn.index("<svg") :]
    for colour, variable in colours.items():
        body = body.replace(colour, f"var(--{variable})")
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    # The size is the page's to give; <metadata> names a licence of matplotlib's own terms.
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' (?:width|height)="[\d.]+pt"', "", body, count=2)
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
