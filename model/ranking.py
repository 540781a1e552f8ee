"""Ranking of held-out items, sampled and full in one pass, and top-K lists.

Shapes: U users to rank, B users of a block, I items, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from model.data import Interactions
from model.metrics import rank_of_target

# Scores in memory at once: 64 MiB of float32 whatever the size of the catalogue.
BLOCK = 1 << 24
# Maps (B,) users to (B, I) scores of all items; made once per evaluation.
Scorer: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class InnerProduct:
    """A scorer of inner products of a user's and an item's vector."""

    users: Tensor  # (all users, D)
    items: Tensor  # (I, D)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the (B, I) scores of (B,) users."""
        return self.users[rows] @ self.items.T


def inner_product(users: Tensor, items: Tensor) -> InnerProduct:
    """Return the scorer of inner products of (all users, D) and (I, D) vectors."""
    return InnerProduct(users, items)


def ranks(
    scorer: Scorer, users: Tensor, targets: Tensor, negatives: Tensor, known: Interactions
) -> tuple[Tensor, Tensor]:
    """Rank each user's target among its negatives, and among all items.

    Args:
        scorer: the model's scores.
        users: (U,) int64.
        targets: (U,) int64, one held-out item each.
        negatives: (U, C) int64, the fixed candidates.
        known: pairs to exclude from the full ranking: training items, and validation items when
            testing. The target itself is never excluded (Art's published split has targets that
            are also in train).

    Returns:
        Ranks among the 1 + C candidates, and among all items not in `known`: (U,) int64 each,
        0-based, ties against the target.

    Raises:
        ValueError: a score is NaN.
    """
    sampled, full = [], []
    candidates = torch.cat([targets[:, None], negatives], dim=1)
    for rows in torch.arange(len(users)).split(max(1, BLOCK // known.n_items)):
        scores = scorer(users[rows])
        among_candidates = _gather(scores, candidates[rows])
        sampled.append(rank_of_target(among_candidates).cpu())
        _hide(scores, users[rows], known)
        target = targets[rows, None].to(scores.device)
        scores.scatter_(1, target, float("-inf"))  # it does not compete with itself
        among_all = torch.cat([among_candidates[:, :1], scores], dim=1)
        full.append(rank_of_target(among_all).cpu())
    return torch.cat(sampled), torch.cat(full)


def sampled_ranks(
    scorer: Scorer, users: Tensor, targets: Tensor, negatives: Tensor, n_items: int
) -> Tensor:
    """Return the first result of `ranks`, several times faster.

    Training measures it every few epochs; the full ranking takes longer than an epoch of a
    small model.

    Args:
        scorer: the model's scores.
        users: (U,) int64.
        targets: (U,) int64, one held-out item each.
        negatives: (U, C) int64, the fixed candidates.
        n_items: I, which limits how many users are scored at once.

    Raises:
        ValueError: the score of a candidate is NaN.
    """
    candidates = torch.cat([targets[:, None], negatives], dim=1)
    blocks = torch.arange(len(users)).split(max(1, BLOCK // n_items))
    scores = (_gather(scorer(users[rows]), candidates[rows]) for rows in blocks)
    return torch.cat([rank_of_target(block).cpu() for block in scores])


def _gather(scores: Tensor, items: Tensor) -> Tensor:
    """Select the (B, C) scores of (B, C) items from (B, I) `scores`, on their device."""
    return scores.gather(1, items.to(scores.device))


def top_k(
    scorer: Scorer, users: Tensor, known: Interactions, k: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield each user's best k items that are not in `known`, block by block.

    Args:
        scorer: the model's scores.
        users: (U,) int64.
        known: pairs to exclude.
        k: length of the lists, at most I.

    Yields:
        Users (B,), items (B, k) int64 and scores (B, k) float32, best first. For a user with
        more than I - k known items the list ends in scores of -inf.
    """
    for block in users.split(max(1, BLOCK // known.n_items)):
        scores = scorer(block).cpu()
        _hide(scores, block, known)
        best = scores.topk(min(k, known.n_items), dim=1)
        yield block, best.indices, best.values


def _hide(scores: Tensor, users: Tensor, known: Interactions) -> None:
    """Set the scores of known items to -inf, in place."""
    counts = known.counts[users]
    rows = torch.repeat_interleave(torch.arange(len(users)), counts)
    within = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
    items = known.items[known.starts[users][rows] + within]
    scores[rows.to(scores.device), items.to(scores.device)] = float("-inf")
