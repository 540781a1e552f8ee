r"""A model for production: trained on all interactions, with lists and vectors by raw ids.

    checkpoint, data/processed/D, data/features/D
        -> OUT/{recommendations,users,items}.parquet, OUT/vectors.json, and OUT/items.faiss with
           deploy.faiss

The model is trained from scratch on train, validation and test together, for the number of
epochs in the checkpoint, which was chosen on validation. It is not evaluated: no interaction is
left to do it with. recommendations.parquet has the best `deploy.k` items of every user without
those that the user has: `user`, `raw_user`, `position`, `item`, `raw_item`, `score`. The other
files are those of pipeline/explore/export.py.

docs/deploy.md scores new users and new items from these files.

    python -m pipeline.explore.deploy sample mcln data/processed/sample data/features/sample \
        results/sample/mcln results/sample/mcln/deploy
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl
import torch

from model.data import Interactions
from model.ranking import inner_product
from pipeline import params
from pipeline.explore import export
from pipeline.job.command_line import run
from pipeline.learning.checkpoint import check_belongs, inputs, read_checkpoint
from pipeline.learning.command_line import arguments_of, model_parser
from pipeline.learning.dataset import Dataset, tensor
from pipeline.recommend import recommendations
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_parquet
from pipeline.train import WORK, Trainer

PHASE = "deploy"  # in the name of the training's saved state
RAW_USER = "raw_user"
LISTS = [s.USER, RAW_USER, *list(s.RECOMMENDATIONS)[1:]]
log = logging.getLogger("deploy")


def all_pairs(dataset: Dataset) -> Interactions:
    """Return the interactions of train, validation and test."""
    known = dataset.pairs(validation=True)
    test = dataset.part(s.TEST)
    return Interactions(
        torch.cat([known.users, tensor(test[s.USER])]),
        torch.cat([known.items, tensor(test[s.ITEM])]),
        n_users=dataset.n_users,
        n_items=dataset.n_items,
    )


def chosen_facts(trainer: Trainer) -> dict[str, Any]:
    """Return the facts of the checkpoint, among them the chosen epoch.

    Raises:
        SchemaError: the checkpoint is absent or damaged, or its epoch was chosen for other
            settings, data or features.
    """
    path = trainer.arguments.results / s.CHECKPOINT_FILE
    _, facts = read_checkpoint(path)
    given = inputs(trainer.dataset, trainer.features)
    check_belongs(path, facts, trainer.settings, trainer.arguments, given)
    return facts


def lists_with_raw_ids(lists: pl.DataFrame, processed: Path) -> pl.DataFrame:
    """Return schema.RECOMMENDATIONS with the users' raw ids, in the same order."""
    users = read_parquet(processed / s.USERS_FILE, s.USERS).rename({s.RAW_ID: RAW_USER})
    return lists.join(users, on=s.USER, maintain_order="left").select(LISTS)


def deploy(trainer: Trainer, out: Path) -> None:
    """Train on all interactions, and write the lists and the vectors.

    Raises:
        ParamsError: the model has no vectors, or `deploy.faiss` is set without the package.
        SchemaError: see `chosen_facts`.
        TrainingDiverged: a non-finite loss.
    """
    names, settings = trainer.arguments, trainer.settings.deploy
    if settings.faiss:
        export.check_faiss("params.yaml: deploy.faiss")
    facts, pairs = chosen_facts(trainer), all_pairs(trainer.dataset)
    with torch.inference_mode():  # before the training, which may take hours
        export.vectors(trainer.new_training(pairs).model.eval(), names.model)
    training = trainer.run_phase(PHASE, pairs, facts["epoch"], s.VALIDATION)
    raw_ids = read_parquet(names.processed / s.ITEMS_FILE, s.ITEMS).select(s.ITEM, s.RAW_ID)
    with torch.inference_mode():
        users, items = export.vectors(training.model.eval(), names.model)
        lists = recommendations(inner_product(users, items), pairs, settings.k, raw_ids)
    write_parquet(lists_with_raw_ids(lists, names.processed), out / s.RECOMMENDATIONS_FILE)
    told = export.facts_of(names.results / s.CHECKPOINT_FILE, facts)
    told |= {"trained_on": "train, validation and test", "pairs": len(pairs)}
    export.write(users, items, names.processed, told, out, faiss=settings.faiss)
    log.info("%s %s: %d pairs, %d rows", names.dataset, names.model, len(pairs), lists.height)


def main(argv: list[str] | None = None) -> None:
    """Read, train, write."""
    line = model_parser(__doc__)
    line.add_argument("out", type=Path, help="folder to write to")
    args = line.parse_args(argv)
    arguments = arguments_of(args)
    deploy(Trainer(arguments, params.load().of(arguments.dataset)), args.out)
    for state in WORK.glob(f"{arguments.dataset}-{arguments.model}-{PHASE}-*.safetensors"):
        state.unlink()


if __name__ == "__main__":
    run(main)
