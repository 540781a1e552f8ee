"""Ranks, HR and NDCG.

Ranks are 0-based: 0 is the top. With r the rank of a user's only relevant item,
HR@k = [r < k] and NDCG@k = [r < k] / log2(r + 2) (the ideal DCG is 1).
"""

from __future__ import annotations

import torch
from torch import Tensor


class ScoreNotANumber(ValueError):  # noqa: N818 (says what happened)
    """A score is NaN, which would count as a win for the target."""


def rank_of_target(scores: Tensor) -> Tensor:
    """Return the 0-based rank of column 0 in each row.

    A tie counts against the target: with equal scores everywhere the rank is C - 1, not 0.

    Args:
        scores: (U, C), the target first, then C - 1 others.

    Returns:
        (U,) int64 ranks in [0, C - 1].

    Raises:
        ScoreNotANumber: a score is NaN.
    """
    if scores.isnan().any():
        raise ScoreNotANumber("expected scores to be numbers, got NaN")
    return (scores[:, 1:] >= scores[:, :1]).sum(dim=1)


def hit_ratio(ranks: Tensor, k: int) -> float:
    """Return the share of (U,) `ranks` below k."""
    return (ranks < k).double().mean().item()


def ndcg(ranks: Tensor, k: int) -> float:
    """Return the mean of 1 / log2(rank + 2) over (U,) `ranks`, 0 from rank k on."""
    gain = 1.0 / torch.log2(ranks.double() + 2.0)
    return torch.where(ranks < k, gain, 0.0).mean().item()


def at_cutoffs(ranks: Tensor, cutoffs: list[int]) -> dict[str, float]:
    """Return `{"hr@5": ..., "ndcg@5": ..., ...}` of (U,) ranks for each cut-off."""
    values: dict[str, float] = {}
    for k in cutoffs:
        values |= {f"hr@{k}": hit_ratio(ranks, k), f"ndcg@{k}": ndcg(ranks, k)}
    return values
