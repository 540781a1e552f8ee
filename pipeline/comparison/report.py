"""The page of stage `compare`: models side by side, curves, users, data and settings.

    comparison, data/processed/D, results/D/M, pictures -> one self-contained HTML text

Titles come from outside: the template escapes every text. Each picture is embedded once, as the
background of a CSS class. The page has no scripts and loads nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.comparison import protocol, user_metrics
from pipeline.comparison.user_metrics import RANK, hit_ratios, in_text, legend, short
from pipeline.pages import gallery, template
from pipeline.pages.gallery import Material, People
from pipeline.tables import schema as s


def render(
    table: dict[str, Any],
    material: Material,
    people: People,
    pictures: Mapping[int, bytes],
    features: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Return the page.

    Args:
        table: the content of comparison.json.
        material: of the same dataset and models.
        people: the `gallery`.
        pictures: files of `items_shown`, where there are any.
        features: metadata of the feature file of each modality that a model reads; None if it
            is not known.
    """
    cutoffs = user_metrics.cutoffs_of(table["models"])
    return template.render(
        "report",
        table=table,
        cutoffs=cutoffs,
        names={
            part: user_metrics.names(cutoffs, table["measures"], part)
            for part in user_metrics.RANK
        },
        leading=table["best_by"],
        legend=legend(table["measures"]),
        read=features or {},
        features_read="" if features is None else protocol.features_in_words(features),
        material=material,
        period=_period(material.parts),
        people=people,
        labels=gallery.labels(material.items, gallery.items_shown(people)),
        thumbnails=gallery.thumbnails(pictures),
        charts=charts(material),
        short=short,
        in_text=in_text,
        rule=rule,
        latest=gallery.SHOWN_TRAIN,
    )


def charts(material: Material) -> list[dict[str, Any]]:
    """Return the curves of training and of HR@k, as points and round ticks."""
    selecting = pl.col("phase") == "select"
    runs = {m: history.filter(selecting) for m, history in material.histories.items()}
    curves = []
    columns = {"Training loss": "loss", "NDCG@10 during training": "ndcg@10"}
    chosen = {content["selected_on"] for content in material.metrics.values()}
    if not all("ndcg@10 (sampled)" in name for name in chosen):
        columns |= {f"{', '.join(sorted(chosen))}, during training": "value"}
    for title, column in columns.items():
        lines = {m: h.select("epoch", column).drop_nulls().rows() for m, h in runs.items()}
        curves.append(_chart(title, "epoch", lines))
    for part in RANK:
        hits = {m: hit_ratios(rows, part) for m, rows in material.ranks.items()}
        curves.append(_chart(f"HR@k, {part}", "k", hits))
    return [chart for chart in curves if chart]


def rule(row: Mapping[str, Any]) -> str:
    """Return in words what chose a model's epoch, and what it was trained on."""
    trained = "trained again on" if row["refit"] else "trained on"
    return f"{row['selected_on']}, {trained} {row['trained_on'] or s.TRAIN}"


def _chart(title: str, x: str, lines: dict[str, list[Any]]) -> dict[str, Any] | None:
    """Return a chart; None without a point after 0, as of models that do not learn."""
    points = [point for line in lines.values() for point in line]
    if not any(at for at, _ in points):
        return None
    xs, ys = zip(*points, strict=True)
    axes = {"right": max(xs), "xs": _ticks(0, max(xs)), "ys": _ticks(min(0, *ys), max(ys))}
    return {"title": title, "x": x, "lines": lines} | axes


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers, at least two, that enclose [low, high]."""
    rough = (high - low) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)  # an axis has a length, also of zeros
    return [round(n * step, 10) for n in range(first, last + 1)]


def _period(parts: Mapping[str, pl.DataFrame]) -> tuple[str, str] | None:
    """Return the first and last day of the interactions, or None without time stamps."""
    times = pl.concat([table[s.TIME] for table in parts.values()]).drop_nulls().sort()
    days = pl.from_epoch(times).dt.to_string("%Y-%m-%d")
    return None if days.is_empty() else (days[0], days[-1])
