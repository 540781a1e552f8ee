"""VBPR: BPRMF plus a second factorisation of projected content.

He and McAuley, "VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback",
AAAI 2016, https://arxiv.org/abs/1510.01784.

Shapes: U users, I items, D = dim, C = content_dim, W width of the features of all modalities
together, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model.base import Recommender, without_new
from model.data import Batch, Interactions
from model.losses import bpr, squared_norm
from model.parts.content import FeatureNorm, scale
from model.ranking import Scorer, inner_product


class VBPR(Recommender):
    """Score b_i + <gamma_u, gamma_i> + <theta_u, E v_i> + <beta', v_i>.

    The global offset and the user's bias of the paper are the same for all items of a user:
    they cancel in the BPR loss and do not change a ranking. A new item's score is
    <theta_u, E v_i> + <beta', v_i>: gamma_i and b_i are left out.

    Args of the constructor:
        interactions: the training pairs; of which the sizes and the new items are used.
        features: `{modality: (I, width)}`, fixed, at least one. v_i is their concatenation; in
            the paper it is only the visual one.
        dim: D, of gamma.
        content_dim: C, of theta.
        l2: lambda, on the scale of `model.losses`, of the batch's rows of gamma, theta and b.
        l2_projection: lambda_E of E and beta', which every triple uses; it multiplies half
            their squared norm, not divided by B.
        feature_norm: of each modality, see `model.parts.content.scale`; `none` is the paper.
        generator: for the Xavier initialisation. Biases b start at 0.

    Raises:
        ValueError: there is no modality.
    """

    feature: Tensor
    new_items: Tensor | None
    scores_new_items = True

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        content_dim: int,
        l2: float,
        l2_projection: float,
        feature_norm: FeatureNorm,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if not features:
            raise ValueError("expected at least one modality for VBPR, got none")
        self.l2, self.l2_projection = l2, l2_projection
        feature = torch.cat([scale(f, feature_norm) for f in features.values()], dim=1)
        self.register_buffer("feature", feature, persistent=False)
        self.register_buffer("new_items", interactions.new_items, persistent=False)
        n_users, n_items, width = interactions.n_users, interactions.n_items, feature.shape[1]
        self.users = nn.Parameter(torch.empty(n_users, dim))  # gamma_u
        self.items = nn.Parameter(torch.empty(n_items, dim))  # gamma_i
        self.content_users = nn.Parameter(torch.empty(n_users, content_dim))  # theta_u
        self.projection = nn.Parameter(torch.empty(width, content_dim))  # E, transposed
        self.content_bias = nn.Parameter(torch.empty(width, 1))  # beta'
        self.bias = nn.Parameter(torch.zeros(n_items))  # b
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - s_uj), plus both penalties."""
        user, content_user = self.users[batch.users], self.content_users[batch.users]
        positive, negative = self.items[batch.positives], self.items[batch.negatives]
        biases = self.bias[batch.positives], self.bias[batch.negatives]
        # The projection is linear, so only the difference v_i - v_j is projected.
        feature_BW = self.feature[batch.positives] - self.feature[batch.negatives]
        content_B = (content_user * (feature_BW @ self.projection)).sum(1)
        content_B = content_B + (feature_BW @ self.content_bias).squeeze(1)
        ranking = bpr(
            (user * positive).sum(1) + biases[0] + content_B,
            (user * negative).sum(1) + biases[1],
        )
        rows = squared_norm(user, positive, negative, content_user, *biases)
        shared = self.projection.square().sum() + self.content_bias.square().sum()
        return ranking + self.l2 * rows + self.l2_projection / 2 * shared

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product, with a 1 for the biases."""
        ones = torch.ones_like(self.users[:, :1])
        items = without_new(self.items, self.new_items)
        bias = (
            without_new(self.bias, self.new_items)[:, None] + self.feature @ self.content_bias
        )
        return inner_product(
            torch.cat([self.users, self.content_users, ones], dim=1),
            torch.cat([items, self.feature @ self.projection, bias], dim=1),
        )
