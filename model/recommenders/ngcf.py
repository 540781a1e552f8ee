"""NGCF: propagation over the user-item graph with weights, activations and an affinity term.

Wang et al., "Neural Graph Collaborative Filtering", SIGIR 2019,
https://doi.org/10.1145/3331184.3331267.  "Released code" is the authors'
github.com/xiangwang1223/neural_graph_collaborative_filtering.

Shapes: U users, I items, N = U + I nodes (users first), R rows (requested nodes), D
dimensions, L layers, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import row_mean, symmetric
from model.losses import bpr, squared_norm
from model.parts.dropout import drop
from model.ranking import Scorer, inner_product

SLOPE = 0.2  # of the leaky ReLU: TensorFlow's default, which the released code relies on


class NGCF(Recommender):
    """Score <e_u, e_i>, where e concatenates layer 0 and the unit rows of layers 1..L.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: ignored; the model uses no content.
        dim: D of every layer; final embeddings have (L + 1) * D dimensions.
        layers: L >= 0; 0 is BPRMF.
        l2: lambda, on the scale of `model.losses`, on the final rows.
        variant: `paper`, or `official`: the released code, which differs from the equations on
            purpose, according to its authors (their issue 13).
        dropout: share of a layer's elements set to 0 in training, before the next layer.
        generator: for the Xavier initialisation and the dropout of every step. It must be the
            one of training, so that resumed training drops the same elements.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        l2: float,
        variant: Literal["official", "paper"],
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.l2, self.variant, self.dropout, self.generator = l2, variant, dropout, generator
        paper = variant == "paper"
        self.graph = symmetric(interactions) if paper else row_mean(interactions)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.sums, self.affinities = (  # W_1 and W_2 of each layer
            nn.ModuleList(nn.Linear(dim, dim, bias=not paper) for _ in range(layers))
            for _ in range(2)
        )
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.xavier_uniform_(parameter, generator=generator)

    def embeddings(self, rows: Tensor) -> Tensor:
        """Return the final embeddings of (R,) distinct nodes, (R, (L + 1) D)."""
        layer_ND = torch.cat([self.users, self.items])
        parts = [layer_ND[rows]]
        for depth in range(1, len(self.sums) + 1):
            near_ND = self.graph(layer_ND)
            if depth < len(self.sums):
                layer_ND = self._drop(self._transform(depth, layer_ND, near_ND))
                chosen_RD = layer_ND[rows]
            else:  # no node receives from the last layer: only the requested rows are needed
                last_RD = self._transform(depth, layer_ND[rows], near_ND[rows])
                chosen_RD = self._drop(last_RD)
            parts.append(F.normalize(chosen_RD))  # the next layer gets the rows before
        return torch.cat(parts, dim=1)

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - s_uj) + lambda / (2B) of the final rows."""
        n_users = len(self.users)
        nodes = [batch.users, n_users + batch.positives, n_users + batch.negatives]
        # Distinct, so that both occurrences of a node have the same dropout.
        rows, places = torch.cat(nodes).unique(return_inverse=True)
        user, positive, negative = self.embeddings(rows)[places].chunk(3)
        scores = (user * positive).sum(1), (user * negative).sum(1)
        return bpr(*scores) + self.l2 * squared_norm(user, positive, negative)

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        sizes = [len(self.users), len(self.items)]
        nodes = self.embeddings(torch.arange(sum(sizes), device=self.users.device))
        return inner_product(*nodes.split(sizes))

    def _transform(self, depth: int, layer: Tensor, near: Tensor) -> Tensor:
        """Return layer `depth` from rows of the layer below and of its graph product."""
        w1, w2 = self.sums[depth - 1], self.affinities[depth - 1]
        if self.variant == "paper":  # the (L + I) E W_1 + (L E * E) W_2 of its matrix form
            return F.leaky_relu(w1(near + layer) + w2(near * layer), SLOPE)
        return F.leaky_relu(w1(near), SLOPE) + F.leaky_relu(w2(near * layer), SLOPE)

    def _drop(self, rows: Tensor) -> Tensor:
        return drop(rows, self.dropout, self.generator) if self.training else rows
