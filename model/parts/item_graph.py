"""Fixed item-item similarities, each item's nearest items, and the graph of them.

Shapes: I items, U users, K neighbours of an item, B consecutive items of a block, W width of a
feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from model.data import Interactions
from model.graph import Graph

# Similarities in memory at once: 16 MiB of float32 whatever the size of the catalogue.
BLOCK = 1 << 22
# Cosines that differ by less are equal: rows of the same numbers get sums that differ by the
# rounding of float32, according to their place in a block.
DECIMALS = 6

# From (B,) consecutive items to their (B, I) similarities to all items.
Similarity: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Neighbours:
    """The K nearest items of each item, nearest first; ties are in the order of the ids."""

    items: Tensor  # (I, K) int64
    similarity: Tensor  # (I, K) at least 0; 0 where fewer than K items are similar


def content_neighbours(feature: Tensor | Mapping[str, Tensor], k: int) -> Neighbours:
    """Return the k nearest items of each by the cosine of their features.

    Args:
        feature: (I, W), or several modalities, whose unit rows are joined. An item without
            features (zeros) is nobody's neighbour and has none.
        k: at least 1; fewer where fewer cosines are above 0.
    """
    features = feature if isinstance(feature, Mapping) else {"": feature}
    cosine = content(features)
    n_items = len(next(iter(features.values())))
    return nearest(lambda block: cosine(block).round_(decimals=DECIMALS), n_items, k)


def cooccurrence_neighbours(interactions: Interactions, k: int, shrinkage: float) -> Neighbours:
    """Return the k nearest items of each by n_ij / (sqrt(n_i n_j) + shrinkage).

    Args:
        interactions: the training pairs; repeats count once.
        k: at least 1; fewer where fewer items have a user in common.
        shrinkage: at least 0.
    """
    return nearest(cooccurrence(interactions, shrinkage), interactions.n_items, k)


def item_graph(
    parts: Sequence[tuple[float, Neighbours]],
    *,
    undirected: bool = True,
    self_loops: bool = False,
) -> Graph:
    """Return S = D^-1/2 A D^-1/2 of a weighted sum of neighbour lists, I x I.

    A_ij is the sum of the weights of the lists that have j among the neighbours of i; how
    similar they are does not count. D has the row sums of A. An item without a neighbour has a
    row of zeros.

    Args:
        parts: (weight > 0, neighbours) of each list, at least one.
        undirected: take (A + A^T) / 2 as A. FREEDOM and LATTICE do not: each item then receives
            from its own K neighbours alone.
        self_loops: each item that has neighbours in a list is one of them too.

    Raises:
        ValueError: there is no list.
    """
    if not parts:
        raise ValueError("expected at least one list of neighbours, got none")
    size = len(parts[0][1].items)
    entries = [_entries(weight, neighbours, self_loops) for weight, neighbours in parts]
    rows, columns, values = (torch.cat(tensors) for tensors in zip(*entries, strict=True))
    if undirected:
        rows, columns = torch.cat([rows, columns]), torch.cat([columns, rows])
        values = torch.cat([values, values]) / 2
    degree = torch.bincount(rows, values, minlength=size)
    values = values * (degree[rows] * degree[columns]) ** -0.5
    return Graph(rows, columns, values.float(), size)


def _entries(
    weight: float, neighbours: Neighbours, self_loops: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, columns and values (float64) of a list of neighbours."""
    similar = neighbours.similarity > 0
    rows, columns = similar.nonzero()[:, 0], neighbours.items[similar]
    if self_loops:
        loops = rows.unique()
        rows, columns = torch.cat([rows, loops]), torch.cat([columns, loops])
    return rows, columns, torch.full((len(rows),), weight, dtype=torch.float64)


def cooccurrence(interactions: Interactions, shrinkage: float) -> Similarity:
    """Return n_ij / (sqrt(n_i n_j) + shrinkage), with n the numbers of users in common.

    Args:
        interactions: the training pairs; repeats count once.
        shrinkage: at least 0.
    """
    _, items = interactions.unique_pairs
    counts = torch.bincount(items, minlength=interactions.n_items).float()
    common = common_users(interactions)

    def similarity(block: Tensor) -> Tensor:
        norm = (counts[block, None] * counts).sqrt_().add_(shrinkage)
        return common(block) / norm.clamp_min_(1.0)  # below 1 only where n_ij is 0

    return similarity


