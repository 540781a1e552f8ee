r"""Stage `compare`: all models of a dataset side by side, as numbers, as a table, as a page.

    results/D/M/{metrics.json,ranks,history,recommendations}, data/processed/D, data/images/D,
    data/features/D (which items have them, and what made them)
        -> results/D/{comparison.json,comparison.md,report.html,significance.json,slices.json}

The best model is the one with the highest value of the metric `train.select_by`, at the k of
`evaluate.k` that is nearest to its own: by default sampled NDCG@10. It is tested against every
other over the users: Wilcoxon's signed-rank test on each user's value, with Holm's correction.
significance.json has confidence intervals and further tests, slices.json the metrics on subsets
of the held-out items; see the modules of these names in pipeline/comparison.

    python -m pipeline.compare sample data/processed/sample data/images/sample.parquet \
        results/sample --features data/features/sample

With `--table NAME` the models are those of `tables.NAME`, and the results go to a folder NAME
below the others. `--table extractors` also names the extractor of each row.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from model.measures import SELECT_BY
from pipeline import params
from pipeline.comparison import protocol, report, significance, user_metrics, user_slices
from pipeline.comparison.paper_numbers import PRINTED, table_of
from pipeline.comparison.user_metrics import FULL, SAMPLED
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.pages import file_names, gallery, markdown_table
from pipeline.params.extractors import TABLE
from pipeline.tables import io, processed, results
from pipeline.tables import schema as s
from pipeline.tables.features import read_feature_metadata, read_present

log = logging.getLogger("compare")

NEEDED = set(results.FIELDS)
KEPT = ("architecture", "trained_on", "refit", "settings")


def comparison(
    metrics: Mapping[str, dict[str, Any]],
    ranks: Mapping[str, pl.DataFrame],
    folder: str = "",
    extractors: Mapping[str, str] | None = None,
    select_by: str = SELECT_BY,
    measures: Sequence[str] = user_metrics.SHOWN,
) -> dict[str, Any]:
    """Return the content of comparison.json.

    Args:
        metrics: content of each model's metrics.json, in the order of the table.
        ranks: schema.RANKS of each model.
        folder: of the published split, whose numbers in the paper are added; else empty.
        extractors: of each model, in words, where the models differ in nothing else.
        select_by: the metric that ranks the models; see `user_metrics.leading`.
        measures: that tables show.

    Raises:
        SchemaError: a file of metrics lacks a key, or two models ranked different users, were
            measured at different cut-offs or among different numbers of candidates.
    """
    for model, content in metrics.items():
        if missing := sorted(NEEDED - set(content)):
            raise SchemaError(
                f"{model}/{s.METRICS_FILE}: expected {sorted(NEEDED)}, without {missing}; run "
                "the stage evaluate again"
            )
    protocol.check_same(metrics)
    needed = [*measures, user_metrics.measure_of(select_by)]
    cutoffs = user_metrics.cutoffs_of(metrics, needed)
    part, name = user_metrics.leading(cutoffs, select_by)
    best = max(metrics, key=lambda model: metrics[model][part][name])
    rows = {model: _row(model, metrics, folder) for model in metrics}
    for model, extractor in (extractors or {}).items():
        rows[model]["extractor"] = extractor
    return {
        "dataset": metrics[best]["dataset"],
        "protocol": protocol.in_words(metrics[best]) + protocol.new_items_in_words(metrics),
        "order": list(metrics),
        "best": best,
        "best_by": {"part": part, "name": name},
        "measures": list(dict.fromkeys(measures)),
        "models": rows,
        "significance": {
            "test": "Wilcoxon signed-rank, two-sided, paired over users",
            "measure": f"{name} ({part}) of each user",
            "correction": "Holm",
            "pairs": significance.against_best(ranks, best, (part, name)),
        },
    }


def _row(model: str, metrics: Mapping[str, dict[str, Any]], folder: str) -> dict[str, Any]:
    content = metrics[model]
    optimistic = content.get("optimistic", str(content["selected_on"]).startswith(s.TEST))
    row = {key: content[key] for key in sorted(NEEDED - {"dataset", "model"})}
    row |= {key: content.get(key) for key in KEPT}
    row |= {"optimistic": bool(optimistic), "paper": None}
    row["best"] = {
        part: {n: _is_best(metrics, model, part, n) for n in content[part] if "@" in n}
        for part in (SAMPLED, FULL)
    }
    if printed := PRINTED.get(folder, {}).get(model):
        row["paper"] = {"table": table_of(model, printed)}
        row["paper"] |= zip(user_metrics.names(), printed, strict=False)
    return row


def _is_best(metrics: Mapping[str, dict[str, Any]], model: str, part: str, name: str) -> bool:
    """Return whether no model has a higher number, as printed; ties are all the best."""
    printed = {m: round(content[part][name], 4) for m, content in metrics.items()}
    return printed[model] == max(printed.values())


def markdown(table: Mapping[str, Any], features: str = "") -> str:
    """Return comparison.md: caption, the models' table, the tests.

    Args:
        table: the content of comparison.json.
        features: `protocol.features_in_words`, if they are known.
    """
    columns = _columns(table)
    head = ["model", *(f"{part} {user_metrics.short(name)}" for part, name in columns), "epoch"]
    lines = [f"# {table['dataset']}", "", *_caption(table, features), ""]
    lines += markdown_table.lines(
        head, [row for m in table["order"] for row in _rows(table, m, columns)]
    )
    if pairs := table["significance"]["pairs"]:
        by = table["best_by"]
        measure = f"{user_metrics.in_text(by['name'])} ({by['part']})"
        how = f"{table['significance']['test']}, on {measure}"
        lines += ["", f"**{table['best']}** against each other model: {how}.", ""]
        head = ["against", "mean difference", "users", "that differ", "p", "p (Holm)"]
        lines += markdown_table.lines(head, map(_tested, pairs))
    return "\n".join(lines) + "\n"


def _columns(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the columns of the table, as part and metric."""
    cutoffs = user_metrics.cutoffs_of(table["models"])
    return user_metrics.shown(user_metrics.names(cutoffs, table["measures"]))


