"""BM3: two views of IDs and content that predict each other, without negatives.

Zhou et al., "Bootstrap Latent Representations for Multi-modal Recommendation", WWW 2023,
https://arxiv.org/abs/2207.05969.

Shapes: U users, I items, N = U + I nodes (users first), D dimensions, W width of a modality's
features, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import layer_mean, symmetric
from model.losses import squared_norm
from model.parts.dropout import drop
from model.ranking import Scorer, inner_product


class BM3(Recommender):
    """Score <f(e_u), f(e_i + E_i)>: e is LightGCN's, E its layer 0, f a linear predictor.

    The paper has two modalities; here each has its projection and its terms of the loss.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: `{modality: (I, W)}`, fixed; without any the alignment is left out.
        dim: D.
        layers: L >= 0.
        dropout: share of a target's numbers that are set to 0.
        alignment_weight: of the losses of the modalities.
        l2: lambda, on the scale of `model.losses`, on the rows of e_u and e_i + E_i.
        generator: for the Xavier initialisation and the dropout.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        dropout: float,
        alignment_weight: float,
        l2: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers, self.dropout, self.l2 = layers, dropout, l2
        self.alignment_weight, self.generator = alignment_weight, generator
        self.graph = symmetric(interactions)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.predictor = nn.Linear(dim, dim)
        self.projections = nn.ModuleDict()
        for name, feature in features.items() if alignment_weight else ():
            self.register_buffer(f"feature_{name}", feature, persistent=False)
            self.projections[name] = nn.Linear(feature.shape[1], dim)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)
            else:
                nn.init.zeros_(parameter)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Return user (U, D) and item (I, D) embeddings; items have layer 0 added."""
        nodes = layer_mean(self.graph, torch.cat([self.users, self.items]), self.layers)
        users, items = nodes.split([len(self.users), len(self.items)])
        return users, items + self.items

    def loss(self, batch: Batch) -> Tensor:
        """Return () the losses of the graph and of the modalities, and the penalty.

        A loss is 1 - cos(f(x), target), where the target is a vector with dropout that gets no
        gradient. Targets are: of a user the item, and of an item the user; of projected
        features the item, and themselves.
        """
        users, items = self.embeddings()
        user, item = users[batch.users], items[batch.positives]
        user_target, item_target = self._target(user), self._target(item)
        loss = self._distance(user, item_target) + self._distance(item, user_target)
        loss = loss + self.l2 * squared_norm(user, item)
        for name, projection in self.projections.items():
            content = projection(getattr(self, f"feature_{name}")[batch.positives])
            to_item = self._distance(content, item_target)
            to_itself = self._distance(content, self._target(content))
            loss = loss + self.alignment_weight * (to_item + to_itself)
        return loss

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        users, items = self.embeddings()
        return inner_product(self.predictor(users), self.predictor(items))

    def _target(self, rows: Tensor) -> Tensor:
        return drop(rows.detach(), self.dropout if self.training else 0.0, self.generator)

    def _distance(self, rows: Tensor, target: Tensor) -> Tensor:
        """Return () the mean of 1 - cos(f(row), target) over (B, D) rows."""
        return 1 - F.cosine_similarity(self.predictor(rows), target, dim=1).mean()