def common_users(interactions: Interactions) -> Similarity:
    """Return n_ij, the number of users who have both items; n_ii is that of item i.

    Args:
        interactions: the training pairs; repeats count once.
    """
    users, items = interactions.unique_pairs
    shape = (interactions.n_items, interactions.n_users)
    matrix = Graph(items, users, torch.ones(len(items)), shape).matrix

    def counts(block: Tensor) -> Tensor:
        inside = (items >= block[0]) & (items <= block[-1])
        columns = torch.zeros(interactions.n_users, len(block))
        columns[users[inside], items[inside] - block[0]] = 1.0
        return (matrix @ columns).T

    return counts


def content(features: Mapping[str, Tensor]) -> Similarity:
    """Return the cosine of the concatenated unit rows of all modalities.

    For two items that have all modalities it is the mean of their cosines. An item without
    content has similarity 0 to all.

    Args:
        features: `{modality: (I, width)}`, not empty. They are not copied.
    """
    scales = {name: 1 / f.norm(dim=1).clamp_min(1e-12) for name, f in features.items()}
    present = torch.stack([feature.any(1) for feature in features.values()]).sum(0)
    length = present.clamp_min(1).sqrt()  # of the joined unit rows

    def similarity(block: Tensor) -> Tensor:
        rows = slice(int(block[0]), int(block[-1]) + 1)
        total = torch.zeros(len(block), len(length))
        for name, feature in features.items():
            product = (feature[rows] * scales[name][rows, None]) @ feature.T
            total.add_(product.mul_(scales[name]))
        return total.div_(length).div_(length[rows, None])

    return similarity


def shared_tokens(tokens: Tensor, n_items: int) -> Similarity:
    """Return the cosine of the items' tokens, each with the weight ln(I / items that have it).

    Args:
        tokens: (E, 2) int64, pairs of item and token; repeats count once. An item without
            tokens has similarity 0 to all.
        n_items: I.
    """
    items, ids = tokens.unique(dim=0).unbind(1)
    share = torch.bincount(ids)[ids] / n_items
    values = -share.log()
    length = torch.bincount(items, values.square(), minlength=n_items).sqrt()
    values = values / length[items].clamp_min(1e-12)
    n_tokens = int(ids.max()) + 1
    matrix = Graph(items, ids, values, (n_items, n_tokens)).matrix

    def similarity(block: Tensor) -> Tensor:
        inside = (items >= block[0]) & (items <= block[-1])
        columns = torch.zeros(n_tokens, len(block))
        columns[ids[inside], items[inside] - block[0]] = values[inside]
        return (matrix @ columns).T

    return similarity


def nearest(similarity: Similarity, n_items: int, k: int, width: int = 0) -> Neighbours:
    """Return the k nearest items of each, block by block.

    An item is not its own neighbour, and items that are not similar have similarity 0.

    Args:
        similarity: from consecutive items to their similarities.
        n_items: I.
        k: at least 1.
        width: numbers that `similarity` needs per item of a block, if more than I.
    """
    rows = max(1, BLOCK // max(n_items, width))
    blocks = [
        _nearest(similarity(block), block, min(k, n_items))
        for block in torch.arange(n_items).split(rows)
    ]
    return Neighbours(*(torch.cat(tensors) for tensors in zip(*blocks, strict=True)))


def _nearest(similarity: Tensor, block: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k nearest of (B,) items by (B, I) similarity: items and values, (B, K)."""
    similarity.clamp_min_(0.0)
    similarity[torch.arange(len(block)), block] = 0.0
    last = similarity.topk(k, dim=1).values[:, -1:]
    # topk takes any of several items that are as near as the last; the lowest ids are taken.
    room = k - (similarity > last).sum(1, keepdim=True)
    tied = similarity == last
    chosen = (similarity > last) | (tied & (tied.cumsum(1, dtype=torch.int32) <= room))
    items = chosen.nonzero()[:, 1].view(len(block), k)
    values, order = similarity.gather(1, items).sort(dim=1, descending=True, stable=True)
    return items.gather(1, order), values
