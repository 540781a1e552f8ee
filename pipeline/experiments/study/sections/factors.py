"""The section of the study's page about what moves a score; see experiments/factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.experiments.study.sections.section import Part, Row, Table
from pipeline.pages.file_names import FACTORS_MD

TITLE = "What moves a score"
MEASURES, ROLES = ("score", "rank"), ("preference", "nuisance")


def part(table: Mapping[str, Any]) -> Part:
    """Return the section, from factors.json."""
    columns = [f"{m}: {what}" for m in MEASURES for what in (*ROLES, "nuisance / preference")]
    rows = [
        Row(cells=[model, *(text for m in MEASURES for text in _cells(effects[m]))])
        for model, effects in table["models"].items()
    ]
    units = "; ".join(f"{measure}: {table['units'][measure]}" for measure in MEASURES)
    left_out = f" Models of ids alone are left out: {', '.join(table['left_out'])}."
    return Part(
        name="factors",
        title=TITLE,
        text=[
            f"Of {table['items']} of {table['catalogue']} generated items copies were made "
            "with one factor changed: one that people choose by (preference), or one that only "
            "decides what they are shown (nuisance). The paper's counterfactual layers are to "
            "keep the second kind out of the scores: a ratio of 0 is ideal. The models are "
            "those of models in params.yaml, as the stage train left them, not those above."
            + (left_out if table["left_out"] else "")
        ],
        tables=[
            Table(
                title=TITLE,
                head=["model", *columns],
                rows=rows,
                caption=f"{units[0].upper()}{units[1:]}. Seed {table['seed']}, one training; "
                "95 % intervals are from a bootstrap over the items. Everything else is in "
                f"{FACTORS_MD}.",
            )
        ],
        figures=["factors"],
    )


def _cells(effect: Mapping[str, Any]) -> list[str]:
    means = (effect["roles"][role] for role in ROLES)
    ratio = effect["ratio"]
    shown = "–" if ratio is None else "{value:.2f} ({low:.2f} to {high:.2f})".format(**ratio)
    return [*("–" if mean is None else f"{mean:.3f}" for mean in means), shown]
