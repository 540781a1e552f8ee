"""The section of the study's page about how sure the numbers of its first table are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.comparison.user_metrics import FULL, NAMES, SAMPLED
from pipeline.experiments.study.sections.numbers import p_value, short
from pipeline.experiments.study.sections.section import Part, Row, Table

MEASURE = "ndcg@10"  # by which the study's tables rank their rows
LEVEL = 0.05  # below it a difference is called significant
TITLE = "How sure the numbers are"


def part(found: Mapping[str, Any], order: Sequence[str]) -> Part:
    """Return the section.

    Args:
        found: content of significance.json, of the rows of the study's first table.
        order: these rows; the file sorts them by name.
    """
    return Part(
        name="sure",
        title=TITLE,
        text=[
            "An interval says what another draw of users would give, a standard deviation over "
            "seeds what another training would, and one over negatives what other candidates "
            "would, for the trainings at hand.",
            *_order(found),
            found["note"],
        ],
        tables=[_spread(found, order), *_duels(found), _protocols(found)],
    )


def _spread(found: Mapping[str, Any], order: Sequence[str]) -> Table:
    name = short(MEASURE)
    rows = []
    for model in order:
        own = found["models"][model]
        sampled, full = own[SAMPLED][MEASURE], own[FULL][MEASURE]
        redrawn = sampled.get("redrawn")
        cells = [_value(sampled), _sd(sampled)]
        cells += [f"{redrawn['mean']:.4f} ± {redrawn['sd']:.4f}" if redrawn else "–"]
        rows.append(Row(cells=[model, *cells, _value(full), _sd(full)]))
    over = (
        "" if found["n_targets"] == found["n_users"] else f" {found['n_targets']:,} targets of"
    )
    return Table(
        title="Users, seeds, negatives",
        head=["", name, "sd, seeds", "other negatives", f"{name}, full", "sd, seeds, full"],
        rows=rows,
        caption=f"In brackets {found['level']:.0%} intervals from {found['resamples']:,} "
        f"bootstrap samples over{over} {found['n_users']:,} users, seed {found['seed']}. "
        "Other negatives: mean and standard deviation over all the lists of 99 that could have "
        "been drawn, computed from the ranks in the full catalogue; one model's number, where "
        "two models on the same list differ by less.",
    )


def _duels(found: Mapping[str, Any]) -> Iterator[Table]:
    for where in (SAMPLED, FULL):
        pairs = [p for p in found["pairs"] if (p["part"], p["name"]) == (where, MEASURE)]
        if not pairs:
            continue
        rows = [
            Row(
                cells=[
                    pair["other"],
                    f"{pair['difference']:+.4f} ({pair['low']:+.4f} to {pair['high']:+.4f})",
                    *(f"{pair[key]:,}" for key in ("wins", "ties", "losses")),
                    *(p_value(pair[f"p_{test}_holm"]) for test in ("t", "wilcoxon")),
                ],
                best=[
                    place
                    for place, test in ((5, "t"), (6, "wilcoxon"))
                    if pair[f"p_{test}_holm"] < LEVEL
                ],
            )
            for pair in pairs
        ]
        yield Table(
            title=f"{found['best']} against each other model, {where} ranking",
            head=["against", "difference", "wins", "ties", "losses", "p, t", "p, Wilcoxon"],
            rows=rows,
            caption=f"{short(MEASURE)} of each user, mean over the seeds. Wins are users to "
            f"whom {found['best']} is worth more, ties mostly those whose item neither has "
            f"among the first ten; two-sided paired tests, p after Holm over {len(rows)}; "
            f"marked below {LEVEL}.",
        )


def _protocols(found: Mapping[str, Any]) -> Table:
    measures = found["protocols"]["measures"]
    rows = [
        Row(
            cells=[
                short(name),
                *(", ".join(measures[name][where][:3]) for where in (SAMPLED, FULL)),
                *(_correlation(measures[name][key]) for key in ("kendall", "spearman")),
                f"{len(measures[name]['disagree'])}",
            ]
        )
        for name in NAMES
    ]
    return Table(
        title="Sampled against full ranking",
        head=["", "first by sampled", "first by full", "Kendall", "Spearman", "pairs swapped"],
        rows=rows,
        caption="The first three models by each protocol, the agreement of the two orders over "
        "all models (1: the same), and of how many pairs of models they name another as the "
        "better.",
    )


def _order(found: Mapping[str, Any]) -> Iterator[str]:
    own = found["protocols"]["measures"][MEASURE]
    swapped = [f"{a} is above {b} sampled and below it in full" for a, b in own["disagree"]]
    if swapped:
        yield f"By {short(MEASURE)} the two protocols disagree: {'; '.join(swapped)}."
    elif len(found["models"]) > 1:
        yield f"By {short(MEASURE)} the two protocols put all models in the same order."


def _value(own: Mapping[str, float]) -> str:
    return f"{own['value']:.4f} ({own['low']:.4f} to {own['high']:.4f})"


def _sd(own: Mapping[str, Any]) -> str:
    return "–" if own["sd"] is None else f"{own['sd']:.4f}"


def _correlation(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
