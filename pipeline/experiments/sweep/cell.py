r"""Stage `sweep`: train one cell of the section `sweep`, and judge it on validation.

    data/processed/D, data/features/D -> results/D/M/sweep/CELL.json

A cell is a model with one value of each range and a seed; its name says which:
layers-2__lr-0.001__seed-2023. Everything else is that of params.yaml, and `sweep.budget` stands
in for the same keys of `train`. The model learns from train without the validation items and
is measured on the validation candidates; nothing is trained on validation. test.parquet is not
read. A loss that leaves the numbers is a result like any other: a range may hold a step that is
too large.

CELL.json has the best HR@10 and NDCG@10, their epoch, and NDCG@10 at every measurement.

    python -m pipeline.experiments.sweep.cell sample lightgcn \
        l2-0.01__layers-4__lr-0.001__seed-2023 data/processed/sample \
        data/features/sample results/sample/lightgcn/sweep/CELL.json
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from pipeline import params
from pipeline.experiments.trial import forget, measured, run_name, settings_of
from pipeline.job.command_line import parser, run
from pipeline.job.errors import TrainingDiverged
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import sweep_cells
from pipeline.params.cell import Cell
from pipeline.tables.io import write_json
from pipeline.train import Trainer

log = logging.getLogger("sweep")
Start = Callable[[Arguments, params.Params], Trainer]
By = Literal["cell", "trial"]  # who trains: both may at once, and each saves its state


def try_cell(
    raw: dict[str, Any],
    cell: Cell,
    job: Arguments,
    start: Start = Trainer,
    by: By = "cell",
) -> Any:
    """Train a cell; return what trial.measured does, without times, or why it diverged.

    Args:
        raw: params.yaml, unchecked.
        cell: what is tried.
        job: names, folders and device; `job.model` is the model that is swept.
        start: makes the training, for one that is watched.
        by: who trains it.

    Raises:
        ParamsError: params.yaml, or the cell, cannot be run.
    """
    name = run_name(job.model, by, cell.name)
    budget = sweep_cells.declared(params.parse(raw)).budget
    tried = replace(cell, model=job.model)
    settings = settings_of(raw, job.dataset, name, tried, budget)
    known = {"values": cell.values, "seed": cell.seed}
    try:
        result = measured(start(replace(job, model=name), settings))
    except TrainingDiverged as error:
        return known | {"diverged": str(error)}
    del result["minutes"]  # the same cell is the same file
    return known | result


def main(argv: list[str] | None = None) -> None:
    """Find the cell, train it, write."""
    names = "dataset", "model", "cell", "processed", "features", "out", "--device", "--threads"
    parse = parser(__doc__, *names)
    args = parse.parse_args(argv)
    use_threads(args.threads)
    cell = sweep_cells.cell(params.load(), args.dataset, args.model, args.cell)
    job = Arguments(
        args.dataset, args.model, args.processed, args.features, args.out.parent, args.device
    )
    found = try_cell(params.read(), cell, job)
    log.info("%s: %s", cell.name, found.get("diverged") or found["ndcg@10"])
    write_json(found, args.out)
    forget(args.dataset, run_name(args.model, "cell", cell.name))


if __name__ == "__main__":
    run(main)
