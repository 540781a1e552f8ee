"""The page of stage `compare`: what was run, how it went, what the users would be shown.

    comparison, data/processed/D, results/D/M, pictures -> one self-contained HTML text

Titles come from strangers: the template escapes every text. Pictures become small JPEGs, each
once, as the background of a CSS class. The page has no script and asks for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.pages import gallery, template
from pipeline.tables import schema as s

TOP = 20  # largest k of the hit-ratio curves


def render(
    table: dict[str, Any],
    material: gallery.Material,
    people: gallery.People,
    pictures: Mapping[int, bytes],
) -> str:
    """Return the page.

    Args:
        table: the content of comparison.json.
        material: of the same dataset and models.
        people: the `gallery`.
        pictures: files of `gallery.items_shown`, where there are any.
    """
    small = {
        item: code for item in sorted(pictures) if (code := gallery.thumbnail(pictures[item]))
    }
    return template.render(
        "report",
        table=table,
        material=material,
        period=_period(material.parts),
        people=people,
        labels=gallery.labels(material.items, gallery.items_shown(people)),
        thumbnails=small,
        charts=[chart for chart in charts(material) if chart["points"]],
        short=short,
        rule=rule,
        latest=gallery.SHOWN_TRAIN,
    )


def charts(material: gallery.Material) -> list[dict[str, Any]]:
    """Return the curves of training and of HR@k, as points and round ticks."""
    chosen = pl.col("phase") == "select"
    runs = {m: history.filter(chosen) for m, history in material.histories.items()}
    found = []
    for title, column in (("Training loss", "loss"), ("NDCG@10 during training", "ndcg@10")):
        lines = {m: h.select("epoch", column).drop_nulls().rows() for m, h in runs.items()}
        found.append(_chart(title, "epoch", lines))
    for part, ranks in (("sampled", "rank_sampled"), ("full", "rank_full")):
        hits = {
            m: [(k, (rows[ranks] < k).sum() / rows.height) for k in range(1, TOP + 1)]
            for m, rows in material.ranks.items()
        }
        found.append(_chart(f"HR@k, {part}", "k", hits))
    return found


def short(name: str) -> str:
    """Return a metric's column title: `N@5` for `ndcg@5`."""
    return name.replace("ndcg", "N").replace("hr", "HR")


def rule(row: Mapping[str, Any]) -> str:
    """Return in words what chose a model's epoch, and what it was trained on."""
    again = "trained again on" if row["refit"] else "trained on"
    return f"{row['selected_on']}, {again} {row['trained_on'] or s.TRAIN}"


def _chart(title: str, x: str, lines: dict[str, list[Any]]) -> dict[str, Any]:
    points = [point for line in lines.values() for point in line]
    xs, ys = zip(*points or [(1, 1)], strict=True)
    axes = {"right": max(xs), "xs": _ticks(0, max(xs)), "ys": _ticks(min(0, *ys), max(ys))}
    return {"title": title, "x": x, "lines": lines, "points": len(points)} | axes


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers that enclose [low, high]."""
    rough = (high - low) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 10) for n in range(first, last + 1)]


def _period(parts: Mapping[str, pl.DataFrame]) -> tuple[str, str] | None:
    """Return the first and last day of the interactions, or None without time stamps."""
    times = pl.concat([table[s.TIME] for table in parts.values()]).drop_nulls().sort()
    days = pl.from_epoch(times).dt.to_string("%Y-%m-%d")
    return None if days.is_empty() else (days[0], days[-1])
