"""Find the k-core of a table of pairs, in time linear in the rows that are removed.

A round removes every user and every item with too few rows. The first rounds remove many rows
and scan all remaining ones. Later rounds touch only the rows that are removed: an index from
each user and item to its rows is built once, and a node is checked again only after it lost a
row (Batagelj and Zaversnik, "An O(m) Algorithm for Cores Decomposition of Networks", 2003,
https://arxiv.org/abs/cs/0310049, in whole rounds).

Shapes: N rows, U users, I items. A node is a user or an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

SCAN_SHARE = 0.1  # share of the rows that a round must remove for the next to scan all rows
Ids = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]


class Counts(NamedTuple):
    """What remains after a round."""

    users: int
    items: int
    interactions: int


def peel(users: Ids, items: Ids, k_user: int, k_item: int) -> tuple[Mask, list[Counts]]:
    """Find the rows of the k-core.

    Args:
        users: (N,) int32 from 0, dense or nearly so: memory grows with the largest.
        items: (N,) int32, likewise. Pairs are distinct.
        k_user: minimum rows per user.
        k_item: minimum rows per item.

    Returns:
        (N,) True for the rows of the core; the counts before the first round and after each
        round that removed rows.
    """
    alive = np.zeros(len(users), dtype=bool)
    rows, rounds = np.arange(len(users), dtype=np.int32), list[Counts]()
    while True:
        sides = np.bincount(users), np.bincount(items)
        n_users, n_items = (int(np.count_nonzero(side)) for side in sides)
        rounds.append(Counts(n_users, n_items, len(rows)))
        kept = np.flatnonzero((sides[0] >= k_user)[users] & (sides[1] >= k_item)[items])
        if len(kept) >= (1 - SCAN_SHARE) * len(rows):
            break
        rows, users, items = rows[kept], users[kept], items[kept]
    core, more = _by_index(users, items, k_user, k_item)
    alive[rows[core]] = True
    return alive, rounds + more


def _by_index(users: Ids, items: Ids, k_user: int, k_item: int) -> tuple[Mask, list[Counts]]:
    """Do what `peel` does through an index; return the counts after each round only."""
    alive = np.ones(len(users), dtype=bool)
    sides = (_Side.of(users, k_user), _Side.of(items, k_item))
    rounds, n_left = list[Counts](), len(users)
    leaving: list[Ids] = [
        np.flatnonzero((side.degree > 0) & (side.degree < side.k)) for side in sides
    ]
    while any(len(nodes) for nodes in leaving):
        removed = _remove(alive, sides, leaving)
        leaving = [side.lose(removed) for side in sides]
        n_left -= len(removed)
        rounds.append(Counts(sides[0].present, sides[1].present, n_left))
    return alive, rounds


@dataclass(slots=True)
class _Side:
    """Users or items: the rows of each, and how many of them remain."""

    of_row: Ids  # (N,) the user (or item) of each row
    first: Ids  # (U + 1,) where in `rows` those of each user start
    rows: Ids  # (N,) row numbers, user by user
    degree: Ids  # (U,) remaining rows
    present: int  # users with remaining rows
    k: int  # minimum rows per user
    seen: Ids  # (U,) buffer of `_distinct`

    @classmethod
    def of(cls, ids: Ids, k: int) -> _Side:
        n_nodes = int(ids.max(initial=-1)) + 1
        # The conversion from CSR to CSC is a counting sort: linear and stable.
        entries = (np.ones(len(ids), np.int8), ids, np.arange(len(ids) + 1, dtype=np.int32))
        by_node = csr_array(entries, shape=(len(ids), n_nodes)).tocsc()
        degree = np.diff(by_node.indptr)
        return cls(
            of_row=ids,
            first=by_node.indptr,
            rows=by_node.indices,
            degree=degree,
            present=int(np.count_nonzero(degree)),
            k=k,
            seen=np.empty(n_nodes, dtype=np.int32),
        )

    def rows_of(self, nodes: Ids) -> Ids:
        """Return the rows of `nodes`, including those removed earlier."""
        first, last = self.first[nodes], self.first[nodes + 1]
        before = np.cumsum(last - first) - (last - first)
        places = np.repeat(first - before, last - first)
        places += np.arange(len(places), dtype=places.dtype)
        return self.rows[places]

    def lose(self, rows: Ids) -> Ids:
        """Remove `rows`; return the nodes that keep some rows, but too few."""
        nodes = self.of_row[rows]
        np.subtract.at(self.degree, nodes, 1)
        nodes = self._distinct(nodes[self.degree[nodes] < max(self.k, 1)])
        has_rows = self.degree[nodes] > 0
        self.present -= len(nodes) - int(np.count_nonzero(has_rows))
        return nodes[has_rows]

    def _distinct(self, nodes: Ids) -> Ids:
        """Return each of `nodes` once, in linear time, that is without a sort."""
        place = np.arange(len(nodes), dtype=np.int32)
        self.seen[nodes] = place
        return nodes[self.seen[nodes] == place]


def _remove(alive: Mask, sides: tuple[_Side, _Side], leaving: Sequence[Ids]) -> Ids:
    """Mark the rows of the leaving nodes as removed; return those rows, each once."""
    removed = []
    for side, nodes in zip(sides, leaving, strict=True):
        rows = side.rows_of(nodes)
        rows = rows[alive[rows]]
        alive[rows] = False
        removed.append(rows)
    return np.concatenate(removed)
