"""Popularity: all users get the items with which most users interacted.

A baseline that personalised rankings must exceed, as in Cremonesi et al.,
"Performance of Recommender Algorithms on Top-N Recommendation Tasks", RecSys 2010,
https://doi.org/10.1145/1864708.1864721.

Shapes: I items, B users of a block.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from model.base import Recommender
from model.data import Interactions
from model.ranking import Scorer


class Popularity(Recommender):
    """Score: the number of distinct users who interacted with the item in training.

    Args of the constructor:
        interactions: the training pairs; repeats count once.
        features: ignored; the model uses no content.
        generator: ignored; nothing is drawn.
    """

    counts: Tensor

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        _, items = interactions.unique_pairs
        counts = torch.bincount(items, minlength=interactions.n_items).float()
        self.register_buffer("counts", counts, persistent=False)

    def scorer(self) -> Scorer:
        """Return a function that gives each of (B,) users the same (B, I) scores."""

        def score(users: Tensor) -> Tensor:
            # A copy for each user, because ranking changes the scores in place.
            return self.counts.repeat(len(users), 1)

        return score
