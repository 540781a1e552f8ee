"""EASE: a linear model of items from items, in closed form, with content as further users.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019,
https://arxiv.org/abs/1905.03375; the equations are in model/parts/linear_items.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from model.base import Recommender
from model.data import Interactions
from model.parts.item_graph import content
from model.parts.linear_items import LinearItems
from model.ranking import Scorer


class EASE(Recommender):
    """Score row u of X B; see `LinearItems`. A new item's column of B is of its content alone.

    Args of the constructor:
        interactions: the training pairs.
        features: `{modality: (I, width)}`; unused if `content_weight` is 0.
        l2: lambda > 0, in users.
        content_weight: of the cosine of the features' joined unit rows; see `LinearItems`.
        generator: ignored; nothing is drawn.

    Raises:
        ValueError: a `content_weight` without features; or see `LinearItems`.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        l2: float,
        content_weight: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if content_weight and not features:
            raise ValueError(
                "expected features for a content_weight above 0, got none; name some in "
                "modalities, or set content_weight to 0"
            )
        self.scores_new_items = content_weight > 0
        parts = [(content_weight, content(features))] if content_weight else []
        self.linear = LinearItems(interactions, l2=l2, content=parts, instead="take itemknn")

    def scorer(self) -> Scorer:
        """Return the scores of all items."""
        return self.linear
