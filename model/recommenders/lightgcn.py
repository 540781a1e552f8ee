"""LightGCN: linear propagation of ID embeddings over the user-item graph.

He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for
Recommendation", SIGIR 2020, https://arxiv.org/abs/2002.02126.

Shapes: U users, I items, N = U + I, D dimensions, L layers, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import layer_mean, symmetric
from model.losses import bpr, squared_norm
from model.ranking import Scorer, inner_product


class LightGCN(Recommender):
    """Score <e_u, e_i>, where e is the mean of layers 0..L of E^l = D^-1/2 A D^-1/2 E^(l-1).

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: ignored; the model uses no content.
        dim: D.
        layers: L >= 0; 0 is BPRMF.
        l2: lambda, on the scale of `model.losses`, on layer-0 rows.
        generator: for the Xavier initialisation.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        l2: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers, self.l2 = layers, l2
        self.graph = symmetric(interactions)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        for table in (self.users, self.items):
            nn.init.xavier_uniform_(table, generator=generator)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Return user (U, D) and item (I, D) embeddings after propagation."""
        nodes = layer_mean(self.graph, torch.cat([self.users, self.items]), self.layers)
        users, items = nodes.split([len(self.users), len(self.items)])
        return users, items

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - s_uj) + lambda / (2B) of layer-0 rows."""
        users, items = self.embeddings()
        user = users[batch.users]
        positive = (user * items[batch.positives]).sum(1)
        negative = (user * items[batch.negatives]).sum(1)
        penalty = squared_norm(
            self.users[batch.users], self.items[batch.positives], self.items[batch.negatives]
        )
        return bpr(positive, negative) + self.l2 * penalty

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        return inner_product(*self.embeddings())
