"""The study's numbers as parts of a page, with what has to be said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.comparison.user_metrics import FULL, NAMES, SAMPLED
from pipeline.experiments.study.sections.section import Part, Row, Table

COLUMNS = (*((SAMPLED, name) for name in NAMES), (FULL, "hr@10"), (FULL, "ndcg@10"))
TITLES = {
    "table1": "Table 1: the data",
    "table2": "Table 2: overall comparison",
    "table3": "Table 3: components",
    "table4": "Table 4: fusion",
    "figure4": "Figure 4: graph convolution layers",
    "table5": "Table 5: counterfactual layers",
}
SURE = 0.05  # level at which a difference is called significant


def parts(found: Mapping[str, Any]) -> list[Part]:
    """Return a part for Table 1 and for each table and grid.

    Args:
        found: content of tables.json.
    """
    return [_data(found["data"]), *(_part(found, name) for name in found["order"])]


def _data(found: Mapping[str, Any]) -> Part:
    modalities = found["modalities"]
    head = ["dataset", "# user", "# item", "# interaction", "density"]
    ours = found["ours"]
    counts = [f"{ours[key]:,}" for key in ("users", "items", "interactions")]
    widths = [f"{ours['features'][m]:,}" for m in modalities]
    rows = [Row(cells=["here", *counts, f"{ours['density']:.5f}", *widths])]
    if paper := found["paper"]:
        counts = [f"{paper[key]:,}" for key in ("users", "items", "interactions")]
        widths = [f"{paper[m]:,}" if m in paper else "–" for m in modalities]
        cells = ["printed in the paper", *counts, f"{paper['density']:.5f}", *widths]
        rows.append(Row(cells=cells, paper=True))
    made = "; ".join(
        f"{m}: {said['extractor']} of {said['field']}"
        + (f", {said['weights']}" if said["weights"] else "")
        for m, said in ((m, found["features"][m]) for m in modalities)
    )
    caption = "Density is interactions over users times items." + (
        "" if found["paper"] else " The paper has no such dataset."
    )
    return Part(
        name="table1",
        title=TITLES["table1"],
        text=[f"Features: {made}." if made else "No features: only who chose what."],
        tables=[
            Table(
                title=TITLES["table1"],
                head=[*head, *(f"# {modality}" for modality in modalities)],
                rows=rows,
                caption=caption,
            )
        ],
    )


def _part(found: Mapping[str, Any], name: str) -> Part:
    own, title = found["tables"][name], TITLES.get(name, name)
    head = ["", *(_head(part, measure) for part, measure in COLUMNS), "epoch"]
    rows: list[Row] = []
    for row in own["rows"]:
        cells = [_cell(row, part, measure) for part, measure in COLUMNS]
        epochs = ", ".join(map(str, row["epochs"]))
        best = [n for n, column in enumerate(COLUMNS, 1) if _is_best(own["rows"], row, column)]
        rows.append(Row(cells=[row["label"], *cells, epochs], best=best))
        if paper := row["paper"]:
            numbers = [
                f"{paper[n]:.4f}" if part == SAMPLED and n in paper else "–"
                for part, n in COLUMNS
            ]
            label = f"{row['label']}, paper, {paper['where']}"
            rows.append(Row(cells=[label, *numbers, "–"], paper=True))
    first = Table(title=title, head=head, rows=rows, caption=caption(found, name))
    is_grid = any(row["values"] for row in own["rows"])
    return Part(
        name=name,
        title=title,
        text=list(_said(own)),
        tables=[first, *_tests(own, title, len(found["budget"]["seeds"]))],
        figures=[name] if is_grid else [],
    )


def caption(found: Mapping[str, Any], name: str) -> str:
    """Return what a table's numbers depend on: seeds, protocol, rule of choice, budget."""
    budget, among = found["budget"], found["candidates"]
    seeds = ", ".join(map(str, budget["seeds"]))
    spread = "Mean ± standard deviation over" if len(budget["seeds"]) > 1 else "The"
    again = "trained again on" if found["refit"] else "trained on"
    settings = (
        "those that each model's sweep found best on validation"
        if budget["search"]
        else "those of params.yaml, not searched here"
    )
    printed = any(row["paper"] for row in found["tables"][name]["rows"])
    return " ".join(
        [
            f"{found['dataset']}. {spread} seed{'s' * (len(budget['seeds']) > 1)} {seeds} of "
            f"the training; split and candidates are of seed {found['split_seed']}.",
            f"Leave-one-out over {found['n_users']:,} users. Sampled: the target among "
            f"{among[SAMPLED]} candidates, the same for every model; full: among "
            f"{among[FULL]:,} items without those that the user has in train or validation. A "
            "tie counts against the target.",
            f"Epoch chosen on {found['selected_on']}, {again} {found['trained_on']}; at most "
            f"{budget['epochs']} epochs, measured every {budget['evaluate_every']}, patience "
            f"{budget['patience']} (budget {budget['name']}). Settings: {settings}.",
            "N is NDCG; marked is the best of a column.",
            *(["Rows of the paper are as printed there."] if printed else []),
            *(["Optimistic: the epoch was chosen on test."] if found["optimistic"] else []),
        ]
    )


