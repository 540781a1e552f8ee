"""The multimodal counterfactual learning layer of MCLN, Eq. 10-17.

Li et al., "Multimodal Counterfactual Learning Network for Multimedia-based Recommendation",
SIGIR 2023, https://doi.org/10.1145/3539618.3591739.  Equation numbers are the paper's.

The paper does not give the axis of the softmax in Eq. 12-13. Taken literally, with one vector
per item, it is the softmax of a single number; three interpretations are implemented.

Shapes: R rows (items), T tokens (one per modality, plus the ID embedding), D = dim,
X = T * D (d_x), S rows of a block.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.parts.dropout import drop

Attention = Literal["modality", "batch", "dimension"]
# `distributions` is Eq. 14, `logits` the released code. The last two are controls: the same
# network without A*, and without attention.
Difference = Literal["distributions", "logits", "factual", "none"]

# Elements of an attention by dimension in memory at once: 64 MiB of float32.
BLOCK = 1 << 24


class Other(NamedTuple):
    """Queries and keys of i*, Eq. 11: (R, X) each."""

    query: Tensor
    key: Tensor


def attend_modalities(
    q_RX: Tensor, k_RX: Tensor, v_RX: Tensor, other: Other | None,
    *, tokens: int, difference: Difference,
) -> Tensor:  # fmt: skip
    """Return Eq. 12-14 with the T modality vectors of one item as the tokens.

    An item's result depends only on the item and its i*. With one token the softmax is always
    1, so the difference is 0.

    Returns:
        (R, X).
    """
    scale = q_RX.shape[1] ** -0.5
    q, k, v = (x.unflatten(1, (tokens, -1)) for x in (q_RX, k_RX, v_RX))
    score_RTT = q @ k.transpose(1, 2) * scale
    other_RTT = None
    if other is not None:
        other_q, other_k = (x.unflatten(1, (tokens, -1)) for x in other)
        other_RTT = other_q @ other_k.transpose(1, 2) * scale
    return (weights(score_RTT, other_RTT, difference) @ v).flatten(1)


def attend_dimensions(
    q_RX: Tensor, k_RX: Tensor, v_RX: Tensor, other: Other | None, *, difference: Difference
) -> Tensor:
    """Return Eq. 12-14 with Q K^T as the X x X outer product of one item's vectors.

    An item's result depends only on the item and its i*. Computes R X^2 exponentials; the
    backward pass recomputes them block by block to save memory.

    Returns:
        (R, X).
    """
    scale = q_RX.shape[1] ** -0.5

    def attend(q_SX: Tensor, k_SX: Tensor, v_SX: Tensor, *others: Tensor) -> Tensor:
        score_SXX = q_SX[:, :, None] * k_SX[:, None, :] * scale
        other_SXX = others[0][:, :, None] * others[1][:, None, :] * scale if others else None
        return (weights(score_SXX, other_SXX, difference) @ v_SX[:, :, None]).squeeze(2)

    size = max(1, BLOCK // q_RX.shape[1] ** 2)
    blocks = zip(*(x.split(size) for x in (q_RX, k_RX, v_RX, *(other or ()))), strict=True)
    return torch.cat([
        torch.utils.checkpoint.checkpoint(attend, *block, use_reentrant=False)
        for block in blocks
    ])  # fmt: skip


def attend_batch(
    q_RX: Tensor, k_RX: Tensor, v_RX: Tensor, other: Other | None,
    *, difference: Difference, context: int | None = None,
) -> Tensor:  # fmt: skip
    """Return Eq. 12-14 with the softmax over the other rows, as in the released code.

    The R x R matrix is never stored: (softmax(S) - softmax(S*)) V is two attentions, and
    softmax(S - S*) V is one with queries [Q, -Q*] and keys [K, K*]. About `context` rows attend
    to each other, namely every n-th row for the closest n; all rows if it is None.

    Returns:
        (R, X).
    """
    scale = q_RX.shape[1] ** -0.5
    contexts = 1 if context is None else max(1, round(len(q_RX) / context))

    def attention(query: Tensor, key: Tensor) -> Tensor:
        result_RX = torch.empty_like(v_RX)
        for first in range(contexts):
            # One batch and one head: the shape that the fast kernels require.
            q, k, v = (x[None, None, first::contexts] for x in (query, key, v_RX))
            part = F.scaled_dot_product_attention(q, k, v, scale=scale)
            result_RX[first::contexts] = part[0, 0]
        return result_RX

    if other is None or difference == "factual":
        return attention(q_RX, k_RX)
    if difference == "logits":
        return attention(torch.cat([q_RX, -other.query], 1), torch.cat([k_RX, other.key], 1))
    return attention(q_RX, k_RX) - attention(other.query, other.key)


def weights(score: Tensor, other: Tensor | None, difference: Difference) -> Tensor:
    """Return A - A* of Eq. 12-14, or a variant of it, from the scaled products."""
    if other is None or difference == "factual":
        return score.softmax(-1)
    if difference == "logits":
        return (score - other).softmax(-1)
    return score.softmax(-1) - other.softmax(-1)


class CounterfactualLayer(nn.Module):
    """One multimodal counterfactual learning layer, Eq. 10-17."""

    def __init__(
        self, tokens: int, dim: int, attention: Attention, difference: Difference,
        *, context: int | None = None, dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        """Create the weights; the inner width of the feed-forward network is 4 X, as released.

        `dropout` applies to the outputs of the attention and of the feed-forward network before
        they are added, as in Vaswani et al. 2017, 5.4, with draws from `generator`. `context`
        is that of `attend_batch`.
        """
        super().__init__()
        width = tokens * dim
        self.tokens, self.attention, self.difference = tokens, attention, difference
        self.context, self.dropout, self.generator = context, dropout, generator
        if difference != "none":
            self.query, self.key, self.value = (_linear(width) for _ in range(3))
        if difference in ("distributions", "logits"):
            self.other_query, self.other_key = _linear(width), _linear(width)
        self.first, self.second = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.first.bias)  # their default draws from the global generator
        nn.init.zeros_(self.second.bias)
        self.attention_norm, self.output_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def others(self, other_RX: Tensor) -> Other | None:
        """Return Eq. 11 for X_i*; None for the controls that do not use it."""
        if self.difference in ("factual", "none"):
            return None
        return Other(self.other_query(other_RX), self.other_key(other_RX))

    def forward(self, x_RX: Tensor, other: Other | None) -> Tensor:
        """Purify the items' vectors by those of uninteracted items.

        Args:
            x_RX: X_i.
            other: Eq. 11 of X_i*; None subtracts nothing.

        Returns:
            e_vt, (R, X).
        """
        ln_RX = self.attention_norm(self._drop(self._difference(x_RX, other)) + x_RX)  # Eq. 15
        ffn_RX = self._drop(self.second(F.relu(self.first(ln_RX))))  # Eq. 16
        return self.output_norm(ffn_RX + ln_RX)  # Eq. 17

    def _drop(self, x_RX: Tensor) -> Tensor:
        return drop(x_RX, self.dropout, self.generator) if self.training else x_RX

    def _difference(self, x_RX: Tensor, other: Other | None) -> Tensor:
        if self.difference == "none":
            return torch.zeros_like(x_RX)
        inputs = self.query(x_RX), self.key(x_RX), self.value(x_RX), other  # Eq. 10
        if self.attention == "batch":
            return attend_batch(*inputs, difference=self.difference, context=self.context)
        if self.attention == "dimension":
            return attend_dimensions(*inputs, difference=self.difference)
        return attend_modalities(*inputs, tokens=self.tokens, difference=self.difference)


def _linear(width: int) -> nn.Linear:
    return nn.Linear(width, width, bias=False)
