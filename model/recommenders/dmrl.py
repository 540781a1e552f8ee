"""DMRL: disentangled factors, and attention over modalities for each pair and factor.

Liu et al., "Disentangled Multimodal Representation Learning for Recommendation", IEEE
Transactions on Multimedia 2023, https://arxiv.org/abs/2203.05406.

The loss is the mean over a batch, not the paper's sum, so that `l2` and `decorrelation` are on
the scale of `model.losses` and all models share one search range of lambda. The common factor
B has no effect on Adam: the released lambda_r = 0.01 and lambda_c = 1, which go with a sum,
correspond to 0.01 / B and 1 / B here.

Shapes: U users, I items, D = dim, K factors of F = D / K dimensions each, T tokens of an item
(its ID and one per modality), B pairs of a batch, C candidates of a user in a batch (the
positive, then n negatives), R rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.losses import bpr, squared_norm
from model.parts.content import FeatureNorm, scale
from model.parts.dropout import drop
from model.ranking import Scorer
from model.sampler import pair_uniform

SLOPE = 0.2  # of the leaky ReLU: TensorFlow's default, which the released code relies on
# While biases are 0, an item without content has norm 0. With the usual 1e-12, its gradient is
# 1e12 times as large as those of others, whose norms are far above 0.01.
EPSILON = 0.01
TILE = 1 << 16  # pairs scored at once, few enough for the processor's cache


class DMRL(Recommender):
    """Score sum over factors k and tokens x of a_kx softplus(<p_u^k, x_i^k>).

    The attention a_k over the tokens is a softmax that depends on the user and the item.

    Args of the constructor:
        interactions: the training pairs; only the numbers of users and items are used.
        features: `{modality: (I, width)}`, fixed; any number of modalities.
        dim: D, a multiple of `factors`.
        feature_norm: `none` (the paper), or another of `model.parts.content.scale`; each row is
            then divided by its norm, as in the paper.
        factors: K.
        negatives: n for each pair; the loss uses the one with the highest score.
        l2: lambda_r, of the batch's rows of users, items and projected features.
        decorrelation: lambda_c, of the distance correlation between factors.
        pairs: the pairs of factors that are decorrelated: `all` (the paper), or the `adjacent`
            ones (the released code, which still divides by the number of all).
        decorrelation_rows: maximum of rows of a batch in the distance matrices; B in the paper.
        dropout: share of the projections' hidden units that are dropped in training.
        hidden: width of the projections' hidden layer, or `{modality: width}`.
        trained: `all` (the paper), or only the ID `tables`, as in the released code, where the
            projections and the attention keep their initial values.
        generator: for the Xavier initialisation and dropout. Biases start at 0.

    Raises:
        ValueError: `factors` does not divide `dim`, or `hidden` lacks a modality.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        feature_norm: FeatureNorm,
        factors: int,
        negatives: int,
        l2: float,
        decorrelation: float,
        pairs: Literal["all", "adjacent"],
        decorrelation_rows: int,
        dropout: float,
        hidden: int | Mapping[str, int],
        trained: Literal["all", "tables"],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if dim % factors:
            raise ValueError(f"expected factors to divide dim, got {factors} and {dim}")
        self.factors, self.negatives, self.l2 = factors, negatives, l2
        self.decorrelation, self.pairs = decorrelation, pairs
        self.decorrelation_rows = decorrelation_rows
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.modalities = list(features)
        self.project = nn.ModuleDict()
        for name, feature in features.items():
            unit = scale(scale(feature, feature_norm), "unit_rows")
            self.register_buffer(f"feature_{name}", unit, False)
            width = _width(hidden, name)
            self.project[name] = Projection(feature.shape[1], width, dim, dropout, generator)
        tokens = 1 + len(features)
        self.attention_in = nn.Linear((1 + tokens) * dim // factors, tokens)  # W_h, b_h
        self.attention_out = nn.Linear(tokens, tokens, bias=False)  # W_o
        self._initialise(trained, generator)

    def _initialise(
        self, trained: Literal["all", "tables"], generator: torch.Generator
    ) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)
            else:
                nn.init.zeros_(parameter)
            parameter.requires_grad_(trained == "all" or name in ("users", "items"))

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield the batches of one pass over the pairs, with n negatives each."""
        return pair_uniform(
            interactions, batch_size, generator, negatives=self.negatives, reject=True
        )

    def tokens(self, rows: Tensor) -> Tensor:
        """Return the ID embedding and the projected features of (R,) items, (R, T, K, F)."""
        content = [
            self.project[name](self.get_buffer(f"feature_{name}")[rows])
            for name in self.modalities
        ]
        return self._split(torch.stack([self.items[rows], *content], dim=1))

    def scores(self, user_BKF: Tensor, item_BCTKF: Tensor) -> Tensor:
        """Return (B, C) scores of each user's candidates, in the form of the paper."""
        user_B11KF = user_BKF[:, None, None]
        joined = torch.cat(
            [user_B11KF.expand(*item_BCTKF.shape[:2], -1, -1, -1), item_BCTKF], dim=2
        )
        unit = F.normalize(joined.transpose(2, 3).flatten(3), dim=-1)  # (B, C, K, (1 + T) F)
        attention = self.attention_out(self.attention_in(unit).tanh()).softmax(-1)
        liking = F.softplus((user_B11KF * item_BCTKF).sum(-1)).transpose(2, 3)
        return (attention * liking).sum((2, 3))

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - max_j s_uj) and both penalties."""
        user_BKF = self._split(self.users[batch.users])
        negatives = batch.negatives.reshape(len(batch.users), -1)
        candidates = torch.cat([batch.positives[:, None], negatives], dim=1)
        # Each item is projected once per batch, so its occurrences share their dropout.
        unique, place_BC = candidates.unique(return_inverse=True)
        tokens = self.tokens(unique)
        item_BCTKF = F.embedding(place_BC, tokens.flatten(1)).unflatten(2, tokens.shape[1:])
        score_BC = self.scores(user_BKF, item_BCTKF)
        ranking = bpr(score_BC[:, 0], score_BC[:, 1:].amax(1))
        return (
            ranking
            + self.l2 * squared_norm(user_BKF, item_BCTKF)
            + self.decorrelation * self._correlation(user_BKF, item_BCTKF[:, 0])
        )

    def scorer(self) -> Scorer:
        """Return the scores of all items, computed in tiles of a few users.

        They equal `scores`. Before the tanh, user and item contribute separate sums that are
        only coupled by the norm, so no pair needs a product of the joined vector's width.
        """
        all_items = torch.arange(len(self.items), device=self.items.device)
        item_KTFI = self.tokens(all_items).permute(2, 1, 3, 0)
        from_item = self.attention_in.weight[:, item_KTFI.shape[2] :]
        hidden_KTI = from_item @ item_KTFI.flatten(1, 2)
        square_KI = item_KTFI.square().sum((1, 2))

        @torch.no_grad()
        def score(rows: Tensor) -> Tensor:
            tiles = rows.split(max(1, TILE // len(all_items)))
            return torch.cat([self._tile(t, item_KTFI, hidden_KTI, square_KI) for t in tiles])

        return score

    def _tile(
        self, rows: Tensor, item_KTFI: Tensor, hidden_KTI: Tensor, square_KI: Tensor
    ) -> Tensor:
        """Return (R, I) scores of (R,) users."""
        from_user_TF = self.attention_in.weight[:, : item_KTFI.shape[2]]
        total_RI = square_KI.new_zeros(len(rows), square_KI.shape[1])
        for k, user_RF in enumerate(self._split(self.users[rows]).unbind(1)):
            square_RI = user_RF.square().sum(1)[:, None] + square_KI[k]
            hidden_TRI = (from_user_TF @ user_RF.T)[:, :, None] + hidden_KTI[k][:, None]
            hidden_TRI.mul_(square_RI.clamp_min_(1e-24).rsqrt_())
            hidden_TRI.add_(self.attention_in.bias[:, None, None]).tanh_()
            logit = (self.attention_out.weight @ hidden_TRI.flatten(1)).view_as(hidden_TRI)
            liking_TRI = _softplus(user_RF @ item_KTFI[k])
            total_RI += logit.softmax(0).mul_(liking_TRI).sum(0)
        return total_RI

    def _split(self, rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (self.factors, -1))

    def _correlation(self, user_BKF: Tensor, positive_BTKF: Tensor) -> Tensor:
        """Return () the distance correlation between factors, summed over users and tokens."""
        if self.factors == 1:
            return user_BKF.new_zeros(())
        rows = slice(self.decorrelation_rows)  # batches are in random order
        tensors = torch.cat([user_BKF[rows, None], positive_BTKF[rows]], dim=1)
        correlation_KK = distance_correlation(tensors.permute(1, 2, 0, 3)).sum(0)
        if self.pairs == "adjacent":
            return correlation_KK.diagonal(1).sum() / (self.factors * (self.factors + 1) / 2)
        return correlation_KK.triu(1).sum() / (self.factors * (self.factors - 1) / 2)


def _width(hidden: int | Mapping[str, int], modality: str) -> int:
    if not isinstance(hidden, Mapping):
        return hidden
    if modality not in hidden:
        raise ValueError(f"expected a width in hidden for {modality}, got {dict(hidden)}")
    return hidden[modality]


class Projection(nn.Module):
    """W_2 rownorm(dropout(LReLU(W_1 x + b_1))) + b_2, from a feature to the factors."""

    def __init__(
        self, width: int, hidden: int, dim: int, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, dim)
        self.dropout, self.generator = dropout, generator

    def forward(self, x_RW: Tensor) -> Tensor:
        """Return the projection of (R, W) unit rows, (R, D)."""
        hidden_RH = F.leaky_relu(self.first(x_RW), SLOPE)
        if self.training:  # its scale has no effect, as a norm follows
            hidden_RH = drop(hidden_RH, self.dropout, self.generator)
        return self.second(F.normalize(hidden_RH, dim=1, eps=EPSILON))


def distance_correlation(x_KRF: Tensor) -> Tensor:
    """Return the distance correlations of K variables, given R samples of each.

    Szekely et al., "Measuring and testing dependence by correlation of distances", Annals of
    Statistics 2007, https://doi.org/10.1214/009053607000000505. The small constants are those
    of the released code.

    Args:
        x_KRF: (..., K, R, F).

    Returns:
        (..., K, K) in [0, 1]; in the limit of many samples 0 only for independent variables.
    """
    square_KR = x_KRF.square().sum(-1)
    square_KRR = square_KR[..., None] + square_KR[..., None, :] - 2 * x_KRF @ x_KRF.mT
    # Inside the root, whose derivative at the diagonal's 0 would be infinite.
    distance_KRR = (square_KRR.clamp_min(0) + 1e-8).sqrt()
    row_mean = distance_KRR.mean(-1, keepdim=True)  # the column mean is its transpose
    centred_KRR = distance_KRR - row_mean - row_mean.mT + row_mean.mean(-2, keepdim=True)
    flat = centred_KRR.flatten(-2)
    covariance_KK = ((flat @ flat.mT / flat.shape[-1]).clamp_min(0) + 1e-8).sqrt()
    variance_K = covariance_KK.diagonal(dim1=-2, dim2=-1)
    scale_KK = (variance_K[..., None] * variance_K[..., None, :]).sqrt()
    return covariance_KK / (scale_KK + 1e-10)


def _softplus(x: Tensor) -> Tensor:
    """Return ln(1 + e^x) to an absolute error of 1e-7, on a CPU 3 times as fast as torch."""
    return x.abs().neg_().exp_().add_(1).log_().add_(x.clamp_min(0))
