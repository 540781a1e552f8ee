r"""Stage `compare`: all models of a dataset side by side, as numbers, as a table, as a page.

    results/D/M/{metrics.json,ranks,history,recommendations}, data/processed/D, data/images/D,
    data/features/D (only which items have them)
        -> results/D/{comparison.json,comparison.md,report.html,significance.json,slices.json}

The best model is the one with the highest sampled NDCG@10. It is tested against every other
over the users: Wilcoxon's signed-rank test on each user's NDCG@10, corrected after Holm. How
sure all numbers are is in significance.json, how the models do on parts of the users in
slices.json; the modules of these names say what the files hold.

    python -m pipeline.compare sample data/processed/sample data/images/sample.parquet \
        results/sample --features data/features/sample

With `--table NAME` the models are those of `tables.NAME`, written to a folder NAME below the
results. `--table extractors` also says which extractor stands behind each row.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.comparison import protocol, report, significance, user_metrics, user_slices
from pipeline.comparison.paper_numbers import PRINTED, table_of
from pipeline.comparison.user_metrics import FULL, NAMES, SAMPLED
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.pages.files import (
    COMPARISON_JSON,
    COMPARISON_MD,
    REPORT_FILE,
    SIGNIFICANCE_JSON,
    SLICES_JSON,
)
from pipeline.params.extractors import TABLE
from pipeline.tables import io
from pipeline.tables import schema as s
from pipeline.tables.features import read_present
from pipeline.tables.pictures import read_pictures

log = logging.getLogger("compare")

K = 10  # of the NDCG that ranks the models
MEASURE = f"ndcg@{K}"
COLUMNS = (*((SAMPLED, name) for name in NAMES), (FULL, "hr@10"), (FULL, "ndcg@10"))
NEEDED = {"dataset", "model", "seeds", "selected_on", "epoch", "n_users", SAMPLED, FULL}
KEPT = ("architecture", "trained_on", "refit", "settings")


def comparison(
    metrics: Mapping[str, dict[str, Any]],
    ranks: Mapping[str, pl.DataFrame],
    folder: str = "",
    extractors: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the content of comparison.json.

    Args:
        metrics: content of each model's metrics.json, in the order of the table.
        ranks: schema.RANKS of each model.
        folder: the published split's folder, to set the paper's numbers beside; else empty.
        extractors: of each model, in words, where the models differ in nothing else.

    Raises:
        SchemaError: a file of metrics lacks a key, or two models ranked different users.
    """
    for model, found in metrics.items():
        if missing := sorted(NEEDED - set(found)):
            raise SchemaError(
                f"{model}/{s.METRICS_FILE}: expected {sorted(NEEDED)}, without {missing}; run "
                "the stage evaluate again"
            )
    best = max(metrics, key=lambda model: metrics[model][SAMPLED].get(MEASURE, 0.0))
    first = metrics[best]
    rows = {model: _row(model, metrics, folder) for model in metrics}
    for model, extractor in (extractors or {}).items():
        rows[model]["extractor"] = extractor
    return {
        "dataset": first["dataset"],
        "protocol": protocol.in_words(first),
        "order": list(metrics),
        "best": best,
        "models": rows,
        "significance": {
            "test": "Wilcoxon signed-rank, two-sided, paired over users",
            "measure": f"{MEASURE} ({SAMPLED}) of each user",
            "correction": "Holm",
            "pairs": pairs(ranks, best),
        },
    }


def pairs(ranks: Mapping[str, pl.DataFrame], best: str) -> list[dict[str, Any]]:
    """Test the best model against each other one.

    Args:
        ranks: schema.RANKS of each model. Several seeds of a user are averaged.
        best: one of the models.

    Returns:
        One row per other model: the mean difference of NDCG@10 in the best one's favour, how
        many users there are and how many differ, p, and p after Holm's correction.

    Raises:
        SchemaError: the models ranked different users.
    """
    return [
        {
            "best": best,
            "other": row["other"],
            "mean_difference": row["difference"],
            "n_users": row["n_users"],
            "n_different": row["wins"] + row["losses"],
            "p": row["p_wilcoxon"],
            "p_holm": row["p_wilcoxon_holm"],
        }
        for row in significance.pairs(user_metrics.aligned(ranks), best, SAMPLED, MEASURE)
    ]


