"""The section of the study's page about parts of the users and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.comparison.user_metrics import FULL, SAMPLED, short
from pipeline.experiments.study.sections.section import Part, Row, Table

FIRST = ("activity", "popularity", "recurs")  # then the others by name
FEW = 100  # targets, below which an interval is too wide for most comparisons


def part(analysis: Mapping[str, Any], order: Sequence[str], name: str) -> Part:
    """Return the section, from slices.json; slices without a target are left out.

    `order` is that of the study's first table; the file sorts its rows by name. `name` is that
    of the metric that is shown, such as `ndcg@10`.
    """
    keys = sorted(analysis["partitions"], key=_position)
    partitions = [analysis["partitions"][key] for key in keys]
    text = [
        f"{short(name)} of the held-out items in each part, sampled, and in brackets full "
        f"ranking; mean over the seeds. Training items are those of {analysis['counted']}."
    ]
    few = [
        f"{partition['title']}, {part['name']} ({part['n_targets']})"
        for partition in partitions
        for part in partition["slices"]
        if 0 < part["n_targets"] < FEW
    ]
    if few:
        text.append(
            f"Of fewer than {FEW} held-out items, so that a difference of some hundredths is "
            f"chance: {'; '.join(few)}."
        )
    # To be compared, two parts must have targets.
    shown = [p for p in partitions if len(_filled(p)) > 1]
    undivided = [p["title"] for p in partitions if len(_filled(p)) <= 1]
    if undivided:
        text.append(f"All held-out items are in one part: {'; '.join(undivided)}.")
    tables = [_table(partition, order, name) for partition in shown]
    return Part(name="slices", title="Parts of the users and items", text=text, tables=tables)


def _position(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST)), name


def _filled(partition: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [part for part in partition["slices"] if part["n_targets"]]


def _table(partition: Mapping[str, Any], models: Sequence[str], name: str) -> Table:
    slices = _filled(partition)

    def values(model: str, protocol: str) -> list[str]:
        return [f"{part['models'][model][protocol][name]['value']:.4f}" for part in slices]

    sampled = {model: values(model, SAMPLED) for model in models}
    highest = [max(map(float, column)) for column in zip(*sampled.values(), strict=True)]
    rows = [
        Row(
            cells=[
                model,
                *(
                    f"{value} ({full})"
                    for value, full in zip(sampled[model], values(model, FULL), strict=True)
                ),
            ],
            best=[n for n, v in enumerate(sampled[model], 1) if float(v) == highest[n - 1]],
        )
        for model in models
    ]
    # The name of a class of activity already says what it is.
    meanings = "; ".join(
        f"{part['name']}: {part['what']}"
        for part in slices
        if not part["what"].startswith(part["name"])
    )
    meanings = f"{meanings[0].upper()}{meanings[1:]}. " if meanings else ""
    return Table(
        title=f"{partition['title'][0].upper()}{partition['title'][1:]}",
        head=["", *(f"{part['name']} ({part['n_targets']:,})" for part in slices)],
        rows=rows,
        caption=f"{meanings}Marked is the best sampled number of a column; "
        "intervals are in slices.json.",
    )
