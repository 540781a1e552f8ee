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
import re
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.evaluate import rank_test_items
from pipeline.experiments.sweep import grid as search
from pipeline.job.command_line import parser, run
from pipeline.learning.checkpoint import save_checkpoint
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.params import study_budget, study_cells
from pipeline.params.study_cells import Cell
from pipeline.tables.io import read_json, write_json, write_parquet
from pipeline.tables.schema import CHECKPOINT_FILE, HISTORY_FILE, METRICS_FILE, RANKS_FILE
from pipeline.train import WORK, Trainer, train_model

log = logging.getLogger("study_cell")


def settings_of(
    raw: dict[str, Any], dataset: str, cell: Cell, changed: dict[str, Any]
) -> params.Params:
    """Return params.yaml with the cell as the model `run_name(cell)`, under the study's budget.

    Args:
        raw: params.yaml, unchecked.
        dataset: where it is trained.
        cell: the training.
        changed: settings of its model that differ from params.yaml.
    """
    budget = study_budget.budget(params.parse(raw))
    grid = search.Grid(
        budget=search.Budget(**{k: getattr(budget, k) for k in search.Budget.model_fields}),
        seeds=[cell.seed],
        runs={run_name(cell): {"model": cell.model} | changed},
    )
    return search.settings_of(raw, dataset, run_name(cell), grid, cell.seed)


def run_name(cell: Cell) -> str:
    """Return the name of a cell's training: no other one's saved state begins with it."""
    return re.sub(r"\W+", "_", f"study__{cell.name}")


def train_and_evaluate(
    raw: dict[str, Any], cell: Cell, job: Arguments, sweep: dict[str, Any] | None
) -> dict[str, Any]:
    """Train a cell, rank test, write the four files, and return the content of metrics.json.

    Args:
        raw: params.yaml, unchecked.
        cell: the training.
        job: names, folders and device; `job.model` is `run_name(cell)`.
        sweep: content of sweep.json, for a budget that searches.

    Raises:
        ParamsError: the sweep is missing, or of another model.
        SchemaError: the sweep found nothing, or tables do not belong together.
    """
    changed = study_budget.changes(params.parse(raw), job.dataset, cell, sweep)
    settings = settings_of(raw, job.dataset, cell, changed)
    tensors, facts, history = train_model(Trainer(job, settings))
    write_parquet(history, job.results / HISTORY_FILE)
    save_checkpoint(tensors, facts | {"model": cell.model}, _checkpoint(job))
    table, ranks = rank_test_items(settings, job)
    table |= {"values": cell.values, "searched_on": sweep and sweep["model"]}
    write_parquet(ranks, job.results / RANKS_FILE)
    write_json(table, job.results / METRICS_FILE)
    for left in WORK.glob(f"{job.dataset}-{job.model}-*.safetensors"):
        left.unlink()
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
    names = args.dataset, run_name(cell)
    job = Arguments(*names, args.processed, args.features, args.out, args.device)
    sweep = read_json(args.sweep) if args.sweep else None
    table = train_and_evaluate(params.read(), cell, job, sweep)
    log.info("%s %s: %s", args.dataset, cell.name, table["sampled"])


if __name__ == "__main__":
    run(main)
