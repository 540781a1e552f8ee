r"""Stage `explain`: take scores of one model apart, for the report's users or for one pair.

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
  sum to the score. share is |value| over the sum of the |values|. above_mean is the value less
  its mean over the catalogue: what sets this item apart for this user; it sums to the score
  less mean_score.
- counterfactual: the value of `inter` with the layers as they are, what it would be with the
  same weights if they subtracted nothing, and how much the subtraction took away.
- history: of the user's n_history items those through which most of the score came, most
  first; their values, `own` (the user's own embedding) and `rest` (the other items) sum to the
  score. See model/parts/explanation.py. Null where the user's items are no part of the score.

`parts` is null for a model whose score is no sum of such parts; `why` says so.

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
from model.data import Interactions
from model.parts.explanation import INTER, Parts, parts, sources
from pipeline import params
from pipeline.comparison import report
from pipeline.job.command_line import run
from pipeline.job.errors import ParamsError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments, arguments_of, model_parser
from pipeline.learning.dataset import Dataset
from pipeline.pages.files import EXPLANATIONS_FILE
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_json

RECOMMENDED, SOURCES = 3, 5  # items of a user's list that are explained; items of the history
NO_CONTENT = "{} reads no content: the whole of a score is from who took what."
NO_SUM = (
    "{} is not taken apart: its score is no inner product with a sum of an ID part and content "
    "parts, or what its parts are is not written down in model/parts/explanation.py."
)
log = logging.getLogger("explain")


class Explainer:
    """A trained model's parts, and the names of what they are about."""

    def __init__(
        self, found: Parts, known: Interactions, items: pl.DataFrame, users: pl.DataFrame
    ) -> None:
        """Keep them.

        Args:
            found: the model's parts.
            known: pairs of train and validation.
            items: schema.ITEMS.
            users: schema.USERS.
        """
        self.parts, self.known = found, known
        self.raw_items = items.sort(s.ITEM)[s.RAW_ID].to_list()
        self.raw_users = users.sort(s.USER)[s.RAW_ID].to_list()
        self.titles = report.labels(items, items[s.ITEM].to_list())

    def explain(self, user: int, item: int) -> dict[str, Any]:
        """Return one of the explanations, less `kind`."""
        vector = self.parts.users[user].double()
        scores = {name: rows.double() @ vector for name, rows in self.parts.items.items()}
        total = torch.stack(list(scores.values())).sum(0)
        size = sum(abs(values[item].item()) for values in scores.values())
        named = {"user": user, "raw_user": self.raw_users[user], **self._named(item)}
        return named | {
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
        known = {"user": (self.raw_users, raw_user), "item": (self.raw_items, raw_item)}
        for what, (names, wanted) in known.items():
            if wanted not in names:
                raise ParamsError(
                    f"--{what}: expected a raw_id of {what}s.parquet, such as {names[0]!r}, "
                    f"got {wanted!r}"
                )
        return self.raw_users.index(raw_user), self.raw_items.index(raw_item)

    def _named(self, item: int) -> dict[str, Any]:
        return {"item": item, "raw_item": self.raw_items[item], "title": self.titles[item]}

    def _place(self, scores: Tensor, user: int, item: int) -> int:
        others = torch.ones(len(scores), dtype=torch.bool)
        others[self.known.items[self.known.users == user]] = False
        others[item] = False
        return int((scores[others] >= scores[item]).sum())

    def _counterfactual(self, vector: Tensor, item: int) -> dict[str, float] | None:
        if self.parts.without is None:
            return None
        with_, without = (
            (rows[item].double() @ vector).item()
            for rows in (self.parts.items[INTER], self.parts.without)
        )
        return {"with": with_, "without": without, "removed": without - with_}

    def _history(self, user: int, item: int) -> dict[str, Any]:
        """Return the user's items in the order of what came through them."""
        if self.parts.propagation is None:
            return {"own": None, "rest": None, "n_history": None, "history": None}
        items, through, own = sources(
            self.parts.propagation, user, n_users=len(self.parts.users)
        )
        target = torch.stack([rows[item] for rows in self.parts.items.values()]).double()
        values = through.double() @ target.T  # (S, parts)
        order = values.sum(1).argsort(descending=True, stable=True)
        first, others = order[:SOURCES].tolist(), order[SOURCES:]
        return {
            "own": (target @ own.double()).sum().item(),
            "rest": values[others].sum().item(),
            "n_history": len(items),
            "history": [
                self._named(int(items[place]))
                | {"value": values[place].sum().item()}
                | {"parts": dict(zip(self.parts.items, values[place].tolist(), strict=True))}
                for place in first
            ],
        }


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
    for user in report.chosen_users(train, test, n):
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
    write_json(found, arguments.results / EXPLANATIONS_FILE)


if __name__ == "__main__":
    run(main)
