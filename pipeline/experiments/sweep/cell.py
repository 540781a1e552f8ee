r"""Rule `sweep_cell`: train one cell of the section `sweep`, and measure it on validation.

    data/processed/D, data/features/D -> results/D/M/sweep/CELL.json

A cell is a model with one value of each range and a seed, such as
layers-2__lr-0.001__seed-2023. Everything else is as in params.yaml, with `sweep.budget` in
place of the same keys of `train`. The model learns from train without the validation items and
is measured on the validation candidates; test.parquet is not read. A diverged training is a
result too.

CELL.json has HR@10, NDCG@10 and `value`, of the metric `train.select_by`, at the epoch with the
best value, and the value at every measurement.

    python -m pipeline.experiments.sweep.cell sample lightgcn \
        l2-0.01__layers-4__lr-0.001__seed-2023 data/processed/sample \
        data/features/sample results/sample/lightgcn/sweep/CELL.json
"""

from __future__ import annotations

import logging

from pipeline import params
from pipeline.experiments.trial import outcome, trial_of
from pipeline.job.command_line import parser, run
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import sweep
from pipeline.tables.io import write_json

log = logging.getLogger("sweep_cell")


def main(argv: list[str] | None = None) -> None:
    """Find the cell, train it, write its result."""
    names = "dataset", "model", "cell", "processed", "features", "out", "--device", "--threads"
    args = parser(__doc__, *names).parse_args(argv)
    use_threads(args.threads)
    settings = params.load().of(args.dataset)
    cell = sweep.cell(settings, args.dataset, args.model, args.cell)
    trial = trial_of(cell, sweep.section(settings).budget, "cell")
    folders = args.processed, args.features, args.out.parent
    job = Arguments(args.dataset, args.model, *folders, args.device)
    measured = outcome(trial, params.read(), job)
    log.info("%s: %s", args.cell, measured.get("diverged") or measured["value"])
    write_json(measured, args.out)
    trial.remove_state(args.dataset)


if __name__ == "__main__":
    run(main)
