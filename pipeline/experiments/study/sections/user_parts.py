"""The section of the study's page about parts of the users and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.comparison.user_metrics import FULL, SAMPLED
from pipeline.experiments.study.sections.numbers import short
from pipeline.experiments.study.sections.section import Part, Row, Table

MEASURE = "ndcg@10"
TITLE = "Parts of the users and items"
FIRST = ("activity", "popularity", "recurs")
FEW = 100  # targets, below which an interval is too wide for most comparisons


def part(found: Mapping[str, Any], order: Sequence[str]) -> Part:
    """Return the section; slices without a target are left out.

    Args:
        found: content of slices.json, of the rows of the study's first table.
        order: these rows; the file sorts them by name.
    """
    partitions = sorted(found["partitions"].items(), key=lambda own: _place(own[0]))
    name = short(MEASURE)
    text = [
        f"{name} of the held-out items in each part, sampled, and in brackets full ranking; "
        f"mean over the seeds. Training items are those of {found['counted']}.",
    ]
    few = [
        f"{partition['title']}, {own['name']} ({own['n_targets']})"
        for _, partition in partitions
        for own in partition["slices"]
        if 0 < own["n_targets"] < FEW
    ]
    if few:
        text.append(
            f"Of fewer than {FEW} held-out items, so that a difference of some hundredths is "
            f"chance: {'; '.join(few)}."
        )
    shown = [p for _, p in partitions if _kept(p)]
    whole = [p["title"] for _, p in partitions if not _kept(p)]
    if whole:
        text.append(f"All held-out items are in one part: {'; '.join(whole)}.")
    return Part(name="slices", title=TITLE, text=text, tables=[_table(p, order) for p in shown])


def _place(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST)), key


def _kept(partition: Mapping[str, Any]) -> bool:
    """Tell whether there is something to compare: two parts that have targets."""
    return sum(own["n_targets"] > 0 for own in partition["slices"]) > 1


def _table(partition: Mapping[str, Any], models: Sequence[str]) -> Table:
    slices = [own for own in partition["slices"] if own["n_targets"]]
    values = {
        model: [own["models"][model][SAMPLED][MEASURE]["value"] for own in slices]
        for model in models
    }
    tops = [max(round(values[m][place], 4) for m in models) for place in range(len(slices))]
    rows = [
        Row(
            cells=[
                model,
                *(
                    f"{own['models'][model][SAMPLED][MEASURE]['value']:.4f} "
                    f"({own['models'][model][FULL][MEASURE]['value']:.4f})"
                    for own in slices
                ),
            ],
            best=[n for n, v in enumerate(values[model], 1) if round(v, 4) == tops[n - 1]],
        )
        for model in models
    ]
    # A class of activity says itself what it is.
    said = "; ".join(
        f"{own['name']}: {own['what']}"
        for own in slices
        if not own["what"].startswith(own["name"])
    )
    said = f"{said[0].upper()}{said[1:]}. " if said else ""
    return Table(
        title=f"{partition['title'][0].upper()}{partition['title'][1:]}",
        head=["", *(f"{own['name']} ({own['n_targets']:,})" for own in slices)],
        rows=rows,
        caption=f"{said}Marked is the best sampled number of a column; "
        "intervals are in slices.json.",
    )
