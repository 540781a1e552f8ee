r"""Rule `study_cell`: train one cell of `study` or `benchmark`, and rank test with it, once.

    data/processed/D, data/features/D [, results/D/M/sweep.json]
        -> results/D/study/CELL/{checkpoint.safetensors,history,metrics.json,ranks}

A cell is a model, at most one of its settings changed, and a seed, such as
mcln__layers-2__seed-2023. What it may spend, in place of the same keys of `train`, is in
`study.budget` or `benchmark.budget`; everything else is as in params.yaml, or, with a budget
that searches, what the model's sweep found best on validation. The epoch is chosen and the
model refitted by the code of the stage `train`. Test is opened after that.

A killed training resumes from .work/train/ and ends in the same bytes.

    python -m pipeline.experiments.study.cell sample mcln__layers-2__seed-2023 \
        data/processed/sample data/features/sample \
        results/sample/study/mcln__layers-2__seed-2023
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.evaluate import rank_test_items
from pipeline.experiments.trial import Trial, trial_of
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.learning.checkpoint import save_checkpoint
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import benchmark, study
from pipeline.params.cell import Cell, Values
from pipeline.tables.io import read_json, write_json, write_parquet
from pipeline.tables.results import as_metadata
from pipeline.tables.schema import CHECKPOINT_FILE, HISTORY_FILE, METRICS_FILE, RANKS_FILE
from pipeline.train import train_model

log = logging.getLogger("study_cell")
CUTOFFS = (5, 10)  # of the paper's tables


def study_trial(settings: params.Params, dataset: str, cell: Cell, values: Values) -> Trial:
    """Return a cell's trial under its budget, with all of its changed settings."""
    trial = trial_of(cell, benchmark.budget_of(settings, dataset, cell), "study")
    return replace(trial, cell=replace(cell, values=values))


def changed_settings(
    settings: params.Params, dataset: str, cell: Cell, sweep: Mapping[str, Any] | None
) -> Values:
    """Return what a cell changes in its model's settings.

    `sweep` is the content of the sweep.json that `benchmark.searched` names; None if it names
    none.

    Raises:
        ParamsError: the budget searches and there is no sweep, or that of another model.
        SchemaError: no run of the sweep was completed.
    """
    swept, got = benchmark.searched(settings, cell), sweep and sweep["model"]
    if swept != got:
        raise ParamsError(
            f"params.yaml: study.budget: {cell.name} needs the sweep of {swept}, got that of "
            f"{got}; give --sweep results/{dataset}/{swept}/sweep.json"
        )
    if sweep is None:
        return cell.values
    if sweep["best"] is None:
        raise SchemaError(
            f"results/{dataset}/{swept}/sweep.json: no run came to its end; widen "
            "sweep.ranges in params.yaml"
        )
    # What makes a variant a variant stays, such as M of the paper's own form.
    kept = set() if swept == cell.model else set(settings.sections[cell.model]["default"])
    taken = type(settings.model(cell.model, dataset)).model_fields.keys() - kept
    return {k: v for k, v in sweep["best"].items() if k in taken} | cell.values


def check_cutoffs(settings: params.Params, dataset: str, cell: Cell) -> None:
    """Raise ParamsError unless a cell of the study has the cut-offs of the paper's tables."""
    of_study = cell.name in study.cells(settings, dataset)
    if of_study and not set(CUTOFFS) <= set(settings.evaluate.k):
        raise ParamsError(
            f"params.yaml: evaluate.k: expected {list(CUTOFFS)} among them, which the paper's "
            f"tables have, got {settings.evaluate.k}"
        )


def main(argv: list[str] | None = None) -> None:
    """Find the cell, train it, rank, write."""
    shared = "dataset", "cell", "processed", "features", "out", "--device", "--threads"
    parse = parser(__doc__, *shared)
    parse.add_argument("--sweep", type=Path, help="sweep.json, for a budget that searches")
    args = parse.parse_args(argv)
    use_threads(args.threads)
    settings = params.load().of(args.dataset)
    sweep = read_json(args.sweep) if args.sweep else None
    cell = benchmark.cell(settings, args.dataset, args.cell)
    check_cutoffs(settings, args.dataset, cell)
    values = changed_settings(settings, args.dataset, cell, sweep)
    trial = study_trial(settings, args.dataset, cell, values)
    folders = args.processed, args.features, args.out
    training = trial.start(
        params.read(), Arguments(args.dataset, cell.model, *folders, args.device)
    )
    tensors, facts, history = train_model(training)
    facts |= {"model": cell.model}
    write_parquet(history, args.out / HISTORY_FILE, as_metadata(facts))
    save_checkpoint(tensors, facts, args.out / CHECKPOINT_FILE)
    metrics, ranks, facts = rank_test_items(training.settings, training.arguments)
    metrics |= {"values": cell.values, "searched_on": sweep and sweep["model"]}
    log.info("%s %s: %s", args.dataset, cell.name, metrics["sampled"])
    write_parquet(ranks, args.out / RANKS_FILE, as_metadata(facts))
    write_json(metrics, args.out / METRICS_FILE)
    trial.remove_state(args.dataset)


if __name__ == "__main__":
    run(main)