def markdown(table: Mapping[str, Any]) -> str:
    """Return comparison.md: caption, the models' table, the tests."""
    titles = [f"{part} {report.short(name)}" for part, name in COLUMNS]
    lines = [f"# {table['dataset']}", "", *_caption(table), ""]
    lines += [_line(["model", *titles, "epoch"]), _line(["---", *["---:"] * 7])]
    for model in table["order"]:
        row = table["models"][model]
        mark = " (*optimistic*)" if row["optimistic"] else ""
        cells = [_cell(row, part, name) for part, name in COLUMNS]
        extractor = f": {row['extractor']}" if "extractor" in row else ""
        lines.append(_line([f"{model}{extractor}{mark}", *cells, str(row["epoch"])]))
        if paper := row["paper"]:
            printed = [f"{paper[n]:.4f}" if n in paper else "–" for n in NAMES]
            label = f"{model}, as printed in the paper ({paper['table']})"
            lines.append(_line([label, *printed, "–", "–", "–"]))
    if tests := table["significance"]["pairs"]:
        how = f"{table['significance']['test']}, on NDCG@{K} (sampled)"
        lines += ["", f"**{table['best']}** against each other model: {how}.", ""]
        head = ["against", "mean difference", "users", "that differ", "p", "p (Holm)"]
        lines += [_line(head), _line(["---", *["---:"] * 5])]
        for test in tests:
            counts = [str(test["n_users"]), str(test["n_different"])]
            p = [f"{test[key]:.3g}" for key in ("p", "p_holm")]
            lines.append(_line([test["other"], f"{test['mean_difference']:+.4f}", *counts, *p]))
    return "\n".join(lines) + "\n"


def _row(model: str, metrics: Mapping[str, dict[str, Any]], folder: str) -> dict[str, Any]:
    own = metrics[model]
    optimistic = own.get("optimistic", str(own["selected_on"]).startswith(s.TEST))
    row = {key: own[key] for key in sorted(NEEDED - {"dataset", "model"})}
    row |= {key: own.get(key) for key in KEPT} | {"optimistic": bool(optimistic), "paper": None}
    row["best"] = {
        part: {n: _is_best(metrics, model, part, n) for n in NAMES if n in own[part]}
        for part in (SAMPLED, FULL)
    }
    if printed := PRINTED.get(folder, {}).get(model):
        row["paper"] = {"table": table_of(model, printed)}
        row["paper"] |= zip(NAMES, printed, strict=False)
    return row


def _present(material: report.Material, folder: Path | None) -> dict[str, Any]:
    """Return which items have each modality that a model reads; none without a folder."""
    settings, dataset = material.settings, material.dataset
    read = [m for model in settings.models for m in settings.model_modalities(model, dataset)]
    return {
        modality: read_present(folder / f"{modality}.parquet", material.items.height)
        for modality in dict.fromkeys(read)
        if folder
    }


def _is_best(metrics: Mapping[str, dict[str, Any]], model: str, part: str, name: str) -> bool:
    """Tell whether no model prints a higher number; equal ones are all the best."""
    printed = {m: round(found[part].get(name, 0.0), 4) for m, found in metrics.items()}
    return printed[model] == max(printed.values())


def _caption(table: Mapping[str, Any]) -> list[str]:
    rows = list(table["models"].values())
    rules = "; ".join(dict.fromkeys(report.rule(row) for row in rows))
    seeds = "; ".join(dict.fromkeys(", ".join(map(str, row["seeds"])) for row in rows))
    lines = [table["protocol"], f"Epoch chosen on {rules}. Seeds: {seeds}."]
    if any(row["optimistic"] for row in rows):
        lines.append("Marked numbers are *optimistic*: the epoch was chosen on the test items.")
    return [*lines, "N is NDCG; the best of a column is in bold."]


def _cell(row: Mapping[str, Any], part: str, name: str) -> str:
    if name not in row[part]:
        return "–"
    return f"**{row[part][name]:.4f}**" if row["best"][part][name] else f"{row[part][name]:.4f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(argv: list[str] | None = None) -> None:
    """Read, compare, write."""
    arguments = parser(__doc__, "dataset", "processed", "images", "results")
    arguments.add_argument("--features", type=Path, help="folder of the features")
    arguments.add_argument(
        "--table", help="a name under `tables`, or `extractors`; written to results/TABLE"
    )
    args = arguments.parse_args(argv)
    settings, output = params.load(), args.results
    if args.table:
        models = settings.table(args.table, args.dataset)
        settings, output = settings.model_copy(update={"models": models}), output / args.table

    source = settings.source(args.dataset)
    folder = source.folder if source.format == "published_split" else ""
    metrics = {m: io.read_json(args.results / m / s.METRICS_FILE) for m in settings.models}
    material = report.read(args.processed, args.results, settings, args.dataset)
    named = settings.compared_extractors(args.dataset) if args.table == TABLE else None
    table = comparison(metrics, material.ranks, folder, named)
    people = report.gallery(material)
    pictures = read_pictures(args.images, report.items_shown(people))
    page = report.render(table, material, people, pictures)
    text = markdown(table)
    log.info("%s:\n%s", args.dataset, text)
    io.write_json(table, output / COMPARISON_JSON)
    io.write_text(text, output / COMPARISON_MD)
    io.write_text(page, output / REPORT_FILE)
    own = (material.ranks, material.parts)
    sure = significance.table(*own, table["best"], material.items.height, settings.seed)
    trained_on = [found.get("trained_on") for found in metrics.values()]
    sliced = user_slices.table(
        *own, trained_on, _present(material, args.features), settings.seed
    )
    io.write_json({"dataset": args.dataset} | sure, output / SIGNIFICANCE_JSON)
    io.write_json({"dataset": args.dataset} | sliced, output / SLICES_JSON)


if __name__ == "__main__":
    run(main)
