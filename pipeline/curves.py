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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.tables import io
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


def scores(
    metrics: Mapping[str, dict[str, Any]], histories: Mapping[str, pl.DataFrame]
) -> dict[str, dict[str, Any]]:
    """Return `{model: {sampled: {metric: value}, full: ..., validation: ..., epoch: ...}}`.

    Args:
        metrics: content of each model's metrics.json.
        histories: schema.HISTORY of each model.
    """
    return {
        model: {"epoch": content["epoch"]}
        | {part: {k: v for k, v in content[part].items() if "@" in k} for part in PARTS}
        | _validation(histories[model])
        for model, content in metrics.items()
    }


def _validation(history: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Return the metrics of the chosen epoch, by which experiments should be chosen too."""
    rows = history.filter(phase="select", measured_on=s.VALIDATION).drop_nulls("ndcg@10")
    best = rows.sort("ndcg@10", descending=True, maintain_order=True).head(1)
    values = best.select("hr@10", "ndcg@10").to_dicts()
    return {s.VALIDATION: values[0]} if values else {}


def learning(histories: Mapping[str, pl.DataFrame], dataset: str) -> pl.DataFrame:
    """Return the loss and the validation metrics by epoch, of the phase `select`.

    Args:
        histories: schema.HISTORY of each model; empty for a model without training.
        dataset: its name, for the first column.

    Returns:
        LEARNING, sorted by panel, then in the order of the models.
    """
    points = []
    for column, name in PANELS.items():
        for model, history in histories.items():
            rows = history.filter(pl.col("phase") == "select").drop_nulls(column)
            for epoch, value, part in rows.select("epoch", column, "measured_on").iter_rows():
                points.append((dataset, name.format(part=part), model, epoch, value))
    return pl.DataFrame(points, LEARNING, orient="row")


def cutoffs(ranks: Mapping[str, pl.DataFrame], dataset: str) -> pl.DataFrame:
    """Return HR@k and NDCG@k for k from 1 to 20, in both protocols.

    Args:
        ranks: schema.RANKS of each model.
        dataset: its name, for the first column.

    Returns:
        CUTOFFS, sorted by panel, then in the order of the models.
    """
    points = []
    for part, column in PARTS.items():
        rank = pl.col(column)
        gains = {"HR@k": pl.lit(1.0), "NDCG@k": 1 / (rank + 2).log(2)}
        for (metric, gain), (model, table) in itertools.product(gains.items(), ranks.items()):
            for k in range(1, TOP + 1):
                value = table.select(pl.when(rank < k).then(gain).otherwise(0.0)).mean().item()
                points.append((dataset, f"{metric}, {part}", model, k, value))
    return pl.DataFrame(points, CUTOFFS, orient="row")


def main(argv: list[str] | None = None) -> None:
    """Read, select, write."""
    arguments = parser(__doc__, "dataset", "results")
    arguments.add_argument("plots", type=Path, help="folder to write to")
    args = arguments.parse_args(argv)
    models = {model: args.results / model for model in params.load().models}

    read = {model: read_results(path) for model, path in models.items()}
    metrics = {model: results.metrics for model, results in read.items()}
    histories = {model: results.history for model, results in read.items()}
    ranks = {model: results.ranks for model, results in read.items()}

    io.write_json(
        scores(metrics, histories), args.plots / SCORES_FOLDER / f"{args.dataset}.json"
    )
    tables = {
        LEARNING_FOLDER: learning(histories, args.dataset),
        CUTOFFS_FOLDER: cutoffs(ranks, args.dataset),
    }
    for folder, table in tables.items():
        io.write_text(table.write_csv(), args.plots / folder / f"{args.dataset}.csv")


if __name__ == "__main__":
    run(main)