def _caption(table: Mapping[str, Any], features: str) -> list[str]:
    rows = list(table["models"].values())
    rules = "; ".join(dict.fromkeys(report.rule(row) for row in rows))
    seeds = "; ".join(dict.fromkeys(", ".join(map(str, row["seeds"])) for row in rows))
    lines = [table["protocol"], f"Epoch chosen on {rules}. Seeds: {seeds}."]
    if any(row["optimistic"] for row in rows):
        lines.append("Marked numbers are *optimistic*: the epoch was chosen on the test items.")
    lines += [markdown_table.plain(features)] if features else []
    return [*lines, f"{user_metrics.legend(table['measures'])}The best of a column is in bold."]


def _rows(
    table: Mapping[str, Any], model: str, columns: list[tuple[str, str]]
) -> list[list[str]]:
    """Return a model's row, and one with the paper's numbers where it has them."""
    row = table["models"][model]
    mark = " (*optimistic*)" if row["optimistic"] else ""
    extractor = f": {row['extractor']}" if "extractor" in row else ""
    cells = [_cell(row, part, name) for part, name in columns]
    rows = [[f"{model}{extractor}{mark}", *cells, str(row["epoch"])]]
    if paper := row["paper"]:
        printed = [
            f"{paper[n]:.4f}" if part == SAMPLED and n in paper else "–" for part, n in columns
        ]
        label = f"{model}, as printed in the paper ({paper['table']})"
        rows.append([label, *printed, "–"])
    return rows


def _cell(row: Mapping[str, Any], part: str, name: str) -> str:
    return f"**{row[part][name]:.4f}**" if row["best"][part][name] else f"{row[part][name]:.4f}"


def _tested(pair: Mapping[str, Any]) -> list[str]:
    counts = [str(pair["n_users"]), str(pair["n_different"])]
    p = [f"{pair[key]:.3g}" for key in ("p", "p_holm")]
    return [pair["other"], f"{pair['mean_difference']:+.4f}", *counts, *p]


def _files(settings: params.Params, dataset: str, folder: Path | None) -> dict[str, Path]:
    """Return the feature file of each modality that a model reads; none without a folder."""
    read = [m for model in settings.models for m in settings.model_modalities(model, dataset)]
    return {m: folder / f"{m}.parquet" for m in dict.fromkeys(read) if folder}


def _analyses(
    table: Mapping[str, Any],
    material: gallery.Material,
    present: Mapping[str, user_slices.Mask],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of significance.json and slices.json, less `dataset`."""
    data, seed = (material.ranks, material.parts), material.settings.seed
    sizes = material.items.height, table["models"][table["best"]][SAMPLED]["candidates"] - 1
    cutoffs = user_metrics.cutoffs_of(material.metrics)
    names = user_metrics.names(cutoffs, table["measures"])
    cold = processed.is_cold(material.metrics[table["best"]].get("split", {}))
    masks = {content[FULL].get("mask") for content in material.metrics.values()}
    tests = significance.table(
        *data, table["best"], *sizes, seed, names, masks == {"train_validation"}, cold
    )
    trained_on = [content.get("trained_on") for content in material.metrics.values()]
    slices = user_slices.table(*data, trained_on, present, seed, names)
    return tests, slices


def main(argv: list[str] | None = None) -> None:
    """Read, compare, write."""
    arguments = parser(__doc__, "dataset", "processed", "images", "results")
    arguments.add_argument("--features", type=Path, help="folder of the features")
    arguments.add_argument(
        "--table", help="a name under `tables`, or `extractors`; written to results/TABLE"
    )
    args = arguments.parse_args(argv)
    settings, output = params.load().of(args.dataset), args.results
    if args.table:
        models = settings.table(args.table, args.dataset)
        settings, output = settings.model_copy(update={"models": models}), output / args.table

    source = settings.source(args.dataset)
    folder = source.folder if source.format == "published_split" else ""
    material = gallery.read(args.processed, args.results, settings, args.dataset)
    extractors = settings.compared_extractors(args.dataset) if args.table == TABLE else None
    rules = settings.train.select_by, settings.evaluate.metrics
    table = comparison(material.metrics, material.ranks, folder, extractors, *rules)
    people = gallery.gallery(material)
    pictures = gallery.pictures(material, args.images, gallery.items_shown(people))
    files = _files(settings, args.dataset, args.features)
    processed.check_counts(args.processed, material.parts)
    results.check_features(args.results, material.facts, files)
    present = {m: read_present(path, material.items.height) for m, path in files.items()}
    made = {m: read_feature_metadata(path) for m, path in files.items()}
    page = report.render(table, material, people, pictures, made if args.features else None)
    text = markdown(table, protocol.features_in_words(made) if args.features else "")
    log.info("%s:\n%s", args.dataset, text)
    io.write_json(table, output / file_names.COMPARISON_JSON)
    io.write_text(text, output / file_names.COMPARISON_MD)
    io.write_text(page, output / file_names.REPORT_FILE)

    tests, slices = _analyses(table, material, present)
    io.write_json({"dataset": args.dataset} | tests, output / file_names.SIGNIFICANCE_JSON)
    io.write_json({"dataset": args.dataset} | slices, output / file_names.SLICES_JSON)


if __name__ == "__main__":
    run(main)
