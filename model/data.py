"""The training pairs of users and items, and batches of training triples.

Shapes: U users, I items, P training pairs, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Training triples of one step, and one more uninteracted item for each.

    `positives` are items of the user's training list; `negatives` (j of the BPR loss) and
    `others` (i* of MCLN) are drawn independently from outside it. Each is (B,) int64;
    `negatives` are (B, n) for models with several.
    """

    users: Tensor
    positives: Tensor
    negatives: Tensor
    others: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on `device`."""
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class Interactions:
    """Training pairs, grouped by user, with fast sampling and look-up.

    Pairs may repeat. A repeated pair is drawn more often as a positive, but counts once in the
    graph and in `contains`.

    With `cold_items`, items without a pair are new: nothing is known about who likes them. They
    are not drawn as negatives, which would teach a model that nobody does.
    """

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        *,
        n_users: int,
        n_items: int,
        cold_items: bool = False,
    ) -> None:
        """Group the pairs.

        Args:
            users: (P,) int64 in [0, U).
            items: (P,) int64 in [0, I).
            n_users: U.
            n_items: I.
            cold_items: whether items without a pair are new.

        Raises:
            ValueError: there are no pairs, an id is out of range, or a user has every item that
                may be drawn, so that no negative can be.
        """
        if not len(users):
            raise ValueError("expected at least one training pair, got none")
        if (
            users.min() < 0
            or users.max() >= n_users
            or items.min() < 0
            or items.max() >= n_items
        ):
            raise ValueError(
                f"expected users in [0, {n_users}) and items in [0, {n_items}), got up to "
                f"{int(users.max())} and {int(items.max())}"
            )
        order = users.argsort(stable=True)
        self.n_users, self.n_items = n_users, n_items
        self.users, self.items = users[order], items[order]
        self.counts = torch.bincount(users, minlength=n_users)  # (U,) with repeats
        self.starts = self.counts.cumsum(0) - self.counts
        self.active_users = self.counts.nonzero().squeeze(1)  # users with a training pair
        self.keys = torch.unique(self.users * n_items + self.items)  # (<= P,) sorted
        degree = torch.bincount(self.keys // n_items, minlength=n_users)
        # (J,) items that may be drawn, None for all.
        self._drawn = torch.unique(items) if cold_items else None
        n_drawn = n_items if self._drawn is None else len(self._drawn)
        if degree.max() >= n_drawn:
            raise ValueError(
                f"user {int(degree.argmax())} interacted with all {n_drawn} items: "
                "no negative can be drawn"
            )

    def __len__(self) -> int:
        """Number of pairs P, repeats counted."""
        return len(self.users)

    @cached_property
    def unique_pairs(self) -> tuple[Tensor, Tensor]:
        """Users and items of the distinct pairs, each (<= P,) int64, sorted by both."""
        return self.keys // self.n_items, self.keys % self.n_items

    @cached_property
    def new_items(self) -> Tensor | None:
        """New items, (I,) bool; None without `cold_items`."""
        if self._drawn is None:
            return None
        new = torch.ones(self.n_items, dtype=torch.bool)
        new[self._drawn] = False
        return new

    def draw_items(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw items uniformly, new ones apart; int64 of this shape."""
        if self._drawn is None:
            return torch.randint(self.n_items, shape, generator=generator)
        return self._drawn[torch.randint(len(self._drawn), shape, generator=generator)]

    def known_for(self, items: Tensor) -> Tensor:
        """Return int64 items with a known one in the place of each new one."""
        if self.new_items is None or self._drawn is None:
            return items
        others = self._drawn[items % len(self._drawn)]
        return torch.where(self.new_items[items], others, items)

    def contains(self, users: Tensor, items: Tensor) -> Tensor:
        """Return whether each pair is a training pair.

        Args:
            users: int64, any shape.
            items: int64, the same shape.

        Returns:
            bool, the same shape.
        """
        keys = users * self.n_items + items
        place = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        return self.keys[place] == keys
