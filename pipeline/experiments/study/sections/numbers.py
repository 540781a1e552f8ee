"""The study's numbers as sections of its page, with captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from model.measures import split_name
from pipeline.comparison.user_metrics import (
    FULL,
    SAMPLED,
    Metric,
    in_text,
    legend,
    short,
    shown,
)
from pipeline.experiments.study.sections.section import Part, Row, Table

LEVEL = 0.05  # below it a difference is called significant
TITLES = {
    "table1": "Table 1: the data",
    "table2": "Table 2: overall comparison",
    "table3": "Table 3: components",
    "table4": "Table 4: fusion",
    "figure4": "Figure 4: graph convolution layers",
    "table5": "Table 5: counterfactual layers",
}


def parts(tables: Mapping[str, Any]) -> list[Part]:
    """Return a section for Table 1 and for each table and grid."""
    return [_data(tables["data"]), *(_part(tables, name) for name in tables["order"])]


def _data(data: Mapping[str, Any]) -> Part:
    modalities, ours, paper = data["modalities"], data["ours"], data["paper"]
    widths = [f"{ours['features'][m]:,}" for m in modalities]
    rows = [Row(cells=["here", *_counts(ours), *widths])]
    if paper:
        widths = [f"{paper[m]:,}" if m in paper else "–" for m in modalities]
        cells = ["printed in the paper", *_counts(paper), *widths]
        rows.append(Row(cells=cells, paper=True))
    made = "; ".join(
        f"{m}: {facts['extractor']} of {facts['field']}"
        + (f", {facts['weights']}" if facts["weights"] else "")
        for m, facts in ((m, data["features"][m]) for m in modalities)
    )
    head = ["dataset", "# user", "# item", "# interaction", "density"]
    table = Table(
        title=TITLES["table1"],
        head=[*head, *(f"# {modality}" for modality in modalities)],
        rows=rows,
        caption="Density is interactions over users times items."
        + ("" if paper else " The paper has no such dataset."),
    )
    text = f"Features: {made}." if made else "No features: only who chose what."
    return Part(name="table1", title=TITLES["table1"], text=[text], tables=[table])


def _counts(data: Mapping[str, Any]) -> list[str]:
    counts = [f"{data[key]:,}" for key in ("users", "items", "interactions")]
    return [*counts, f"{data['density']:.5f}"]


def _part(tables: Mapping[str, Any], name: str) -> Part:
    table, title = tables["tables"][name], TITLES.get(name, name)
    columns = columns_of(tables)
    rows: list[Row] = []
    for row in table["rows"]:
        cells = [_cell(row, *column) for column in columns]
        epochs = ", ".join(map(str, row["epochs"]))
        best = [
            n for n, column in enumerate(columns, 1) if _is_best(table["rows"], row, column)
        ]
        rows.append(Row(cells=[row["label"], *cells, epochs], best=best))
        if paper := row["paper"]:
            printed = [
                f"{paper[n]:.4f}" if part == SAMPLED and n in paper else "–"
                for part, n in columns
            ]
            label = f"{row['label']}, paper, {paper['where']}"
            rows.append(Row(cells=[label, *printed, "–"], paper=True))
    head = ["", *(_head(*column) for column in columns), "epoch"]
    first = Table(title=title, head=head, rows=rows, caption=caption(tables, name))
    return Part(
        name=name,
        title=title,
        text=list(_text(table, best_by(tables))),
        tables=[first, *_tests(table, title, best_by(tables), tables["budget"]["seeds"])],
        figures=[name] if any(row["values"] for row in table["rows"]) else [],
    )


def caption(tables: Mapping[str, Any], name: str) -> str:
    """Return what a table's numbers depend on: seeds, protocol, rule of choice, budget."""
    budget, among = tables["budget"], tables["candidates"]
    seeds = ", ".join(map(str, budget["seeds"]))
    spread = "Mean ± standard deviation over" if len(budget["seeds"]) > 1 else "The"
    again = "trained again on" if tables["refit"] else "trained on"
    settings = (
        "those that each model's sweep found best on validation"
        if budget["search"]
        else "those of params.yaml, not searched here"
    )
    printed = any(row["paper"] for row in tables["tables"][name]["rows"])
    return " ".join(
        [
            f"{tables['dataset']}. {spread} seed{'s' * (len(budget['seeds']) > 1)} {seeds} of "
            f"the training; split and candidates are of seed {tables['split_seed']}.",
            f"Leave-one-out over {tables['n_users']:,} users. Sampled: the target among "
            f"{among[SAMPLED]} candidates, the same for every model; full: among "
            f"{among[FULL]:,} items without those that the user has in {hidden(tables)}. A "
            "tie counts against the target.",
            f"Epoch chosen on {tables['selected_on']}, {again} {tables['trained_on']}; at most "
            f"{budget['epochs']} epochs, measured every {budget['evaluate_every']}, patience "
            f"{budget['patience']} (budget {budget['name']}). Settings: {settings}.",
            f"{legend(tables['measures'])}Marked is the best of a column.",
            *(["Rows of the paper are as printed there."] if printed else []),
            *(["Optimistic: the epoch was chosen on test."] if tables["optimistic"] else []),
        ]
    )


