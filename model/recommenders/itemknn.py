"""ItemKNN: an item's score is its similarity to the items that the user interacted with.

Deshpande and Karypis, "Item-based Top-N Recommendation Algorithms", ACM Transactions on
Information Systems 2004, https://doi.org/10.1145/963770.963776.  The shrunk cosine, and
content as the similarity or as a part of it, follow Ferrari Dacrema et al., "Are We Really
Making Much Progress?", RecSys 2019, https://arxiv.org/abs/1907.06902.

Shapes: U users, I items, K neighbours of an item, B rows of a block (users, or items), P
training pairs of a block's users, W width of an item's content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from model.base import Recommender
from model.data import Interactions
from model.graph import Graph
from model.ranking import BLOCK, Scorer

# From (B,) consecutive items to their (B, I) similarities to all items.
Similarity: TypeAlias = Callable[[Tensor], Tensor]


class ItemKNN(Recommender):
    """Score: sum of sim(j, i) over items j of the user that have i among their K nearest.

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
    items: Tensor
    starts: Tensor

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
        rows = max(1, BLOCK // max(interactions.n_users, self.n_items))
        blocks = [
            _nearest(_total(parts, block), block, neighbours)
            for block in torch.arange(self.n_items).split(rows)
        ]
        users, items = interactions.unique_pairs
        sizes = torch.bincount(users, minlength=interactions.n_users)
        buffers = {
            "nearest": torch.cat([nearest for nearest, _ in blocks]),  # (I, K)
            "weights": torch.cat([weights for _, weights in blocks]),  # (I, K)
            "items": items,  # of all users, user by user
            "starts": F.pad(sizes.cumsum(0), (1, 0)),  # (U + 1,)
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    def scorer(self) -> Scorer:
        """Return the scores of all items, by summing over neighbours."""

        def score(users: Tensor) -> Tensor:
            place_P, item_P = self._history(users.to(self.items.device))
            scores = self.weights.new_zeros(len(users) * self.n_items)
            cells_PK = place_P[:, None] * self.n_items + self.nearest[item_P]
            scores.scatter_add_(0, cells_PK.flatten(), self.weights[item_P].flatten())
            return scores.view(len(users), self.n_items)

        return score

    def _history(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the items of (B,) users as (P,) places in `users` and (P,) items."""
        starts, sizes = self.starts[users], self.starts[users + 1] - self.starts[users]
        place_P = torch.arange(len(users), device=users.device).repeat_interleave(sizes)
        first_P = (sizes.cumsum(0) - sizes)[place_P]  # place of the user's first item
        within_P = torch.arange(len(place_P), device=users.device) - first_P
        return place_P, self.items[starts[place_P] + within_P]


def cooccurrence(interactions: Interactions, shrinkage: float) -> Similarity:
    """Return n_ij / (sqrt(n_i n_j) + shrinkage), with n the numbers of users in common.

    Args:
        interactions: the training pairs; repeats count once.
        shrinkage: at least 0.
    """
    users, items = interactions.unique_pairs
    shape = (interactions.n_items, interactions.n_users)
    matrix = Graph(items, users, torch.ones(len(items)), shape).matrix
    counts = torch.bincount(items, minlength=interactions.n_items).float()

    def similarity(block: Tensor) -> Tensor:
        inside = (items >= block[0]) & (items <= block[-1])
        columns = torch.zeros(interactions.n_users, len(block))
        columns[users[inside], items[inside] - block[0]] = 1.0
        norm = (counts[block, None] * counts).sqrt() + shrinkage
        return (matrix @ columns).T / norm.clamp_min(1.0)  # below 1 only where n_ij is 0

    return similarity


def content(features: Mapping[str, Tensor]) -> Similarity:
    """Return the cosine of the concatenated unit rows of all modalities.

    For two items that have all modalities it is the mean of their cosines. An item without
    content has similarity 0 to all.

    Args:
        features: `{modality: (I, width)}`, not empty.
    """
    unit_IW = F.normalize(torch.cat([F.normalize(f) for f in features.values()], dim=1))
    return lambda block: unit_IW[block] @ unit_IW.T


def _total(parts: list[tuple[float, Similarity]], block: Tensor) -> Tensor:
    """Return the weighted sum of similarities of (B,) items, (B, I)."""
    return torch.stack([weight * part(block) for weight, part in parts]).sum(0)


def _nearest(similarity: Tensor, block: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k nearest of (B,) items by (B, I) similarity: items and weights, (B, K).

    An item is not its own neighbour, and items that are not similar have weight 0.
    """
    similarity[torch.arange(len(block)), block] = 0.0
    best = similarity.topk(min(k, similarity.shape[1]), dim=1)
    return best.indices, best.values.clamp_min(0.0)
