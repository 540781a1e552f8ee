"""UltraGCN over content: the backbone of InvRL.

Mao et al., "UltraGCN: Ultra Simplification of Graph Convolutional Networks for
Recommendation", CIKM 2021, https://arxiv.org/abs/2110.15114. This is the variant in the code
released with InvRL (see model/recommenders/invrl.py): it appends projected content to the
item's ID, and omits the paper's item-item loss and its factor on the negatives.

Shapes: U users, I items, D = dim, W width of the features of all modalities together,
B pairs of a batch, K = 1 + n scored items of a pair, the positive first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.parts.content import scale
from model.parts.sampled import sampled_scores
from model.ranking import Scorer, inner_product
from model.sampler import pair_uniform

LossName = Literal["bce", "bpr"]


class Objective(nn.Module):
    """Loss of a pair and its n negatives, and its derivative in the scores.

    `bce` is w+ softplus(-s_ui) + mean_j w- softplus(s_uj) with w+ = w1 + w2 beta_ui,
    w- = w3 + w4 beta_uj and beta_uk = sqrt((deg_u + 1) / (deg_k + 1)) / deg_u. `bpr` is
    mean_j softplus(s_uj - s_ui), without weights.
    """

    of_user: Tensor
    of_item: Tensor

    def __init__(
        self, interactions: Interactions, kind: LossName, weights: Sequence[float]
    ) -> None:
        """Compute beta as a product of a user's and an item's factor.

        Args:
            interactions: the training pairs; repeats count once in a degree.
            kind: `bce` or `bpr`.
            weights: w1..w4.
        """
        super().__init__()
        self.kind, self.weights = kind, weights
        users, items = interactions.unique_pairs
        degree_U = torch.bincount(users, minlength=interactions.n_users).float()
        degree_I = torch.bincount(items, minlength=interactions.n_items).float()
        of_user = (degree_U + 1).sqrt() / degree_U.clamp_min(1)
        self.register_buffer("of_user", of_user, persistent=False)
        self.register_buffer("of_item", (degree_I + 1).rsqrt(), persistent=False)

    def forward(self, scores: Tensor, users: Tensor, index: Tensor) -> Tensor:
        """Return (B,) losses.

        Args:
            scores: (B, K).
            users: (B,) int64.
            index: (B, K) int64, the scored items.
        """
        if self.kind == "bpr":
            return F.softplus(scores[:, 1:] - scores[:, :1]).mean(1)
        return (self._weights(users, index) * F.softplus(_signed(scores))).sum(1)

    def slopes(self, scores: Tensor, users: Tensor, index: Tensor) -> Tensor:
        """Return (B, K) derivatives of the losses in the scores, differentiable again."""
        if self.kind == "bpr":
            negative = (scores[:, 1:] - scores[:, :1]).sigmoid() / (scores.shape[1] - 1)
            return torch.cat([-negative.sum(1, keepdim=True), negative], dim=1)
        return self._weights(users, index) * _signed(_signed(scores).sigmoid())

    def _weights(self, users: Tensor, index: Tensor) -> Tensor:
        """Return (B, K) w+ and w- / n."""
        w1, w2, w3, w4 = self.weights
        beta = self.of_user[users][:, None] * self.of_item[index]
        negative = (w3 + w4 * beta[:, 1:]) / (index.shape[1] - 1)
        return torch.cat([w1 + w2 * beta[:, :1], negative], dim=1)


def _signed(scores: Tensor) -> Tensor:
    """Negate the positives: softplus of the result is the cross-entropy."""
    return torch.cat([-scores[:, :1], scores[:, 1:]], dim=1)


def pair_items(batch: Batch) -> Tensor:
    """Return (B, K) the items that are scored for each pair, the positive first."""
    negatives = batch.negatives.reshape(len(batch.users), -1)  # (B,) or (B, n)
    return torch.cat([batch.positives[:, None], negatives], dim=1)


class UltraGCN(Recommender):
    """Score <u, [v_i | A f_i + b]>, with f_i the concatenated unit rows of all modalities.

    Args of the constructor:
        interactions: the training pairs; their degrees weight the loss.
        features: `{modality: (I, width)}`, fixed, at least one.
        dim: D, of the item's ID and of its projected content; a user has 2 D numbers.
        negatives: n for each pair, from all items including the user's (released code).
        loss: `bce` (the paper) or `bpr`, a control.
        weights: w1..w4 of the loss, see `Objective`.
        l2: of the whole tables in each step; not on the scale of `model.losses`, as the loss
            is a sum over the batch.
        kappa: factor of l2 on the item table.
        l2_projection: of A and b.
        init: `xavier` (MCLN's comparison) or `normal`, N(0, 0.01^2) (the released code).
        generator: for the initialisation.

    Raises:
        ValueError: there is no modality.
    """

    content: Tensor

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        negatives: int,
        loss: LossName,
        weights: Sequence[float],
        l2: float,
        kappa: float,
        l2_projection: float,
        init: Literal["xavier", "normal"],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if not features:
            raise ValueError("expected at least one modality for InvRL, got none")
        self.negatives, self.l2, self.kappa = negatives, l2, kappa
        self.l2_projection = l2_projection
        self.objective = Objective(interactions, loss, weights)
        content = torch.cat([scale(f, "unit_rows") for f in features.values()], dim=1)
        self.register_buffer("content", content, persistent=False)
        self.users = nn.Parameter(torch.empty(interactions.n_users, 2 * dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.projection = nn.Parameter(torch.empty(dim, content.shape[1]))  # A
        self.bias = nn.Parameter(torch.zeros(dim))
        for parameter in (self.users, self.items, self.projection):
            if init == "xavier":
                nn.init.xavier_uniform_(parameter, generator=generator)
            else:
                nn.init.normal_(parameter, std=0.01, generator=generator)

    def masked_projection(self) -> Tensor:
        """Return (D, W) the matrix that multiplies content; here A."""
        return self.projection

    def item_embeddings(self) -> Tensor:
        """Return (I, 2 D), the ID followed by the projected content."""
        content = F.linear(self.content, self.masked_projection(), self.bias)
        return torch.cat([self.items, content], dim=1)

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield the batches of one pass over the shuffled pairs."""
        return pair_uniform(
            interactions, batch_size, generator, negatives=self.negatives, reject=False
        )

    def loss(self, batch: Batch) -> Tensor:
        """Return () the sum over the batch, plus both penalties."""
        index = pair_items(batch)
        users = F.embedding(batch.users, self.users)
        scores = sampled_scores(users, self.item_embeddings(), index)
        tables = self.users.square().sum() + self.kappa * self.items.square().sum()
        projection = self.projection.square().sum() + self.bias.square().sum()
        penalty = self.l2 * tables + self.l2_projection * projection
        return self.objective(scores, batch.users, index).sum() + penalty

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        return inner_product(self.users, self.item_embeddings())
