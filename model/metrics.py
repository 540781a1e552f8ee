"""Ranks, and the metrics that follow from them.

A rank is 0-based: 0 is the top. Of a user's n held-out items, hits at k are those with rank
r < k. In the full ranking the ranks are places in the user's one list:

    recall     hits / n
    precision  hits / k
    hr         1 if there is a hit
    ndcg       sum of 1 / log2(r + 2) over the hits, over that of the ranks 0 to min(n, k) - 1
    map        sum over the hits of (hits up to it) / (r + 1), over min(n, k)
    mrr        1 / (r + 1) of the first hit

NDCG: Jarvelin and Kekalainen, ACM TOIS 2002, with binary relevance. MAP is divided by min(n, k)
as in RecBole and MMRec, not by n. Sampled, each held-out item is ranked among candidates of its
own: its metrics are those of n = 1, where HR and recall are the same, and a user's are the mean
over their items. All metrics are means over users.

Shapes: R held-out items, U users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.measures import FULL, MEASURES, SAMPLED, split_name


class ScoreNotANumber(ValueError):  # noqa: N818 (says what happened)
    """A score is NaN, which would count as a win for the target."""

    def __init__(self) -> None:
        """Say what was expected."""
        super().__init__("expected scores to be numbers, got NaN")


def rank_of_target(scores: Tensor) -> Tensor:
    """Return the 0-based rank of column 0 in each row.

    A tie counts against the target: with equal scores everywhere the rank is C - 1, not 0.

    Args:
        scores: (R, C), the target first, then C - 1 others.

    Returns:
        (R,) int64 ranks in [0, C - 1].

    Raises:
        ScoreNotANumber: a score is NaN.
    """
    if scores.isnan().any():
        raise ScoreNotANumber
    return (scores[:, 1:] >= scores[:, :1]).sum(dim=1)


def place_in_group(group: Tensor, values: Tensor) -> Tensor:
    """Return the 0-based place of each value among those of its group, the least first.

    Equal values have successive places, in their order here.

    Args:
        group: (R,) int64 from 0.
        values: (R,) numbers.
    """
    order = values.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    counts = torch.bincount(group)
    starts = counts.cumsum(0) - counts
    place = torch.empty_like(group)
    place[order] = torch.arange(len(group), device=group.device) - starts[group[order]]
    return place


@dataclass(frozen=True)
class UserRanks:
    """The ranks of held-out items in one protocol, and whose they are."""

    protocol: str
    ranks: Tensor  # (R,) float64
    user: Tensor  # (R,) int64 in [0, U)
    n: Tensor  # (R,) float64, held-out items of the user
    place: Tensor  # (R,) int64, 0 for the best of the user's items

    @classmethod
    def of(cls, protocol: str, ranks: Tensor, users: Tensor | None = None) -> UserRanks:
        """Group (R,) ranks by (R,) users; by default all different."""
        if users is None:
            users = torch.arange(len(ranks))
        user = users.unique(return_inverse=True)[1]
        n = torch.bincount(user)[user].double()
        return cls(protocol, ranks.double(), user, n, place_in_group(user, ranks))

    def per_user(self, name: str) -> Tensor:
        """Return a metric such as `ndcg@10` of each user, (U,) float64, users ascending."""
        n_users = int(self.user.max()) + 1 if len(self.user) else 0
        return torch.zeros(n_users).double().index_add_(0, self.user, self._terms(name))

    def mean(self, name: str) -> float:
        """Return the mean of `per_user`."""
        return self.per_user(name).mean().item()

    def _terms(self, name: str) -> Tensor:
        """Return what each held-out item adds to its user's metric, (R,)."""
        measure, k = split_name(name)
        hit = (self.ranks < k).double()
        gain, reciprocal = 1.0 / torch.log2(self.ranks + 2.0), 1.0 / (self.ranks + 1.0)
        if self.protocol == SAMPLED:
            alone: dict[str, Tensor | float] = {
                "hr": 1.0,
                "recall": 1.0,
                "ndcg": gain,
                "mrr": reciprocal,
            }
            return hit * alone[measure] / self.n
        first, most = hit * (self.place == 0), self.n.clamp(max=k)
        match measure:
            case "recall":
                return hit / self.n
            case "precision":
                return hit / k
            case "hr":
                return first
            case "ndcg":
                return hit * gain / ideal_gains(k)[most.long() - 1]
            case "map":
                return hit * (self.place + 1) * reciprocal / most
            case "mrr":
                return first * reciprocal
        raise ValueError(f"expected one of {', '.join(MEASURES[FULL])}, got {measure!r}")


def ideal_gains(k: int) -> Tensor:
    """Return the DCG of 1, 2, ... k hits at the top, (k,) float64."""
    return (1.0 / torch.log2(torch.arange(k).double() + 2.0)).cumsum(0)


def at_cutoffs(
    protocol: str, ranks: Tensor, cutoffs: Sequence[int], users: Tensor | None = None
) -> dict[str, float]:
    """Return `{"hr@5": ..., "recall@5": ..., ...}`, every measure of a protocol at each k.

    Args:
        protocol: `sampled` or `full`.
        ranks: (R,) int64.
        cutoffs: the values of k.
        users: (R,) int64, whose ranks they are; by default all different.
    """
    of_users = UserRanks.of(protocol, ranks, users)
    names = (f"{measure}@{k}" for k in cutoffs for measure in MEASURES[protocol])
    return {name: of_users.mean(name) for name in names}
