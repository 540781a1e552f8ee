"""Metrics of a model's lists that need no held-out item: what is recommended, and how varied.

With c_i the number of top-k lists in which item i is, of I items in ascending order of c_i
(i = 1 to I):

    coverage    share of the items with c_i > 0
    gini        sum_i (2 i - I - 1) c_i / (I sum_i c_i): 0 if all items are shown equally often,
                near 1 if a few are shown to everybody (as in RecBole)
    novelty     mean over a list's items of -log2(share of the training users who have the
                item), in bits; the self-information of Zhou et al., PNAS 2010,
                https://doi.org/10.1073/pnas.1000488107. An item that nobody has counts as
                one that one user has.
    M_similarity    mean cosine of the features M of two items of a list (Ziegler et al., WWW
                2005, https://doi.org/10.1145/1060745.1060754), of those that have the modality

Novelty and similarity are means over users; a list of fewer than two items with the modality
has no similarity. Shapes: U users, L places, I items, D numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from model.data import Interactions

USERS = 128  # whose sums are made at once: they stay in the cache of a CPU


def at_cutoffs(
    lists: Tensor,
    cutoffs: Sequence[int],
    train: Interactions,
    features: Mapping[str, Tensor],
    pool: Tensor | None = None,
) -> dict[str, float]:
    """Return `{"coverage@5": ..., "gini@5": ..., ...}` of the first k places for each k.

    Args:
        lists: (U, L) int64, best first, -1 where a list has ended; L is at least the largest k,
            or I.
        cutoffs: the values of k.
        train: the training pairs.
        features: `{modality: (I, D) float32}`; a row of zeros is an item without it.
        pool: (I,) bool, the items that may be in the lists; None for all.

    Returns:
        The metrics; a similarity is left out where no list has two items with the modality.
    """
    novelty = self_information(train)
    values = {}
    for k in cutoffs:
        top = lists[:, :k]
        shown = torch.bincount(top[top >= 0], minlength=train.n_items)
        shown = shown if pool is None else shown[pool]
        values[f"coverage@{k}"] = (shown > 0).double().mean().item()
        values[f"gini@{k}"] = gini(shown)
        values[f"novelty@{k}"] = _mean_of_lists(novelty, top)
    for modality, feature in features.items():
        similar = similarities(lists, cutoffs, feature)
        values |= {f"{modality}_similarity@{k}": value for k, value in similar.items()}
    return values


def self_information(train: Interactions) -> Tensor:
    """Return -log2 of the share of the training users who have an item, (I,) float64."""
    users = torch.bincount(train.unique_pairs[1], minlength=train.n_items).clamp(min=1)
    return (len(train.active_users) / users.double()).log2()


def gini(shown: Tensor) -> float:
    """Return the Gini index of (I,) counts, of which one is not 0."""
    counts, n_items = shown.double().sort().values, len(shown)
    weights = 2.0 * torch.arange(1, n_items + 1) - n_items - 1
    return ((weights * counts).sum() / (n_items * counts.sum())).item()


def _mean_of_lists(values: Tensor, lists: Tensor) -> float:
    """Return the mean over users of the mean of the (I,) values of a list's items."""
    there = lists >= 0
    sums = (values[lists.clamp(min=0)] * there).sum(dim=1)
    lengths = there.sum(dim=1)
    return (sums / lengths.clamp(min=1))[lengths > 0].mean().item()


def similarities(lists: Tensor, cutoffs: Sequence[int], feature: Tensor) -> dict[int, float]:
    """Return the mean cosine within the first k places of (U, L) lists, for each k."""
    norms = torch.linalg.vector_norm(feature, dim=1)
    # -1, the end of a list, is the last row: an item without the modality. Half precision takes
    # a third of the time and changes a list's cosine by about 1e-5.
    unit = torch.zeros(len(feature) + 1, feature.shape[1], dtype=torch.float16)
    unit[:-1] = feature / norms.clamp(min=torch.finfo().tiny)[:, None]
    has = torch.cat([norms > 0, torch.tensor([False])])
    ends = torch.where(lists < 0, len(feature), lists)
    blocks = [_cosines(block, sorted(set(cutoffs)), unit, has) for block in ends.split(USERS)]
    means = {k: torch.cat([block[k] for block in blocks]) for k in blocks[0]}
    return {k: cosines.mean().item() for k, cosines in means.items() if len(cosines)}


def _cosines(
    lists: Tensor, cutoffs: Sequence[int], unit: Tensor, has: Tensor
) -> dict[int, Tensor]:
    """Return the mean cosine of each list that has two items with the modality, for each k."""
    # Of n unit vectors with the sum s, the n (n - 1) ordered pairs have cosines that add up to
    # s s - n: no pair is looked at. Items without the modality add zeros.
    total, values, start = torch.zeros(len(lists), unit.shape[1]), {}, 0
    for k in cutoffs:
        if lists[:, start:k].numel():
            total += embedding_bag(lists[:, start:k], unit, mode="sum")
        start = k
        n = has[lists[:, :k]].sum(dim=1).double()
        squares = torch.linalg.vector_norm(total, dim=1).double().square()
        values[k] = ((squares - n) / (n * (n - 1)))[n > 1]
    return values
