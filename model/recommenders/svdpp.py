"""SVD++: matrix factorisation in which a user's vector includes the user's items.

Koren, "Factorization Meets the Neighborhood: a Multifaceted Collaborative Filtering Model",
KDD 2008, https://doi.org/10.1145/1401890.1401944.  It predicts ratings; here its score is
learned under the BPR loss, in which the overall mean and the user's bias cancel.

Shapes: U users, I items, D dimensions, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import histories
from model.losses import bpr, squared_norm
from model.ranking import Scorer, inner_product


class SVDPP(Recommender):
    """Score b_i + <q_i, x_u> with x_u = p_u + |N(u)|^-1/2 sum of y_j over j in N(u).

    Args of the constructor:
        interactions: the training pairs, whose distinct items are N(u).
        features: ignored; the model uses no content.
        dim: D.
        l2: lambda, on the scale of `model.losses`, on the rows p, q and b of a batch and on
            the mean of ||y_j||^2 over each user's N(u).
        exclude_target: whether to exclude the positive item i from N(u) in training. Otherwise
            <q_i, y_i> is part of the score of every training pair, but of no held-out pair.
        generator: for the Xavier initialisation.
    """

    sizes: Tensor

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        l2: float,
        exclude_target: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.l2, self.exclude_target = l2, exclude_target
        self.history = histories(interactions)
        users, _ = interactions.unique_pairs
        sizes = torch.bincount(users, minlength=interactions.n_users)  # |N(u)|
        self.register_buffer("sizes", sizes, persistent=False)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.implicit = nn.Parameter(torch.empty(interactions.n_items, dim))  # y_j
        for table in (self.users, self.items, self.implicit):
            nn.init.xavier_uniform_(table, generator=generator)
        self.bias = nn.Parameter(torch.zeros(interactions.n_items))

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - s_uj) + lambda / (2B) of the batch's rows."""
        user, history = self.users[batch.users], self.history(self.implicit)[batch.users]
        item_i, item_j = self.items[batch.positives], self.items[batch.negatives]
        bias_i, bias_j = self.bias[batch.positives], self.bias[batch.negatives]
        others = self._without(batch, history) if self.exclude_target else history
        positive = ((user + others) * item_i).sum(1) + bias_i
        negative = ((user + history) * item_j).sum(1) + bias_j
        penalty = squared_norm(user, item_i, item_j, bias_i, bias_j)
        penalty = penalty + self._mean_squares(batch.users).mean() / 2
        return bpr(positive, negative) + self.l2 * penalty

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product, the bias as a column."""
        users = self.users + self.history(self.implicit)
        ones = torch.ones_like(users[:, :1])
        items = torch.cat([self.items, self.bias[:, None]], dim=1)
        return inner_product(torch.cat([users, ones], dim=1), items)

    def _without(self, batch: Batch, history: Tensor) -> Tensor:
        """Return (|N(u)| - 1)^-1/2 (sum of y_j - y_i), (B, D); 0 for a history of i alone."""
        size = self.sizes[batch.users][:, None]
        total = history * size.sqrt() - self.implicit[batch.positives]
        return total / (size - 1).clamp_min(1).sqrt()

    def _mean_squares(self, users: Tensor) -> Tensor:
        """Return the mean of ||y_j||^2 over N(u) for (B,) users with a training pair, (B,)."""
        scaled = self.history(self.implicit.square().sum(1, keepdim=True)).squeeze(1)
        return scaled[users] * self.sizes[users] ** -0.5