def hidden(tables: Mapping[str, Any]) -> str:
    """Return what the full ranking hides of a user, in words."""
    return str(tables["mask"]).replace("_", " or ")


def _head(part: str, measure: str) -> str:
    return short(measure) if part == SAMPLED else f"{short(measure)}, full"


def columns_of(tables: Mapping[str, Any]) -> list[Metric]:
    """Return a table's columns: all of the protocol that ranks, of the other those at one k.

    With `mean ± sd` in every cell, more would not fit a page.
    """
    part, leading = tables["best_by"]["part"], split_name(tables["best_by"]["name"])[1]
    return [
        (column_part, name)
        for column_part, name in shown(tables["names"])
        if column_part == part or split_name(name)[1] == leading
    ]


def best_by(tables: Mapping[str, Any]) -> str:
    """Return by what rows are ranked, in words: `sampled NDCG@10`."""
    return f"{tables['best_by']['part']} {in_text(tables['best_by']['name'])}"


def p_value(p: float) -> str:
    """Return three digits of p; one too small for a float is shown as `< 1e-300`."""
    return f"{p:.3g}" if p else "< 1e-300"


def _cell(row: Mapping[str, Any], part: str, name: str) -> str:
    """Return `mean ± sd`, or the one value there is."""
    if name not in row[part]:
        return "–"
    value = row[part][name]
    text = f"{value['mean']:.4f}"
    return text if value["sd"] is None else f"{text} ± {value['sd']:.4f}"


def _is_best(
    rows: Iterable[Mapping[str, Any]], row: Mapping[str, Any], column: tuple[str, str]
) -> bool:
    """Return whether no row prints a higher mean; equal ones are all the best."""
    part, name = column
    if name not in row[part]:
        return False
    means = [round(other[part][name]["mean"], 4) for other in rows]
    return round(row[part][name]["mean"], 4) == max(means)


def _text(table: Mapping[str, Any], measure: str) -> Iterator[str]:
    """Yield which differences are significant, and which rows are one training."""
    tests = table["significance"]
    significant = [test["other"] for test in tests if test["p_holm"] < LEVEL]
    others = [test["other"] for test in tests if test["p_holm"] >= LEVEL]
    text = f"Best by {measure}: {table['best']}."
    if significant:
        text += f" Its lead is significant over: {'; '.join(significant)}."
    if others:
        text += f" Not significant over: {'; '.join(others)}."
    yield text
    shared = [
        f"{row['label']} is {row['trained_as']}"
        for row in table["rows"]
        if row["label"] != row["trained_as"]
    ]
    if shared:
        yield f"One training, since all settings are the same: {'; '.join(shared)}."


def _tests(
    table: Mapping[str, Any], title: str, measure: str, seeds: Sequence[int]
) -> Iterator[Table]:
    rows = [
        Row(
            cells=[
                test["other"],
                f"{test['mean_difference']:+.4f}",
                *(f"{test[key]:,}" for key in ("n_users", "n_different")),
                *(p_value(test[key]) for key in ("p", "p_holm")),
            ],
            best=[5] if test["p_holm"] < LEVEL else [],
        )
        for test in table["significance"]
    ]
    averaged = f", each user's mean over {len(seeds)} seeds" if len(seeds) > 1 else ""
    compared = f"{len(rows)} comparison{'s' * (len(rows) > 1)}"
    if rows:
        yield Table(
            title=f"{title}, significance",
            head=["against", "mean difference", "users", "that differ", "p", "p (Holm)"],
            rows=rows,
            caption=f"{table['best']} against each other row: Wilcoxon signed-rank, two-sided, "
            f"paired over users, on {measure}{averaged}; corrected for {compared} "
            "after Holm. It says that a difference is not of these users' chance, not that "
            "another training would show it.",
        )
