r"""Stage `explain`: split scores of one model into parts, for the report's users or one pair.

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
- parts: `id`, each modality, and `inter`, the output of the counterfactual layers. The values
  sum to the score. share is |value| over the sum of the |values|. above_mean is the value minus
  its mean over the catalogue; it sums to the score minus mean_score.
- counterfactual: the value of `inter` with the layers as they are, without their subtraction
  (same weights), and the difference.
- history: those of the user's n_history items that contribute most to the score, the largest
  contribution first. Their values, `own` (the user's own embedding) and `rest` (the other
  items) sum to the score. See model/parts/explanation.py. Null where the score does not use
  the user's items.

`parts` is null for a model whose score is not a sum of such parts; `why` says why.

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
from torch import Tensor

from model.base import Recommender
from model.explanation import INTER, Parts, parts, sources
from pipeline import params
from pipeline.job.command_line import run
from pipeline.job.errors import ParamsError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, arguments_of, model_parser
from pipeline.learning.dataset import Dataset
from pipeline.pages import file_names
from pipeline.pages.gallery import chosen_users, labels
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_json

RECOMMENDED, SOURCES = 3, 5  # explained items of a user's list; shown items of the history
NO_CONTENT = "{} reads no content: the whole of a score is from who took what."
NO_SUM = (
    "{} is not taken apart: its score is no inner product with a sum of an ID part and content "
    "parts, or what its parts are is not written down in model/parts/explanation.py."
)
log = logging.getLogger("explain")


class Explainer:
    """Explains the scores of a trained model."""

    def __init__(self, parts: Parts, processed: Path) -> None:
        """Keep the model's parts; read the pairs of train and validation, and the names."""
        self.parts = parts
        self.pairs = Dataset(processed).pairs(validation=True)
        items = read_parquet(processed / s.ITEMS_FILE, s.ITEMS).sort(s.ITEM)
        users = read_parquet(processed / s.USERS_FILE, s.USERS).sort(s.USER)
        self.raw_items, self.raw_users = items[s.RAW_ID].to_list(), users[s.RAW_ID].to_list()
        self.titles = labels(items, items[s.ITEM].to_list())

    def explain(self, user: int, item: int) -> dict[str, Any]:
        """Return one of the explanations, less `kind`."""
        vector = self.parts.users[user].double()
        scores = {name: rows.double() @ vector for name, rows in self.parts.items.items()}
        total = torch.stack(list(scores.values())).sum(0)
        size = sum(abs(values[item].item()) for values in scores.values())
        return {
            "user": user,
            "raw_user": self.raw_users[user],
            **self._named(item),
            "place": self._place(total, user, item),
            "score": total[item].item(),
            "mean_score": total.mean().item(),
            "parts": [
                {
                    "name": name,
                    "value": values[item].item(),
                    "share": abs(values[item].item()) / size if size else 0.0,
                    "above_mean": (values[item] - values.mean()).item(),
                }
                for name, values in scores.items()
            ],
            "counterfactual": self._counterfactual(vector, item),
            **self._history(user, item),
        }

    def numbers(self, raw_user: str, raw_item: str) -> tuple[int, int]:
        """Return the numbers behind two raw ids.

        Raises:
            ParamsError: there is no such user or item.
        """
        ids = {"user": (self.raw_users, raw_user), "item": (self.raw_items, raw_item)}
        for kind, (raw_ids, raw_id) in ids.items():
            if raw_id not in raw_ids:
                raise ParamsError(
                    f"--{kind}: expected a raw_id of {kind}s.parquet, such as {raw_ids[0]!r}, "
                    f"got {raw_id!r}"
                )
        return self.raw_users.index(raw_user), self.raw_items.index(raw_item)

    def _named(self, item: int) -> dict[str, Any]:
        return {"item": item, "raw_item": self.raw_items[item], "title": self.titles[item]}

    def _place(self, scores: Tensor, user: int, item: int) -> int:
        others = torch.ones(len(scores), dtype=torch.bool)
        others[self.pairs.items[self.pairs.users == user]] = False
        others[item] = False
        return int((scores[others] >= scores[item]).sum())

    def _counterfactual(self, vector: Tensor, item: int) -> dict[str, float] | None:
        if self.parts.without is None:
            return None
        value = (self.parts.items[INTER][item].double() @ vector).item()
        without = (self.parts.without[item].double() @ vector).item()
        return {"with": value, "without": without, "removed": without - value}

    def _history(self, user: int, item: int) -> dict[str, Any]:
        """Return the user's items in the order of their contributions."""
        if self.parts.propagation is None:
            return {"own": None, "rest": None, "n_history": None, "history": None}
        items, through, of_user = sources(self.parts.propagation, user, len(self.parts.users))
        target = torch.stack([rows[item] for rows in self.parts.items.values()]).double()
        values = through.double() @ target.T  # (S, parts)
        order = values.sum(1).argsort(descending=True, stable=True)
        largest, others = order[:SOURCES].tolist(), order[SOURCES:]
        return {
            "own": (target @ of_user.double()).sum().item(),
            "rest": values[others].sum().item(),
            "n_history": len(items),
            "history": [
                self._named(int(items[row]))
                | {"value": values[row].sum().item()}
                | {"parts": dict(zip(self.parts.items, values[row].tolist(), strict=True))}
                for row in largest
            ],
        }


