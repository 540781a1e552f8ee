"""Stage `curves`: the data of `dvc metrics` and `dvc plots`, of all models of a dataset.

    results/D/M/{metrics.json,ranks,history}
        -> plots/scores/D.json, plots/learning/D.csv, plots/cutoffs/D.csv

DVC cannot read Parquet, and cannot omit keys: metrics.json also has the settings, which
`dvc exp show` already lists. Each kind of file has a folder, since the paths in dvc.yaml under
`metrics` and `plots` cannot depend on `datasets`. The CSV files have one row per point;
.dvc/plots/panels.json draws them.

    python -m pipeline.curves sample results/sample plots
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from model.measures import MEASURES, WORDS, split_name
from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.tables import io, rank_metrics
from pipeline.tables import schema as s
from pipeline.tables.results import PARTS, read_results

TOP = 20  # largest k
# A file per dataset in each, for `dvc metrics` and `dvc plots`.
SCORES_FOLDER, LEARNING_FOLDER, CUTOFFS_FOLDER = "scores", "learning", "cutoffs"
POINTS: s.Columns = {
    "dataset": pl.String,
    "panel": pl.String,  # what is measured; one chart each
    "model": pl.String,
}
LEARNING: s.Columns = POINTS | {"epoch": pl.Int32, "value": pl.Float64}
CUTOFFS: s.Columns = POINTS | {"k": pl.Int32, "value": pl.Float64}
PANELS = {"loss": "training loss", "hr@10": "HR@10, {part}", "ndcg@10": "NDCG@10, {part}"}
CHOSEN = "value"  # the column of the metric that chose the epoch
DEFAULT = "ndcg@10 (sampled)"  # which has a panel


def scores(
    metrics: Mapping[str, dict[str, Any]],
    histories: Mapping[str, pl.DataFrame],
    measures: Sequence[str] = ("hr", "ndcg"),
) -> dict[str, dict[str, Any]]:
    """Return `{model: {sampled: {metric: value}, full: ..., validation: ..., epoch: ...}}`.

    Args:
        metrics: content of each model's metrics.json.
        histories: schema.HISTORY of each model.
        measures: of test that are shown, where a protocol has them.
    """
    return {
        model: {"epoch": content["epoch"]}
        | {part: _shown(content[part], measures) for part in PARTS}
        | ({"lists": content["lists"]} if "lists" in content else {})
        | _validation(histories[model], content["selected_on"])
        for model, content in metrics.items()
    }


def _shown(content: Mapping[str, Any], measures: Sequence[str]) -> dict[str, float]:
    return {k: v for k, v in content.items() if "@" in k and split_name(k)[0] in measures}


def _validation(history: pl.DataFrame, selected_on: str) -> dict[str, dict[str, float]]:
    """Return the metrics of the chosen epoch, by which experiments should be chosen too."""
    rows = history.filter(phase="select", measured_on=s.VALIDATION).drop_nulls(CHOSEN)
    best = rows.sort(CHOSEN, descending=True, maintain_order=True).head(1)
    columns = ["hr@10", "ndcg@10", *([] if DEFAULT in selected_on else [CHOSEN])]
    values = best.select(columns).to_dicts()
    return {s.VALIDATION: values[0]} if values else {}


def learning(
    histories: Mapping[str, pl.DataFrame],
    dataset: str,
    selected_on: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Return the loss and the validation metrics by epoch, of the phase `select`.

    Args:
        histories: schema.HISTORY of each model; empty for a model without training.
        dataset: its name, for the first column.
        selected_on: of each model, from metrics.json; a metric without a panel gets one.

    Returns:
        LEARNING, sorted by panel, then in the order of the models.
    """
    points, selected_on = [], selected_on or {}
    others = dict.fromkeys(name for name in selected_on.values() if DEFAULT not in name)
    panels = [*PANELS.items(), *((CHOSEN, name) for name in others)]
    for column, name in panels:
        for model, history in histories.items():
            if column == CHOSEN and selected_on[model] != name:
                continue
            rows = history.filter(pl.col("phase") == "select").drop_nulls(column)
            for epoch, value, part in rows.select("epoch", column, "measured_on").iter_rows():
                points.append((dataset, name.format(part=part), model, epoch, value))
    return pl.DataFrame(points, LEARNING, orient="row")


def cutoffs(
    ranks: Mapping[str, pl.DataFrame], dataset: str, measures: Sequence[str] = ("hr", "ndcg")
) -> pl.DataFrame:
    """Return metrics at k from 1 to 20, in both protocols.

    Args:
        ranks: schema.RANKS of each model.
        dataset: its name, for the first column.
        measures: where a protocol has them.

    Returns:
        CUTOFFS, sorted by panel, then in the order of the models.
    """
    points = []
    for part, measured in MEASURES.items():
        shown = [measure for measure in measures if measure in measured]
        for measure, (model, table) in itertools.product(shown, ranks.items()):
            at_k = [f"{measure}@{k}" for k in range(1, TOP + 1)]
            panel = f"{WORDS[measure]}@k, {part}"
            values = rank_metrics.means(table, part, at_k).values()
            points += [(dataset, panel, model, k, v) for k, v in enumerate(values, 1)]
    return pl.DataFrame(points, CUTOFFS, orient="row")


def main(argv: list[str] | None = None) -> None:
    """Read, select, write."""
    arguments = parser(__doc__, "dataset", "results")
    arguments.add_argument("plots", type=Path, help="folder to write to")
    args = arguments.parse_args(argv)
    settings = params.load().of(args.dataset)
    models = {model: args.results / model for model in settings.models}
    measures = list(dict.fromkeys(settings.evaluate.metrics))

    read = {model: read_results(path) for model, path in models.items()}
    metrics = {model: results.metrics for model, results in read.items()}
    histories = {model: results.history for model, results in read.items()}
    selected_on = {model: content["selected_on"] for model, content in metrics.items()}
    ranks = {model: results.ranks for model, results in read.items()}

    io.write_json(
        scores(metrics, histories, measures),
        args.plots / SCORES_FOLDER / f"{args.dataset}.json",
    )
    tables = {
        LEARNING_FOLDER: learning(histories, args.dataset, selected_on),
        CUTOFFS_FOLDER: cutoffs(ranks, args.dataset, measures),
    }
    for folder, table in tables.items():
        io.write_text(table.write_csv(), args.plots / folder / f"{args.dataset}.csv")


if __name__ == "__main__":
    run(main)