def _head(part: str, measure: str) -> str:
    return short(measure) if part == SAMPLED else f"{short(measure)}, full"


def short(name: str) -> str:
    """Return a metric's column title: `N@5` for `ndcg@5`."""
    return name.replace("ndcg", "N").replace("hr", "HR")


def p_value(p: float) -> str:
    """Return three digits of p; what is too small for a float is said to be small."""
    return f"{p:.3g}" if p else "< 1e-300"


def with_sd(value: Mapping[str, Any]) -> str:
    """Return `mean ± sd`, or the one value there is."""
    text = f"{value['mean']:.4f}"
    return text if value["sd"] is None else f"{text} ± {value['sd']:.4f}"


def _cell(row: Mapping[str, Any], part: str, name: str) -> str:
    return with_sd(row[part][name]) if name in row[part] else "–"


def _is_best(rows: Iterable[Mapping[str, Any]], row: Mapping[str, Any], column: Any) -> bool:
    """Tell whether no row prints a higher mean; equal ones are all the best."""
    part, name = column
    if name not in row[part]:
        return False
    means = [round(other[part][name]["mean"], 4) for other in rows]
    return round(row[part][name]["mean"], 4) == max(means)


def _said(own: Mapping[str, Any]) -> Iterable[str]:
    """Yield what the numbers say, and which rows are one training."""
    tests = own["significance"]
    sure = [test["other"] for test in tests if test["p_holm"] < SURE]
    unsure = [test["other"] for test in tests if test["p_holm"] >= SURE]
    text = f"Best by sampled NDCG@10: {own['best']}."
    if sure:
        text += f" Its lead is significant over: {'; '.join(sure)}."
    if unsure:
        text += f" Not significant over: {'; '.join(unsure)}."
    yield text
    told = [f"{r['label']} is {r['trained_as']}" for r in own["rows"] if _is_another(r)]
    if told:
        yield f"One training, since all settings are the same: {'; '.join(told)}."


def _is_another(row: Mapping[str, Any]) -> bool:
    return bool(row["label"] != row["trained_as"])


def _tests(own: Mapping[str, Any], title: str, n_seeds: int) -> list[Table]:
    if not own["significance"]:
        return []
    rows = [
        Row(
            cells=[
                test["other"],
                f"{test['mean_difference']:+.4f}",
                *(f"{test[key]:,}" for key in ("n_users", "n_different")),
                *(p_value(test[key]) for key in ("p", "p_holm")),
            ],
            best=[5] if test["p_holm"] < SURE else [],
        )
        for test in own["significance"]
    ]
    averaged = f", each user's mean over {n_seeds} seeds" if n_seeds > 1 else ""
    compared = f"{len(rows)} comparison{'s' * (len(rows) > 1)}"
    return [
        Table(
            title=f"{title}, significance",
            head=["against", "mean difference", "users", "that differ", "p", "p (Holm)"],
            rows=rows,
            caption=f"{own['best']} against each other row: Wilcoxon signed-rank, two-sided, "
            f"paired over users, on NDCG@10 (sampled){averaged}; corrected for {compared} "
            "after Holm. It says that a difference is not of these users' chance, not that "
            "another training would show it.",
        )
    ]
