"""The section of the study's page about what moves a score; see experiments/factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.experiments.study.sections.section import Part, Row, Table

MEASURES = ("score", "rank")


def part(found: Mapping[str, Any]) -> Part:
    """Return the section.

    Args:
        found: content of factors.json.
    """
    roles = ("preference", "nuisance")
    head = ["model"]
    head += [f"{m}: {what}" for m in MEASURES for what in (*roles, "nuisance / preference")]
    rows = [
        Row(cells=[model, *(text for m in MEASURES for text in _cells(own[m], roles))])
        for model, own in found["models"].items()
    ]
    units = "; ".join(f"{measure}: {found['units'][measure]}" for measure in MEASURES)
    left_out = f" Models of ids alone are left out: {', '.join(found['left_out'])}."
    return Part(
        name="factors",
        title="What moves a score",
        text=[
            f"Of {found['items']} of {found['catalogue']} generated items copies were made "
            "with one factor changed: one that people choose by (preference), or one that only "
            "decides what they are shown (nuisance). The paper's counterfactual layers are to "
            "keep the second kind out of the scores: a ratio of 0 is ideal. The models are "
            "those of models in params.yaml, as the stage train left them, not those above."
            + (left_out if found["left_out"] else "")
        ],
        tables=[
            Table(
                title="What moves a score",
                head=head,
                rows=rows,
                caption=f"{units[0].upper()}{units[1:]}. Seed {found['seed']}, one training; "
                "95 % intervals are from a bootstrap over the items. Everything else is in "
                "factors.md.",
            )
        ],
        figures=["factors"],
    )


def _cells(own: Mapping[str, Any], roles: tuple[str, str]) -> list[str]:
    means = [
        "–" if own["roles"][role] is None else f"{own['roles'][role]:.3f}" for role in roles
    ]
    ratio = own["ratio"]
    shown = "–" if ratio is None else "{value:.2f} ({low:.2f} to {high:.2f})".format(**ratio)
    return [*means, shown]