def explainer(model: Recommender, processed: Path) -> Explainer | None:
    """Return what explains a trained model; None if its score is not a sum of parts."""
    model_parts = parts(model.cpu())
    return Explainer(model_parts, processed) if model_parts else None


def reason(settings: params.Params, arguments: Arguments, name: str) -> str:
    """Return why a model called `name` has no parts."""
    modalities = settings.model_modalities(arguments.model, arguments.dataset)
    return (NO_SUM if modalities else NO_CONTENT).format(name)


def example_pairs(
    train: pl.DataFrame, test: pl.DataFrame, lists: pl.DataFrame, n: int
) -> Iterator[tuple[int, int, str]]:
    """Yield user, item and kind (held out, recommended) for the `n` users of the report.

    Args:
        train: schema.INTERACTIONS, like test.
        test: the held-out items.
        lists: schema.RECOMMENDATIONS, of these users at least.
        n: how many users the report shows.
    """
    top = lists.filter(pl.col("position") < RECOMMENDED).sort(s.USER, "position")
    targets = dict(test.select(s.USER, s.ITEM).iter_rows())
    for user in chosen_users(train, test, n):
        yield user, targets[user], "held out"
        for item in top.filter(pl.col(s.USER) == user)[s.ITEM]:
            if item != targets[user]:
                yield user, item, "recommended"


def table(
    settings: params.Params,
    arguments: Arguments,
    explains: Explainer | None,
    lists: pl.DataFrame,
    name: str = "",
) -> dict[str, Any]:
    """Return the content of explanations.json.

    Args:
        settings: the file params.yaml.
        arguments: names and folders.
        explains: the model's `explainer`.
        lists: schema.RECOMMENDATIONS of the model, of the report's users at least.
        name: of the model, where that is not the name of its run.
    """
    processed, name = arguments.processed, name or arguments.model
    train = read_parquet(processed / s.TRAIN_FILE, s.INTERACTIONS)
    test = read_parquet(processed / s.TEST_FILE, s.INTERACTIONS)
    pairs = example_pairs(train, test, lists, settings.compare.users)
    return {
        "dataset": arguments.dataset,
        "model": name,
        "architecture": settings.architecture(arguments.model),
        "parts": list(explains.parts.items) if explains else None,
        "why": None if explains else reason(settings, arguments, name),
        "explanations": [explains.explain(u, i) | {"kind": k} for u, i, k in pairs if explains],
    }


def main(argv: list[str] | None = None) -> None:
    """Read, explain, write; or print one explanation."""
    line = model_parser(__doc__)
    line.add_argument("--user", help="raw_id; with --item: print one explanation, write none")
    line.add_argument("--item", help="raw_id")
    args = line.parse_args(argv)
    if (args.user is None) != (args.item is None):
        raise ParamsError("--user and --item: expected both or neither, got one")
    arguments = arguments_of(args)
    settings = params.load().of(arguments.dataset)
    with torch.inference_mode():
        model, _ = restored(settings, arguments, Dataset(arguments.processed))
        explains = explainer(model, arguments.processed)
        if args.user is not None:
            if explains is None:
                raise ParamsError(reason(settings, arguments, arguments.model))
            explanation = explains.explain(*explains.numbers(args.user, args.item))
            print(json.dumps(explanation, indent=2, ensure_ascii=False))
            return
        lists = read_parquet(arguments.results / s.RECOMMENDATIONS_FILE, s.RECOMMENDATIONS)
        content = table(settings, arguments, explains, lists)
    log.info("%s %s: %d", arguments.dataset, arguments.model, len(content["explanations"]))
    write_json(content, arguments.results / file_names.EXPLANATIONS_FILE)


if __name__ == "__main__":
    run(main)
