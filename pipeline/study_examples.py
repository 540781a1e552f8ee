r"""Stage `study_examples`: what the study's models would show the users of its page, and why.

    checkpoints of cells, data/processed/D, data/features/D
        -> results/D/study/{examples.parquet,explanations.json}

explanations.json is `{"models": {model: content of the stage explain's file of this name}}`.

The models are those of `models` that the study trains, with its first seed; the users are the
ones that report.html of the stage `compare` shows too.

    python -m pipeline.study_examples sample data/processed/sample data/features/sample \
        results/sample/study
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl
import torch

from pipeline import explain, learning, params
from pipeline import schema as s
from pipeline.command import parser, run
from pipeline.io import read_parquet, write_json, write_parquet
from pipeline.paper import cells as study_cells
from pipeline.paper.cells import Cell
from pipeline.recommend import recommendations
from pipeline.report import chosen_users
from pipeline.study_cell import run_name, settings_of

log = logging.getLogger("study_examples")


def shown(
    raw: dict[str, Any], cell: Cell, job: learning.Arguments, users: list[int]
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return a cell's lists for some users, schema.RECOMMENDATIONS, and its explanations.

    Args:
        raw: params.yaml, unchecked.
        cell: the training.
        job: names, folders (`results` is the cell's) and device.
        users: for whom.
    """
    _, facts = learning.read_checkpoint(job.results / s.CHECKPOINT_FILE)
    settings = settings_of(raw, job.dataset, cell, facts["settings"])
    dataset = learning.Dataset(job.processed)
    model, _ = learning.restored(settings, job, dataset)
    raw_ids = read_parquet(job.processed / s.ITEMS_FILE, s.ITEMS).select(s.ITEM, s.RAW_ID)
    known, wanted = dataset.pairs(validation=True), torch.tensor(users)
    with torch.inference_mode():
        scorer = model.scorer()  # type: ignore[operator]
        lists = recommendations(scorer, known, settings.compare.k, raw_ids, wanted)
        own = explain.explainer(model, job.processed)
        return lists, explain.table(settings, job, own, lists, cell.model)


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write."""
    parse = parser("study_examples", __doc__)
    parse.add_argument("dataset", help="a name under `sources` in params.yaml")
    parse.add_argument("processed", type=Path, help="folder of the processed tables")
    parse.add_argument("features", type=Path, help="folder of the features")
    parse.add_argument("results", type=Path, help="folder of the cells, and to write to")
    parse.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parse.add_argument("--threads", type=int, help="CPU threads; default: all there are")
    args = parse.parse_args(argv)
    learning.use_threads(args.threads)
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
        job = learning.Arguments(*names, *folders, args.device)
        rows, said[model] = shown(raw, cell, job, users)
        found.append(rows.select(pl.lit(model).alias(s.MODEL), pl.all()))
    log.info("%s: %d lists", args.dataset, len(found) * len(users))
    write_parquet(pl.concat(found), args.results / s.EXAMPLES_FILE)
    write_json({"models": said}, args.results / s.EXPLANATIONS_FILE)


if __name__ == "__main__":
    run(main)
