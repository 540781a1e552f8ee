"""ItemKNN: an item's score is its similarity to the items that the user interacted with.

Deshpande and Karypis, "Item-based Top-N Recommendation Algorithms", ACM Transactions on
Information Systems 2004, https://doi.org/10.1145/963770.963776.  The shrunk cosine, and
content as the similarity or as a part of it, follow Ferrari Dacrema et al., "Are We Really
Making Much Progress?", RecSys 2019, https://arxiv.org/abs/1907.06902.

Shapes: U users, I items, K neighbours of an item (twice as many with new items), B rows of a
block (users, or items), P training pairs of a block's users, W width of an item's content.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from model.base import Recommender
from model.data import Interactions
from model.parts.histories import Histories
from model.parts.item_graph import Similarity, content, cooccurrence, nearest
from model.ranking import Scorer

# Neighbours added to scores at once; a number, an index and an address for each.
CELLS = 1 << 20


class ItemKNN(Recommender):
    """Score: sum of sim(j, i) over items j of the user that have i among their K nearest.

    A new item is similar by content alone. It would seldom be among the nearest of an item that
    has similar users too, so the K nearest new items of each are taken apart, beside its K
    nearest of the others.

    Args of the constructor:
        interactions: the training pairs; repeats count once.
        features: `{modality: (I, width)}`; unused if `similarity` is `cooccurrence`.
        similarity: `cooccurrence` (shrunk cosine of the sets of users), `content` (cosine of
            the features) or `both` (the first plus `content_weight` times the second; without
            features only the first).
        neighbours: K, or fewer where fewer items are similar.
        shrinkage: added to the denominator of the co-occurrence cosine, so that one common user
            does not make items with few users similar.
        content_weight: weight of the content in `both`.
        generator: ignored; nothing is drawn.

    Raises:
        ValueError: `content` without features.
    """

    nearest: Tensor
    weights: Tensor
    scores_new_items = True

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        similarity: Literal["cooccurrence", "content", "both"],
        neighbours: int,
        shrinkage: float,
        content_weight: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.n_items = interactions.n_items
        if similarity == "content" and not features:
            raise ValueError("expected features for similarity 'content', got none")
        parts: list[tuple[float, Similarity]] = []
        if similarity != "content":
            parts.append((1.0, cooccurrence(interactions, shrinkage)))
        if similarity != "cooccurrence" and features:
            parts.append((content_weight if parts else 1.0, content(features)))
        self.scores_new_items = similarity != "cooccurrence" and bool(features)
        # K nearest of the items of each group.
        new = interactions.new_items
        kept = [
            nearest(
                partial(_total, parts, among=group),
                self.n_items,
                neighbours,
                interactions.n_users,
            )
            for group in ([None] if new is None else [~new, new])
        ]
        self.histories = Histories(interactions)
        self.register_buffer("nearest", torch.cat([k.items for k in kept], 1), False)
        self.register_buffer("weights", torch.cat([k.similarity for k in kept], 1), False)

    def scorer(self) -> Scorer:
        """Return the scores of all items, by summing over neighbours."""

        def score(users: Tensor) -> Tensor:
            place_P, item_P = self.histories(users)
            scores = self.weights.new_zeros(len(users) * self.n_items)
            pairs = max(1, CELLS // self.nearest.shape[1])
            for place, item in zip(place_P.split(pairs), item_P.split(pairs), strict=True):
                cells_PK = place[:, None] * self.n_items + self.nearest[item]
                scores.scatter_add_(0, cells_PK.flatten(), self.weights[item].flatten())
            return scores.view(len(users), self.n_items)

        return score


def _total(
    parts: list[tuple[float, Similarity]], block: Tensor, among: Tensor | None = None
) -> Tensor:
    """Return the weighted sum of similarities of (B,) items, (B, I); 0 outside `among`."""
    first, *others = parts
    total = first[1](block).mul_(first[0])
    for weight, similarity in others:
        total.add_(similarity(block), alpha=weight)
    return total if among is None else total.mul_(among)
