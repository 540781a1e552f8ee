"""BPRMF: matrix factorisation under the BPR loss.

Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009,
https://arxiv.org/abs/1205.2618.

Shapes: U users, I items, D dimensions, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.losses import bpr, squared_norm
from model.ranking import Scorer, inner_product


class BPRMF(Recommender):
    """Score s_ui = <p_u, q_i>.

    Args of the constructor:
        interactions: the training pairs; only the numbers of users and items are used.
        features: ignored; the model uses no content.
        dim: D.
        l2: lambda, on the scale of `model.losses`.
        generator: for the Xavier initialisation.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        l2: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.l2 = l2
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        for table in (self.users, self.items):
            nn.init.xavier_uniform_(table, generator=generator)

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - s_uj) + lambda / (2B) of the batch's rows."""
        user = self.users[batch.users]
        positive, negative = self.items[batch.positives], self.items[batch.negatives]
        scores = (user * positive).sum(1), (user * negative).sum(1)
        return bpr(*scores) + self.l2 * squared_norm(user, positive, negative)

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        return inner_product(self.users, self.items)
