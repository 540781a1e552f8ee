"""The section of the study's page that takes scores of its example users apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pipeline.experiments.study.sections.section import Part, Row, Table

NEAREST = 2  # items of the user's history that are named


def part(explanations: Mapping[str, Any]) -> Part:
    """Return the section, from the study's explanations.json; see study/lists.py."""
    models = list(explanations["models"].values())
    explained = [model for model in models if model["parts"]]
    text = [
        "The scores of the example users below, as a sum: what comes from the ID, from each "
        "modality, and from the counterfactual layers (inter).",
        *(model["why"] for model in models if model["why"]),
    ]
    tables = [_shares(explained), *map(_table, explained)] if explained else []
    return Part(name="explained", title="Scores taken apart", text=text, tables=tables)


def _shares(models: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for model in models for name in model["parts"]))
    rows = []
    for model in models:
        scores = model["explanations"]
        shares = {
            name: fmean(_term(score, name)["share"] for score in scores)
            for name in model["parts"]
        }
        removed = [
            score["counterfactual"]["removed"] for score in scores if score["counterfactual"]
        ]
        cells = [f"{shares[name]:.1%}" if name in shares else "–" for name in names]
        last = f"{fmean(removed):+.4f}" if removed else "–"
        rows.append(Row(cells=[model["model"], *cells, last]))
    n = len(models[0]["explanations"])
    return Table(
        title="Shares of a score",
        head=["", *names, "removed"],
        rows=rows,
        caption=f"Mean over {n} scores of the example users. A share is a part's size over the "
        "sum of all parts' sizes. Removed: how much larger inter would be if the same layers "
        "subtracted nothing.",
    )


def _table(model: Mapping[str, Any]) -> Table:
    names = model["parts"]
    rows = [
        Row(cells=_cells(score, names))
        for score in model["explanations"]
        if score["kind"] == "held out" or score["place"] == 0
    ]
    return Table(
        title=f"{model['model']}, item by item",
        head=["user: item", "is", "place", "score", *names, "removed", "through"],
        rows=rows,
        words=[len(names) + 5],
        caption="For each user the held-out item, and the first one that the model "
        "recommends; more are in explanations.json. Of each part the value, and in brackets "
        "its share. Place: in the whole catalogue without what the user has. Through: those of "
        "the user's items by which most of the score came, over the graph.",
    )


def _cells(score: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    terms = [_term(score, name) for name in names]
    counterfactual, history = score["counterfactual"], (score["history"] or [])[:NEAREST]
    return [
        f"{score['raw_user']}: {_title(score)}",
        "held out" if score["kind"] == "held out" else "recommended",
        f"{score['place'] + 1:,}",
        f"{score['score']:.3f}",
        *(f"{term['value']:+.3f} ({term['share']:.0%})" for term in terms),
        f"{counterfactual['removed']:+.4f}" if counterfactual else "–",
        "; ".join(f"{_title(item)} ({item['value']:+.3f})" for item in history) or "–",
    ]


def _term(score: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(term for term in score["parts"] if term["name"] == name)


def _title(item: Mapping[str, Any]) -> str:
    return str(item["title"] or item["raw_item"])
