"""Take the score of one user and item apart; see explain for what the numbers are."""

from __future__ import annotations

from typing import Any

import polars as pl
import torch
from model.parts.explanation import INTER, Parts, sources
from torch import Tensor

from model.data import Interactions
from pipeline.job.errors import ParamsError
from pipeline.pages import gallery
from pipeline.tables import schema as s

SOURCES = 5  # items of the history


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
        self.titles = gallery.labels(items, items[s.ITEM].to_list())

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
