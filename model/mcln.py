"""MCLN: multimodal counterfactual learning network.

Li et al., "Multimodal Counterfactual Learning Network for Multimedia-based Recommendation",
SIGIR 2023, https://doi.org/10.1145/3539618.3591739.  Equation numbers are the paper's.

The equations leave gaps (over which axis the softmax of Eq. 12 runs, how a 3d vector is
added to d vectors in Eq. 19, what i* is at inference); each way of filling one is an argument
here and a row in docs/paper.md.

Shapes: U users, I items, D = dim, T tokens (one per modality, plus the ID embedding),
X = T * D (d_x), B triples of a batch, R rows (items) of whatever is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import layer_mean, popularity_aware
from model.losses import bpr, squared_norm
from model.ranking import Scorer, inner_product

Attention = Literal["modality", "batch"]
Difference = Literal["distributions", "logits"]


def attend_modalities(
    q_RX: Tensor, k_RX: Tensor, other_q_RX: Tensor, other_k_RX: Tensor, v_RX: Tensor,
    *, tokens: int, difference: Difference,
) -> Tensor:  # fmt: skip
    """Return Eq. 12-14 with the T modality vectors of one item as the tokens.

    An item's result depends on the item and its i* alone. With one token the softmax is 1
    whatever the input, so the difference is 0.

    Returns:
        (R, X).
    """
    scale = q_RX.shape[1] ** -0.5
    q, k, other_q, other_k, v = (
        x.unflatten(1, (tokens, -1)) for x in (q_RX, k_RX, other_q_RX, other_k_RX, v_RX)
    )
    score_RTT = q @ k.transpose(1, 2) * scale
    other_RTT = other_q @ other_k.transpose(1, 2) * scale
    if difference == "logits":
        weight_RTT = (score_RTT - other_RTT).softmax(-1)
    else:
        weight_RTT = score_RTT.softmax(-1) - other_RTT.softmax(-1)
    return (weight_RTT @ v).flatten(1)


def attend_batch(
    q_RX: Tensor, k_RX: Tensor, other_q_RX: Tensor, other_k_RX: Tensor, v_RX: Tensor,
    *, difference: Difference,
) -> Tensor:  # fmt: skip
    """Return Eq. 12-14 with the softmax over the other rows, as the released code has it.

    The R x R matrix is never stored: (softmax(S) - softmax(S*)) V is two attentions, and
    softmax(S - S*) V is one with queries [Q, -Q*] and keys [K, K*].

    Returns:
        (R, X).
    """
    scale = q_RX.shape[1] ** -0.5

    def attention(query: Tensor, key: Tensor) -> Tensor:
        # A batch and a head of one: the shape that the fast kernels want.
        return F.scaled_dot_product_attention(
            query[None, None], key[None, None], v_RX[None, None], scale=scale
        )[0, 0]

    if difference == "logits":
        return attention(torch.cat([q_RX, -other_q_RX], 1), torch.cat([k_RX, other_k_RX], 1))
    return attention(q_RX, k_RX) - attention(other_q_RX, other_k_RX)


class CounterfactualLayer(nn.Module):
    """One multimodal counterfactual learning layer, Eq. 10-17."""

    def __init__(
        self, tokens: int, dim: int, attention: Attention, difference: Difference
    ) -> None:
        """Make the weights; the inner width of the feed-forward network is 4 X, as released."""
        super().__init__()
        width = tokens * dim
        self.tokens, self.attention, self.difference = tokens, attention, difference
        self.query, self.key, self.value, self.other_query, self.other_key = (
            nn.Linear(width, width, bias=False) for _ in range(5)
        )
        self.first, self.second = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.first.bias)  # their default draws from the global generator
        nn.init.zeros_(self.second.bias)
        self.attention_norm, self.output_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x_RX: Tensor, other_RX: Tensor) -> Tensor:
        """Purify the items' vectors by those of uninteracted items.

        Args:
            x_RX: X_i.
            other_RX: X_i*.

        Returns:
            e_vt, (R, X).
        """
        inputs = (
            self.query(x_RX), self.key(x_RX),  # Eq. 10
            self.other_query(other_RX), self.other_key(other_RX),  # Eq. 11
            self.value(x_RX),
        )  # fmt: skip
        if self.attention == "batch":
            cl_RX = attend_batch(*inputs, difference=self.difference)
        else:
            cl_RX = attend_modalities(*inputs, tokens=self.tokens, difference=self.difference)
        ln_RX = self.attention_norm(cl_RX + x_RX)  # Eq. 15
        ffn_RX = self.second(F.relu(self.first(ln_RX)))  # Eq. 16
        return self.output_norm(ffn_RX + ln_RX)  # Eq. 17


class MCLN(Recommender):
    """Score <e_u, e_i^base> + lambda_m <e_u, e_v + e_t + e_vt>, Eq. 22.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: `{modality: (I, width)}`, fixed; any number of modalities, also none.
        dim: D.
        layers: L of Eq. 4.
        popularity: alpha of Eq. 2-3.
        l2: lambda of Eq. 23-24, on the scale of `model.losses`.
        feature_norm: `none` (the paper), `unit_mean` (divide by the mean row norm) or
            `unit_rows`.
        intra: e_v + e_t in Eq. 19.
        counterfactual: the counterfactual layers, e_vt in Eq. 19.
        identity: the propagated ID embedding as a modality of X (Eq. 6).
        counterfactual_layers: M.
        attention: the axis of the softmax of Eq. 12-13.
        difference: Eq. 14 (`distributions`) or the released code (`logits`).
        inference: what i* is outside training: the item itself (released code), or its image
            under a fixed permutation of the catalogue.
        modality_weight: lambda_m of Eq. 22.
        generator: for the Xavier initialisation and the permutation.

    Without features that enter (neither `intra` nor `counterfactual`) it is the paper's Base.
    """

    permutation: Tensor

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        popularity: float,
        l2: float,
        feature_norm: Literal["none", "unit_mean", "unit_rows"],
        intra: bool,
        counterfactual: bool,
        identity: bool,
        counterfactual_layers: int,
        attention: Attention,
        difference: Difference,
        inference: Literal["self", "permutation"],
        modality_weight: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers, self.l2, self.modality_weight = layers, l2, modality_weight
        self.intra = intra and bool(features)
        self.identity, self.inference = identity, inference
        self.graph = popularity_aware(interactions, popularity)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.modalities = list(features)
        for name, feature in features.items():
            self.register_buffer(f"feature_{name}", _scale(feature, feature_norm), False)
        self.project = nn.ModuleDict(  # W_v, W_t
            {name: nn.Linear(f.shape[1], dim, bias=False) for name, f in features.items()}
        )
        tokens = len(features) + identity
        self.counterfactual = nn.ModuleList(
            CounterfactualLayer(tokens, dim, attention, difference)
            for _ in range(counterfactual_layers if counterfactual and tokens else 0)
        )
        if self.counterfactual:
            # Deviation: Eq. 19 adds a d_x vector to d vectors; the released code projects.
            self.output = nn.Linear(tokens * dim, dim, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)
        order = torch.randperm(interactions.n_items, generator=generator)
        self.register_buffer("permutation", order)

    def base(self) -> tuple[Tensor, Tensor]:
        """Return e^base of users (U, D) and items (I, D), Eq. 2-5."""
        nodes = layer_mean(self.graph, torch.cat([self.users, self.items]), self.layers)
        users, items = nodes.split([len(self.users), len(self.items)])
        return users, items

    def content(self, rows: Tensor) -> list[Tensor]:
        """Return e_v, e_t, ... of (R,) items: one (R, D) for each modality."""
        return [
            self.project[name](self.get_buffer(f"feature_{name}")[rows])
            for name in self.modalities
        ]

    def parts(self, items_base: Tensor, rows: Tensor, others: Tensor) -> list[Tensor]:
        """Return the summands of Eq. 19 for (R,) items, given their i*: (R, D) each."""
        content = self.content(rows)
        parts = content if self.intra else []
        if not self.counterfactual:
            return parts
        x_RX = self._joined(items_base, rows, content)  # Eq. 6
        other_RX = self._joined(items_base, others, self.content(others))
        for layer in self.counterfactual:  # Eq. 18; only the factual stream is updated
            x_RX = layer(x_RX, other_RX)
        return [*parts, self.output(x_RX)]

    def loss(self, batch: Batch) -> Tensor:
        """Return () L_base + L_m, Eq. 23-25."""
        users, items = self.base()
        user = users[batch.users]
        loss = bpr(
            (user * items[batch.positives]).sum(1), (user * items[batch.negatives]).sum(1)
        ) + self.l2 * squared_norm(  # Eq. 23; H_1 is layer 0
            self.users[batch.users], self.items[batch.positives], self.items[batch.negatives]
        )
        positive = self.parts(items, batch.positives, batch.others)
        if not positive:
            return loss
        negative = self.parts(items, batch.negatives, batch.others)
        return loss + bpr(  # Eq. 24
            (user * _sum(positive)).sum(1), (user * _sum(negative)).sum(1)
        ) + self.l2 * squared_norm(*positive, *negative)  # fmt: skip

    def scorer(self) -> Scorer:
        """Return the scores of Eq. 22 for all items, as one matrix product.

        With `attention: batch` the context of an item is the whole catalogue, so that its
        score does not depend on who else is asked for.
        """
        users, items = self.base()
        rows = torch.arange(len(items), device=items.device)
        parts = self.parts(
            items, rows, self.permutation if self.inference == "permutation" else rows
        )
        if parts:
            items = items + self.modality_weight * _sum(parts)
        return inner_product(users, items)

    def _joined(self, items_base: Tensor, rows: Tensor, content: list[Tensor]) -> Tensor:
        return torch.cat([items_base[rows], *content] if self.identity else content, dim=1)


def _sum(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(0)


def _scale(feature: Tensor, norm: str) -> Tensor:
    """Scale (I, W) features; absent items are zero rows and stay so."""
    length = feature.norm(dim=1, keepdim=True)
    if norm == "unit_rows":
        return feature / length.clamp_min(1e-12)
    if norm == "unit_mean" and (length > 0).any():
        return feature / length[length > 0].mean()
    return feature
