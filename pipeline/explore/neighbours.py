"""Lengths, copies, variance and nearest neighbours of a table of vectors.

Similarity is the cosine, x . y / (|x| |y|); a vector of length 0 has no neighbours. Rows are
processed in blocks, so that a large table is never copied.

Shapes: N items, D numbers each, M of them sampled, Q queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.tables.features import Vector

Numbers = npt.NDArray[np.float64]
Feature = npt.NDArray[np.float32]  # (N, D)
Items = npt.NDArray[np.integer[Any]]  # row numbers

BLOCK = 1024  # rows; 32 MB of 4096-d vectors in float64
DIGITS = 6  # of a cosine, so that rounding does not separate equal vectors


@dataclass(frozen=True)
class Neighbour:
    """An item near a query."""

    item: int
    cosine: float
    same: bool  # its vector equals the query's exactly


def lengths(feature: Feature) -> Numbers:
    """Return the (N,) Euclidean norms of the rows."""
    norms = np.empty(len(feature))
    for rows in _blocks(len(feature)):
        norms[rows] = np.linalg.norm(feature[rows].astype(np.float64), axis=1)
    return norms


def unit(feature: Feature, length: Numbers, items: Items) -> Numbers:
    """Return the (M, D) unit vectors of `items`, float64.

    Args:
        feature: (N, D).
        length: (N,), their `lengths`; not 0 for `items`.
        items: M row numbers.
    """
    directions: Numbers = feature[items].astype(np.float64) / length[items, None]
    return directions


def nearest(feature: Feature, length: Numbers, queries: Items, k: int) -> list[list[Neighbour]]:
    """Return the `k` nearest items of each query, nearest first, without the query.

    Args:
        feature: (N, D).
        length: (N,), their `lengths`; items of length 0 are left out.
        queries: Q items whose length is not 0.
        k: how many; fewer where there are fewer other items.

    Returns:
        Q lists. Ties, up to `DIGITS`, are in the order of the items.
    """
    cosine = np.full((len(queries), len(feature)), -np.inf)
    directions = unit(feature, length, queries)
    for rows in _blocks(len(feature)):
        usable = rows[length[rows] > 0]
        block = unit(feature, length, usable)
        cosine[:, usable] = np.matmul(directions, block.T).round(DIGITS)
    cosine[np.arange(len(queries)), queries] = -np.inf
    k = min(k, int(np.count_nonzero(length)) - 1)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return [
        [
            Neighbour(
                int(item), float(near[item]), np.array_equal(feature[item], feature[query])
            )
            for item in row
        ]
        for query, near, row in zip(queries, cosine, order, strict=True)
    ]


def copies(feature: Feature, items: Items) -> tuple[int, int]:
    """Return how many of `items` share their vector, and the size of the largest such group."""
    groups = Counter(_digest(feature[item]) for item in items)
    shared = [n for n in groups.values() if n > 1]
    return sum(shared), max(shared, default=0)


def principal(rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return the principal components of (M, D) rows.

    Returns:
        coordinates: (M, min(M, D)) of the rows, by falling variance; the largest of each
            column is positive.
        shares: (min(M, D),) of the variance; zeros where the rows are all equal.
    """
    centred = rows - rows.mean(axis=0)
    wide = rows.shape[0] <= rows.shape[1]
    gram = centred @ centred.T if wide else centred.T @ centred
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    coordinates = vectors * np.sqrt(values) if wide else centred @ vectors
    largest = np.abs(coordinates).argmax(axis=0)
    signs = np.where(coordinates[largest, np.arange(coordinates.shape[1])] < 0, -1, 1)
    return coordinates * signs, values / (values.sum() or 1)


def _blocks(n: int) -> Iterator[Items]:
    for first in range(0, n, BLOCK):
        yield np.arange(first, min(first + BLOCK, n))


def _digest(vector: Vector) -> bytes:
    # -0.0 equals 0.0 but has other bytes; adding 0.0 makes it 0.0.
    return blake2b((vector + 0.0).tobytes(), digest_size=16).digest()
