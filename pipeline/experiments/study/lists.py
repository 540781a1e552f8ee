r"""Rule `study_lists`: what the study's models recommend to the users of its page, and why.

    checkpoints of cells, data/processed/D, data/features/D
        -> results/D/study/{examples.parquet,explanations.json}

explanations.json is `{"models": {model: content of the stage explain's file of this name}}`.

The models are those of `models` that the study trains, with its first seed; the users are those
of the report.html of the stage `compare`.

    python -m pipeline.experiments.study.lists sample data/processed/sample \
        data/features/sample results/sample/study
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import polars as pl
import torch

from pipeline import params
from pipeline.experiments.study.cell import study_trial
from pipeline.explore import explain
from pipeline.job.command_line import parser, run
from pipeline.learning.checkpoint import read_checkpoint, restored
from pipeline.learning.command_line import Arguments, use_threads
from pipeline.learning.dataset import Dataset
from pipeline.pages import file_names
from pipeline.pages.gallery import chosen_users
from pipeline.params import study
from pipeline.params.cell import Cell
from pipeline.recommend import recommendations
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_json, write_parquet

log = logging.getLogger("study_lists")


def shown(
    raw: dict[str, Any], cell: Cell, job: Arguments, users: list[int]
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return a cell's lists for some users, schema.RECOMMENDATIONS, and its explanations."""
    _, facts = read_checkpoint(job.results / s.CHECKPOINT_FILE)
    trial = study_trial(params.parse(raw), job.dataset, cell, facts["settings"])
    settings, job = trial.settings(raw, job.dataset), replace(job, model=trial.name)
    dataset = Dataset(job.processed)
    model, _ = restored(settings, job, dataset)
    raw_ids = read_parquet(job.processed / s.ITEMS_FILE, s.ITEMS).select(s.ITEM, s.RAW_ID)
    history, wanted = dataset.pairs(validation=True), torch.tensor(users)
    with torch.inference_mode():
        scorer = model.scorer()  # type: ignore[operator]
        lists = recommendations(scorer, history, settings.compare.k, raw_ids, wanted)
        explainer = explain.explainer(model, job.processed)
        return lists, explain.table(settings, job, explainer, lists, cell.model)


def main(argv: list[str] | None = None) -> None:
    """Read, rank, write."""
    shared = "dataset", "processed", "features", "results", "--device", "--threads"
    args = parser(__doc__, *shared).parse_args(argv)
    use_threads(args.threads)
    settings, raw = params.load().of(args.dataset), params.read()
    train, test = (
        read_parquet(args.processed / name, s.INTERACTIONS)
        for name in (s.TRAIN_FILE, s.TEST_FILE)
    )
    users = chosen_users(train, test, settings.compare.users)
    lists, explanations = [], {}
    for model, cell in study.shown(settings, args.dataset).items():
        folders = args.processed, args.features, args.results / cell.name
        job = Arguments(args.dataset, model, *folders, args.device)
        rows, explanations[model] = shown(raw, cell, job, users)
        lists.append(rows.select(pl.lit(model).alias(s.MODEL), pl.all()))
    log.info("%s: %d lists", args.dataset, len(lists) * len(users))
    write_parquet(pl.concat(lists), args.results / file_names.EXAMPLES_FILE)
    write_json({"models": explanations}, args.results / file_names.EXPLANATIONS_FILE)


if __name__ == "__main__":
    run(main)
