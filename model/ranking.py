"""Ranking of held-out items, sampled and full in one pass, and top-K lists.

Shapes: R held-out items, U users, I items, C negatives; B users and r targets of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from model.data import Interactions
from model.metrics import ScoreNotANumber, place_in_group, rank_of_target

# Scores in memory at once: 64 MiB of float32 whatever the size of the catalogue.
BLOCK = 1 << 24
ROWS = 32  # of scores that are compared with a target at once, on a CPU
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


@dataclass(frozen=True)
class Ranking:
    """The ranks of held-out items, and the lists from which those of the full ranking are."""

    sampled: Tensor  # (R,) int64
    full: Tensor  # (R,) int64, different ones for the held-out items of a user
    users: Tensor  # (U,) int64, ascending
    lists: Tensor  # (U, L) int64, the best items of each user, then -1 if there are no more


def rank(
    scorer: Scorer,
    users: Tensor,
    targets: Tensor,
    negatives: Tensor,
    known: Interactions,
    length: int = 0,
    pool: Tensor | None = None,
) -> Ranking:
    """Rank each held-out item among its negatives, and in the one list of its user.

    A user's list has all items, or those of `pool`, but the known ones. Their held-out items
    are always in it (Art's published split has some that are also in train), and compete with
    each other.

    Args:
        scorer: the model's scores.
        users: (R,) int64.
        targets: (R,) int64, the held-out items; a pair of user and target occurs once.
        negatives: (R, C) int64, the fixed candidates.
        known: pairs to exclude from the lists: training items, and validation items when
            testing.
        length: L, how much of each list is returned.
        pool: (I,) bool, the items that may be in the lists; None for all.

    Returns:
        Ranks among the 1 + C candidates, ranks in the lists, and the lists' beginnings. Ranks
        are 0-based. A tie with another item counts against the target; tied targets of a user
        have successive ranks, in their order here.

    Raises:
        ValueError: a score is NaN.
    """
    sampled, full, lists = torch.empty_like(users), torch.empty_like(users), []
    for of_users, rows, owner in _blocks(users, known.n_items):
        scores = scorer(of_users)
        place, items = owner.to(scores.device), targets[rows].to(scores.device)
        candidates = torch.cat([targets[rows, None], negatives[rows]], dim=1)
        among_candidates = scores[place[:, None], candidates.to(scores.device)]
        sampled[rows] = rank_of_target(among_candidates).cpu()
        _hide(scores, of_users, known)
        if pool is not None:
            scores.masked_fill_(~pool.to(scores.device), float("-inf"))
        scores[place, items] = among_candidates[:, 0]  # never hidden
        lists.append(_best(scores, length))
        scores[place, items] = float("-inf")  # counted below, by their order
        above = _at_least(scores, place, among_candidates[:, 0]).cpu()
        full[rows] = above + place_in_group(owner, -among_candidates[:, 0].cpu())
    return Ranking(sampled, full, users.unique(), torch.cat(lists))


def ranks(
    scorer: Scorer,
    users: Tensor,
    targets: Tensor,
    negatives: Tensor,
    known: Interactions,
    pool: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the ranks of `rank` among the candidates and in the full lists, (R,) each."""
    ranking = rank(scorer, users, targets, negatives, known, pool=pool)
    return ranking.sampled, ranking.full


def sampled_ranks(
    scorer: Scorer, users: Tensor, targets: Tensor, negatives: Tensor, n_items: int
) -> Tensor:
    """Return the first result of `ranks`, several times faster.

    Training measures it every few epochs; the full ranking takes longer than an epoch of a
    small model.

    Args:
        scorer: the model's scores.
        users: (R,) int64.
        targets: (R,) int64, the held-out items.
        negatives: (R, C) int64, the fixed candidates.
        n_items: I, which limits how many users are scored at once.

    Raises:
        ValueError: the score of a candidate is NaN.
    """
    candidates = torch.cat([targets[:, None], negatives], dim=1)
    result = torch.empty_like(users)
    for of_users, rows, owner in _blocks(users, n_items):
        scores = scorer(of_users)
        block = scores[owner[:, None].to(scores.device), candidates[rows].to(scores.device)]
        result[rows] = rank_of_target(block).cpu()
    return result


def _blocks(users: Tensor, n_items: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield some users, each once, the rows of (R,) `users` that are theirs, and whose each is.

    Yields:
        Users (B,) int64 ascending; rows (r,) int64 of `users`; and the place of each row's user
        among the B, (r,) int64.
    """
    distinct, owner, counts = users.unique(return_inverse=True, return_counts=True)
    order, ends = owner.argsort(stable=True), counts.cumsum(0)
    for places in torch.arange(len(distinct)).split(max(1, BLOCK // n_items)):
        first, last = places[0], places[-1]
        rows = order[ends[first] - counts[first] : ends[last]]
        yield distinct[places], rows, owner[rows] - first


def _best(scores: Tensor, length: int) -> Tensor:
    """Return the best items of each row of (B, I) `scores`, (B, L); -1 for hidden ones."""
    # One column at least: its value is NaN if any score is.
    best = scores.topk(min(max(length, 1), scores.shape[1]), dim=1)
    if best.values[:, 0].isnan().any():
        raise ScoreNotANumber
    return torch.where(best.values == float("-inf"), -1, best.indices)[:, :length].cpu()


def _at_least(scores: Tensor, place: Tensor, values: Tensor) -> Tensor:
    """Count the scores of row `place` of (B, I) `scores` that are at least `values`, (r,)."""
    # A few rows at a time stay in the processor's cache.
    blocks = zip(place.split(ROWS), values.split(ROWS), strict=True)
    return torch.cat([(scores[p] >= v[:, None]).count_nonzero(dim=1) for p, v in blocks])


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
