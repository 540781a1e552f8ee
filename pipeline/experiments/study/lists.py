r"""Stage `study_examples`: what the study's models would show the users of its page, and why.

    checkpoints of cells, data/processed/D, data/features/D
        -> results/D/study/{examples.parquet,explanations.json}

explanations.json is `{"models": {model: content of the stage explain's file of this name}}`.

The models are those of `models` that the study trains, with its first seed; the users are the
ones that report.html of the stage `compare` shows too.

    python -m pipeline.experiments.study.lists sample data/processed/sample \
        data/features/sample results/sample/study
"""

from __future__ import annotations

import logging
from typing import Any

import polars as pl
import torch

from pipeline import params
from pipeline.comparison.report import chosen_users
from pipeline.experiments.study.cell import run_name, settings_of
from pipeline.explore import explain
from pipeline.job.command_line import parser, run
from pipeline.learning.checkpoint import read_checkpoint, restored
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.learning.dataset import Dataset
from pipeline.pages.files import EXAMPLES_FILE, EXPLANATIONS_FILE
from pipeline.params import study_cells
from pipeline.params.study_cells import Cell
from pipeline.recommend import recommendations
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_json, write_parquet

log = logging.getLogger("study_examples")


def shown(
    raw: dict[str, Any], cell: Cell, job: Arguments, users: list[int]
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return a cell's lists for some users, schema.RECOMMENDATIONS, and its explanations.

    Args:
        raw: params.yaml, unchecked.
        cell: the training.
        job: names, folders (`results` is the cell's) and device.
        users: for whom.
    """
    _, facts = read_checkpoint(job.results / s.CHECKPOINT_FILE)
    settings = settings_of(raw, job.dataset, cell, facts["settings"])
    dataset = Dataset(job.processed)
    model, _ = restored(settings, job, dataset)
    raw_ids = read_parquet(job.processed / s.ITEMS_FILE, s.ITEMS).select(s.ITEM, s.RAW_ID)
    known, wanted = dataset.pairs(validation=True), torch.tensor(users)
    with torch.inference_mode():
        scorer = model.scorer()  # type: ignore[operator]
        lists = recommendations(scorer, known, settings.compare.k, raw_ids, wanted)
        own = explain.explainer(model, job.processed)
        return lists, explain.table(settings, job, own, lists, cell.model)


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write."""
    parse = parser(
        __doc__, "dataset", "processed", "features", "results", "--device", "--threads"
    )
    args = parse.parse_args(argv)
    use_threads(args.threads)
    settings, raw = params.load(), params.read()
    train, test = (
        read_parquet(args.processed / name, s.INTERACTIONS)
        for name in (s.TRAIN_FILE, s.TEST_FILE)
    )
    users = chosen_users(train, test, settings.compare.users)
    found, said = [], {}
    for model, cell in study_cells.shown(settings, args.dataset).items():
        names = args.dataset, run_name(cell)
        folders = args.processed, args.features, args.results / cell.name
        job = Arguments(*names, *folders, args.device)
        rows, said[model] = shown(raw, cell, job, users)
        found.append(rows.select(pl.lit(model).alias(s.MODEL), pl.all()))
    log.info("%s: %d lists", args.dataset, len(found) * len(users))
    write_parquet(pl.concat(found), args.results / EXAMPLES_FILE)
    write_json({"models": said}, args.results / EXPLANATIONS_FILE)


if __name__ == "__main__":
    run(main)
