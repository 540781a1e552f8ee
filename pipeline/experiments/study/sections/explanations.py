"""The section of the study's page that takes scores of its example users apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from pipeline.experiments.study.sections.section import Part, Row, Table

TITLE = "Scores taken apart"
NEAREST = 2  # items of the user's history that are named


def part(found: Mapping[str, Any]) -> Part:
    """Return the section.

    Args:
        found: content of the study's explanations.json: `{"models": {model: content of the
            stage explain's explanations.json}}`.
    """
    models = list(found["models"].values())
    apart = [own for own in models if own["parts"]]
    text = [
        "The scores of the example users below, as a sum: what comes from the ID, from each "
        "modality, and from the counterfactual layers (inter).",
        *(own["why"] for own in models if own["why"]),
    ]
    return Part(
        name="explained",
        title=TITLE,
        text=text,
        tables=[_shares(apart), *(_table(own) for own in apart)] if apart else [],
    )


def _shares(models: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for own in models for name in own["parts"]))
    rows = []
    for own in models:
        shares = {
            name: fmean(_of(one, name)["share"] for one in own["explanations"])
            for name in own["parts"]
        }
        removed = [
            one["counterfactual"]["removed"]
            for one in own["explanations"]
            if one["counterfactual"]
        ]
        cells = [f"{shares[name]:.1%}" if name in shares else "–" for name in names]
        rows.append(
            Row(cells=[own["model"], *cells, f"{fmean(removed):+.4f}" if removed else "–"])
        )
    n = len(models[0]["explanations"])
    return Table(
        title="Shares of a score",
        head=["", *names, "removed"],
        rows=rows,
        caption=f"Mean over {n} scores of the example users. A share is a part's size over the "
        "sum of all parts' sizes. Removed: how much larger inter would be if the same layers "
        "subtracted nothing.",
    )


def _table(own: Mapping[str, Any]) -> Table:
    rows = [
        Row(
            cells=[
                f"{one['raw_user']}: {_title(one)}",
                "held out" if one["kind"] == "held out" else "recommended",
                f"{one['place'] + 1:,}",
                f"{one['score']:.3f}",
                *(_signed(_of(one, name)) for name in own["parts"]),
                f"{one['counterfactual']['removed']:+.4f}" if one["counterfactual"] else "–",
                "; ".join(_nearest(one)) or "–",
            ]
        )
        for one in own["explanations"]
        if one["kind"] == "held out" or one["place"] == 0
    ]
    return Table(
        title=f"{own['model']}, item by item",
        head=["user: item", "is", "place", "score", *own["parts"], "removed", "through"],
        rows=rows,
        words=[len(own["parts"]) + 5],
        caption="For each user the held-out item, and the first one that the model "
        "recommends; more are in explanations.json. Of each part the value, and in brackets "
        "its share. Place: in the whole catalogue without what the user has. Through: those of "
        "the user's items by which most of the score came, over the graph.",
    )


def _of(one: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(own for own in one["parts"] if own["name"] == name)


def _title(one: Mapping[str, Any]) -> str:
    return str(one["title"] or one["raw_item"])


def _signed(own: Mapping[str, Any]) -> str:
    return f"{own['value']:+.3f} ({own['share']:.0%})"


def _nearest(one: Mapping[str, Any]) -> Iterator[str]:
    for item in (one["history"] or [])[:NEAREST]:
        yield f"{_title(item)} ({item['value']:+.3f})"
