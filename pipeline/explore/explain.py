r"""Explain scores of one model: the parts of each, for the report's users or for one pair.

    checkpoint, recommendations, data/processed/D, data/features/D
        -> results/D/M/explanations.json

    {"dataset", "model", "architecture", "parts": [NAME] or null, "why": null or a sentence,
     "explanations": [{
        "user", "raw_user", "item", "raw_item", "title", "kind": held out or recommended,
        "place", "score", "mean_score",
        "parts": [{"name", "value", "share", "above_mean"}],
        "counterfactual": {"with", "without", "removed"} or null,
        "own", "rest", "n_history",
        "history": [{"item", "raw_item", "title", "value", "parts": {NAME: value}}] or null}]}

- place: 0-based, among the items that the user has neither in train nor in validation.
- parts: `id`, each modality, and `inter`, the output of the counterfactual layers; they sum to
  the score. share: |value| over the sum of all |values|. above_mean: the value minus its mean
  over the catalogue; it sums to the score minus mean_score.
- counterfactual: the value of `inter`, its value with the same weights and no subtraction, and
  the difference.
- history: the items of the user's n_history that contribute most to the score; their values,
  `own` (the user's own embedding) and `rest` (the other items) sum to the score. Null where
  the score does not depend on the user's items. See model/explanation.py.

`parts` is null for a model whose score is not such a sum; `why` says so.

    python -m pipeline.explore.explain sample mcln data/processed/sample data/features/sample \
        results/sample/mcln
    python -m pipeline.explore.explain sample mcln data/processed/sample data/features/sample \
        results/sample/mcln --user A00000000USER --item B000000000
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import torch
from model.parts.explanation import parts

from model.base import Recommender
from pipeline import params
from pipeline.explore.explainer import Explainer
from pipeline.job.command_line import run
from pipeline.job.errors import ParamsError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, arguments_of, model_parser
from pipeline.learning.dataset import Dataset
from pipeline.pages import file_names, gallery
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_json

RECOMMENDED = 3  # items of a user's list that are explained
NO_CONTENT = "{} reads no content: the whole of a score is from who took what."
NO_SUM = (
    "{} is not taken apart: its score is no inner product with a sum of an ID part and content "
    "parts, or what its parts are is not written down in model/explanation.py."
)
log = logging.getLogger("explain")


def reason(model: str, reads: list[str]) -> str:
    """Say why a model has no parts.

    Args:
        model: its name.
        reads: the modalities that it reads.
    """
    return (NO_SUM if reads else NO_CONTENT).format(model)


def example_pairs(
    train: pl.DataFrame, test: pl.DataFrame, lists: pl.DataFrame, n: int
) -> Iterator[tuple[int, int, str]]:
    """Yield user, item and kind: the report's users with what was held out and recommended.

    Args:
        train: schema.INTERACTIONS.
        test: schema.INTERACTIONS.
        lists: schema.RECOMMENDATIONS, of these users at least.
        n: how many users the report shows.
    """
    best = lists.filter(pl.col("position") < RECOMMENDED).sort(s.USER, "position")
    targets = dict(test.select(s.USER, s.ITEM).iter_rows())
    for user in gallery.chosen_users(train, test, n):
        yield user, targets[user], "held out"
        for item in best.filter(pl.col(s.USER) == user)[s.ITEM]:
            if item != targets[user]:
                yield user, item, "recommended"


def explainer(model: Recommender, processed: Path) -> Explainer | None:
    """Return what takes a trained model's scores apart; None if it is not taken apart."""
    found = parts(model.cpu())
    if found is None:
        return None
    items = read_parquet(processed / s.ITEMS_FILE, s.ITEMS)
    users = read_parquet(processed / s.USERS_FILE, s.USERS)
    return Explainer(found, Dataset(processed).pairs(validation=True), items, users)


def table(
    settings: params.Params,
    arguments: Arguments,
    own: Explainer | None,
    lists: pl.DataFrame,
    name: str = "",
) -> dict[str, Any]:
    """Return the content of explanations.json.

    Args:
        settings: the file params.yaml.
        arguments: names and folders.
        own: of the model.
        lists: schema.RECOMMENDATIONS of the model, of the report's users at least.
        name: what the model is called, where that is not the name of its run.
    """
    dataset, model = arguments.dataset, arguments.model
    reads = settings.model_modalities(model, dataset)
    train, test = (
        read_parquet(arguments.processed / file, s.INTERACTIONS)
        for file in (s.TRAIN_FILE, s.TEST_FILE)
    )
    pairs = example_pairs(train, test, lists, settings.compare.users)
    return {
        "dataset": dataset,
        "model": name or model,
        "architecture": settings.architecture(model),
        "parts": list(own.parts.items) if own else None,
        "why": None if own else reason(name or model, reads),
        "explanations": [own.explain(u, i) | {"kind": kind} for u, i, kind in pairs if own],
    }


def main(argv: list[str] | None = None) -> None:
    """Read, take apart, write; or print the one explanation that was asked for."""
    line = model_parser(__doc__)
    line.add_argument("--user", help="raw_id; with --item, prints one explanation, writes none")
    line.add_argument("--item", help="raw_id")
    args = line.parse_args(argv)
    if (args.user is None) != (args.item is None):
        raise ParamsError("--user and --item: expected both or neither, got one")
    arguments, settings = arguments_of(args), params.load()
    with torch.inference_mode():
        model, _ = restored(settings, arguments, Dataset(arguments.processed))
        own = explainer(model, arguments.processed)
        if args.user is not None:
            if own is None:
                reads = settings.model_modalities(arguments.model, arguments.dataset)
                raise ParamsError(reason(arguments.model, reads))
            one = own.explain(*own.numbers(args.user, args.item))
            print(json.dumps(one, indent=2, ensure_ascii=False))
            return
        lists = read_parquet(arguments.results / s.RECOMMENDATIONS_FILE, s.RECOMMENDATIONS)
        found = table(settings, arguments, own, lists)
    log.info("%s %s: %d", arguments.dataset, arguments.model, len(found["explanations"]))
    write_json(found, arguments.results / file_names.EXPLANATIONS_FILE)


if __name__ == "__main__":
    run(main)
