"""Stage `curves`: what `dvc metrics` and `dvc plots` show, of all models of a dataset.

    results/D/M/{metrics.json,ranks,history}
        -> plots/scores/D.json, plots/learning/D.csv, plots/cutoffs/D.csv

DVC neither reads Parquet nor leaves out a key: metrics.json has the settings too, which are
columns of `dvc exp show` already. Each kind has a folder, since what dvc.yaml names under
`metrics` and `plots` cannot depend on `datasets`. The CSV files have a row per point, and a
column per thing to tell apart: .dvc/plots/panels.json draws them.

    python -m pipeline.curves sample results/sample plots
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.tables import io
from pipeline.tables import schema as s

TOP = 20  # largest k
# Folders with a file per dataset, for `dvc metrics` and `dvc plots`.
SCORES_FOLDER, LEARNING_FOLDER, CUTOFFS_FOLDER = "scores", "learning", "cutoffs"
PARTS = {"sampled": "rank_sampled", "full": "rank_full"}
POINTS: s.Columns = {
    "dataset": pl.String,
    "panel": pl.String,  # what is measured; each is a chart of its own
    "model": pl.String,
}
LEARNING: s.Columns = POINTS | {"epoch": pl.Int32, "value": pl.Float64}
CUTOFFS: s.Columns = POINTS | {"k": pl.Int32, "value": pl.Float64}
MEASURED = {"loss": "training loss", "hr@10": "HR@10, {part}", "ndcg@10": "NDCG@10, {part}"}


def scores(
    metrics: Mapping[str, dict[str, Any]], histories: Mapping[str, pl.DataFrame]
) -> dict[str, dict[str, Any]]:
    """Return `{model: {sampled: {measure: value}, full: ..., validation: ..., epoch: ...}}`.

    Args:
        metrics: content of each model's metrics.json.
        histories: schema.HISTORY of each model.
    """
    return {
        model: {"epoch": found["epoch"]}
        | {part: {k: v for k, v in found[part].items() if "@" in k} for part in PARTS}
        | _validation(histories[model])
        for model, found in metrics.items()
    }


def _validation(history: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Return what the epoch was chosen by, to choose between experiments by the same."""
    chosen = history.filter(phase="select", measured_on=s.VALIDATION).drop_nulls("ndcg@10")
    best = chosen.sort("ndcg@10", descending=True, maintain_order=True).head(1)
    return (
        {} if best.is_empty() else {s.VALIDATION: best.select("hr@10", "ndcg@10").to_dicts()[0]}
    )


def learning(histories: Mapping[str, pl.DataFrame], dataset: str) -> pl.DataFrame:
    """Return the loss and the validation while the number of epochs was chosen.

    Args:
        histories: schema.HISTORY of each model; empty for one that learns nothing.
        dataset: its name, for the first column.

    Returns:
        LEARNING, panel after panel, in the order of the models.
    """
    points = []
    for column, name in MEASURED.items():
        for model, history in histories.items():
            chosen = history.filter(pl.col("phase") == "select").drop_nulls(column)
            for epoch, value, part in chosen.select("epoch", column, "measured_on").iter_rows():
                points.append((dataset, name.format(part=part), model, epoch, value))
    return pl.DataFrame(points, LEARNING, orient="row")


def cutoffs(ranks: Mapping[str, pl.DataFrame], dataset: str) -> pl.DataFrame:
    """Return HR@k and NDCG@k for k from 1 to 20, in both protocols.

    Args:
        ranks: schema.RANKS of each model.
        dataset: its name, for the first column.

    Returns:
        CUTOFFS, panel after panel, in the order of the models.
    """
    hit = pl.lit(1.0)
    gain = 1 / (pl.col("rank") + 2).log(2)
    points = []
    for part, column in PARTS.items():
        for measure, worth in (("HR@k", hit), ("NDCG@k", gain)):
            for model, table in ranks.items():
                users = table.select(pl.col(column).alias("rank"))
                for k in range(1, TOP + 1):
                    value = users.select(pl.when(pl.col("rank") < k).then(worth).otherwise(0.0))
                    points.append(
                        (dataset, f"{measure}, {part}", model, k, value.mean().item())
                    )
    return pl.DataFrame(points, CUTOFFS, orient="row")


def main(argv: list[str] | None = None) -> None:
    """Read, take out, write."""
    arguments = parser(__doc__, "dataset", "results")
    arguments.add_argument("plots", type=Path, help="folder to write to")
    args = arguments.parse_args(argv)
    models = {model: args.results / model for model in params.load().models}

    metrics = {m: io.read_json(path / s.METRICS_FILE) for m, path in models.items()}
    histories = {
        m: io.read_parquet(path / s.HISTORY_FILE, s.HISTORY) for m, path in models.items()
    }
    ranks = {m: io.read_parquet(path / s.RANKS_FILE, s.RANKS) for m, path in models.items()}

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
