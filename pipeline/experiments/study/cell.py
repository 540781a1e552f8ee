r"""Stage `study_cell`: train one cell of the section `study`, and rank test with it, once.

    data/processed/D, data/features/D [, results/D/M/sweep.json]
        -> results/D/study/CELL/{checkpoint.safetensors,history,metrics.json,ranks}

A cell is a model, at most one of its settings changed, and a seed; its name says which:
mcln__layers-2__seed-2023. `study.budget` names what it may spend, in place of the same keys of
`train`; everything else is that of params.yaml, or, with a budget that searches, what the
model's sweep found best on validation. The epoch is chosen and the model refitted as the stage
`train` does it, by the same code. Test is opened when that is over.

A killed training goes on where it stood (.work/train/) and ends in the same bytes.

    python -m pipeline.experiments.study.cell sample mcln__layers-2__seed-2023 \
        data/processed/sample data/features/sample \
        results/sample/study/mcln__layers-2__seed-2023
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.evaluate import rank_test_items
from pipeline.experiments import trial
from pipeline.job.command_line import parser, run
from pipeline.learning.checkpoint import save_checkpoint
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import study_cells
from pipeline.params.cell import Cell
from pipeline.tables.io import read_json, write_json, write_parquet
from pipeline.tables.schema import CHECKPOINT_FILE, HISTORY_FILE, METRICS_FILE, RANKS_FILE
from pipeline.train import Trainer, train_model

log = logging.getLogger("study_cell")


def settings_of(
    raw: dict[str, Any], dataset: str, cell: Cell, changed: dict[str, Any]
) -> params.Params:
    """Return params.yaml with the cell as the model `model_name(cell)`, on the study's budget.

    Args:
        raw: params.yaml, unchecked.
        dataset: where it is trained.
        cell: the training.
        changed: settings of its model that differ from params.yaml.
    """
    budget = study_cells.budget(params.parse(raw))
    return trial.settings_of(
        raw, dataset, model_name(cell), replace(cell, values=changed), budget
    )


def model_name(cell: Cell) -> str:
    """Return the name of the model that a cell trains."""
    return trial.run_name("study", cell.name)


def train_and_evaluate(
    raw: dict[str, Any], cell: Cell, job: Arguments, sweep: dict[str, Any] | None
) -> dict[str, Any]:
    """Train a cell, rank test, write the four files, and return the content of metrics.json.

    Args:
        raw: params.yaml, unchecked.
        cell: the training.
        job: names, folders and device; `job.model` is `model_name(cell)`.
        sweep: content of sweep.json, for a budget that searches.

    Raises:
        ParamsError: the sweep is missing, or of another model.
        SchemaError: the sweep found nothing, or tables do not belong together.
    """
    changed = study_cells.changes(params.parse(raw), job.dataset, cell, sweep)
    settings = settings_of(raw, job.dataset, cell, changed)
    tensors, facts, history = train_model(Trainer(job, settings))
    write_parquet(history, job.results / HISTORY_FILE)
    save_checkpoint(tensors, facts | {"model": cell.model}, _checkpoint(job))
    table, ranks = rank_test_items(settings, job)
    table |= {"values": cell.values, "searched_on": sweep and sweep["model"]}
    write_parquet(ranks, job.results / RANKS_FILE)
    write_json(table, job.results / METRICS_FILE)
    trial.forget(job.dataset, job.model)
    return table


def _checkpoint(job: Arguments) -> Path:
    return job.results / CHECKPOINT_FILE


def main(argv: list[str] | None = None) -> None:
    """Find the cell, train it, rank, write."""
    shared = "dataset", "cell", "processed", "features", "out", "--device", "--threads"
    parse = parser(__doc__, *shared)
    parse.add_argument("--sweep", type=Path, help="sweep.json, for a budget that searches")
    args = parse.parse_args(argv)
    use_threads(args.threads)
    cell = study_cells.cell(params.load(), args.dataset, args.cell)
    names = args.dataset, model_name(cell)
    job = Arguments(*names, args.processed, args.features, args.out, args.device)
    sweep = read_json(args.sweep) if args.sweep else None
    table = train_and_evaluate(params.read(), cell, job, sweep)
    log.info("%s %s: %s", args.dataset, cell.name, table["sampled"])


if __name__ == "__main__":
    run(main)
