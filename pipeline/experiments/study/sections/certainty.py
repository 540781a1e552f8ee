"""The section of the study's page about the uncertainty of its first table's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model.measures import split_name
from pipeline.comparison.user_metrics import FULL, SAMPLED, short
from pipeline.experiments.study.sections.numbers import LEVEL, p_value
from pipeline.experiments.study.sections.section import Part, Row, Table


def part(
    analysis: Mapping[str, Any], order: Sequence[str], n_negatives: int, name: str
) -> Part:
    """Return the section, from significance.json.

    Args:
        analysis: the file's content.
        order: of the rows of the study's first table; the file sorts them by name.
        n_negatives: of each target in the sampled ranking.
        name: of the metric that is shown, such as `ndcg@10`.
    """
    return Part(
        name="sure",
        title="How sure the numbers are",
        text=[
            "An interval says what another draw of users would give, a standard deviation over "
            "seeds what another training would, and one over negatives what other candidates "
            "would, for the trainings at hand.",
            *_order(analysis, name),
            analysis["note"],
        ],
        tables=[
            _spread(analysis, order, n_negatives, name),
            *_tests(analysis, name),
            _protocols(analysis),
        ],
    )


def _spread(
    analysis: Mapping[str, Any], order: Sequence[str], n_negatives: int, name: str
) -> Table:
    title, rows = short(name), []
    for model in order:
        sampled, full = (analysis["models"][model][part][name] for part in (SAMPLED, FULL))
        redrawn = sampled.get("redrawn")
        other = f"{redrawn['mean']:.4f} ± {redrawn['sd']:.4f}" if redrawn else "–"
        rows.append(
            Row(cells=[model, _value(sampled), _sd(sampled), other, _value(full), _sd(full)])
        )
    n_users = analysis["n_users"]
    return Table(
        title="Users, seeds, negatives",
        head=["", title, "sd, seeds", "other negatives", f"{title}, full", "sd, seeds, full"],
        rows=rows,
        caption=f"In brackets {analysis['level']:.0%} intervals from "
        f"{analysis['resamples']:,} bootstrap samples over {n_users:,} users, seed "
        f"{analysis['seed']}. Other negatives: mean and standard deviation over all the lists "
        f"of {n_negatives} that could have been drawn, computed from the ranks in the full "
        "catalogue; one "
        "model's number, where two models on the same list differ by less.",
    )


def _tests(analysis: Mapping[str, Any], name: str) -> Iterator[Table]:
    best = analysis["best"]
    for where in (SAMPLED, FULL):
        pairs = [p for p in analysis["pairs"] if (p["part"], p["name"]) == (where, name)]
        if not pairs:
            continue
        yield Table(
            title=f"{best} against each other model, {where} ranking",
            head=["against", "difference", "wins", "ties", "losses", "p, t", "p, Wilcoxon"],
            rows=[_test(pair) for pair in pairs],
            caption=f"{short(name)} of each user, mean over the seeds. Wins are users to "
            f"whom {best} is worth more, ties mostly those whose items neither has among the "
            f"first {name.partition('@')[2]}; two-sided paired tests, p after Holm over "
            f"{len(pairs)}; marked below {LEVEL}.",
        )


def _test(pair: Mapping[str, Any]) -> Row:
    p_values = [pair[f"p_{test}_holm"] for test in ("t", "wilcoxon")]
    return Row(
        cells=[
            pair["other"],
            f"{pair['difference']:+.4f} ({pair['low']:+.4f} to {pair['high']:+.4f})",
            *(f"{pair[key]:,}" for key in ("wins", "ties", "losses")),
            *map(p_value, p_values),
        ],
        best=[column for column, p in enumerate(p_values, 5) if p < LEVEL],
    )


def _protocols(analysis: Mapping[str, Any]) -> Table:
    measures = analysis["protocols"]["measures"]
    rows = [
        Row(
            cells=[
                short(name),
                *(", ".join(measures[name][where][:3]) for where in (SAMPLED, FULL)),
                *(_correlation(measures[name][key]) for key in ("kendall", "spearman")),
                f"{len(measures[name]['disagree'])}",
            ]
        )
        for name in sorted(measures, key=lambda name: split_name(name)[::-1])
    ]
    return Table(
        title="Sampled against full ranking",
        head=["", "first by sampled", "first by full", "Kendall", "Spearman", "pairs swapped"],
        rows=rows,
        caption="The first three models by each protocol, the agreement of the two orders over "
        "all models (1: the same), and of how many pairs of models they name another as the "
        "better.",
    )


def _order(analysis: Mapping[str, Any], name: str) -> Iterator[str]:
    pairs = analysis["protocols"]["measures"][name]["disagree"]
    swapped = [f"{a} is above {b} sampled and below it in full" for a, b in pairs]
    if swapped:
        yield f"By {short(name)} the two protocols disagree: {'; '.join(swapped)}."
    elif len(analysis["models"]) > 1:
        yield f"By {short(name)} the two protocols put all models in the same order."


def _value(metric: Mapping[str, float]) -> str:
    return f"{metric['value']:.4f} ({metric['low']:.4f} to {metric['high']:.4f})"


def _sd(metric: Mapping[str, Any]) -> str:
    return "–" if metric["sd"] is None else f"{metric['sd']:.4f}"


def _correlation(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
