"""Which rows of a table of pairs are in its k-core, in time linear in what is removed.

A round takes out every user and every item with too few rows at once. The first rounds, which
take many, go over all that is left. From then on only the rows of those that go are touched: an
index from each side to its rows is made once, and a side is looked at again only when one of
its rows went (Batagelj and Zaversnik, "An O(m) Algorithm for Cores Decomposition of Networks",
2003, https://arxiv.org/abs/cs/0310049, in whole rounds).

Shapes: N rows, U users, I items; numpy does the work, a round at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

WORTH_A_PASS = 0.1  # share of the rows that a round must take to go over all of them
Ids = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]


class Counts(NamedTuple):
    """What is left."""

    users: int
    items: int
    interactions: int


def peel(users: Ids, items: Ids, k_user: int, k_item: int) -> tuple[Mask, list[Counts]]:
    """Find the rows of the k-core.

    Args:
        users: (N,) int32 from 0, dense or nearly so: memory goes with the largest.
        items: (N,) int32, the same. Pairs are distinct.
        k_user: rows that each user must have.
        k_item: rows that each item must have.

    Returns:
        (N,) True for the rows of the core, and the counts before the first round and after
        each round that removed something.
    """
    alive = np.zeros(len(users), dtype=bool)
    rows, rounds = np.arange(len(users), dtype=np.int32), list[Counts]()
    while True:
        sides = np.bincount(users), np.bincount(items)
        n_users, n_items = (int(np.count_nonzero(side)) for side in sides)
        rounds.append(Counts(n_users, n_items, len(rows)))
        kept = np.flatnonzero((sides[0] >= k_user)[users] & (sides[1] >= k_item)[items])
        if len(kept) >= (1 - WORTH_A_PASS) * len(rows):
            break
        rows, users, items = rows[kept], users[kept], items[kept]
    core, more = _by_index(users, items, k_user, k_item)
    alive[rows[core]] = True
    return alive, rounds + more


def _by_index(users: Ids, items: Ids, k_user: int, k_item: int) -> tuple[Mask, list[Counts]]:
    """Do what `peel` does by touching only what goes; leave out the counts at the start."""
    alive = np.ones(len(users), dtype=bool)
    sides = (_Side.of(users, k_user), _Side.of(items, k_item))
    rounds, n_left = list[Counts](), len(users)
    leaving: list[Ids] = [
        np.flatnonzero((side.degree > 0) & (side.degree < side.least)) for side in sides
    ]
    while any(len(nodes) for nodes in leaving):
        gone = _remove(alive, sides, leaving)
        leaving = [side.lose(gone) for side in sides]
        n_left -= len(gone)
        rounds.append(Counts(sides[0].present, sides[1].present, n_left))
    return alive, rounds


@dataclass(slots=True)
class _Side:
    """Users or items: which rows each has, and how many of them are left."""

    of_row: Ids  # (N,) the user (or item) of each row
    first: Ids  # (U + 1,) where in `rows` those of each user start
    rows: Ids  # (N,) numbers of rows, user by user
    degree: Ids  # (U,) rows that are left
    present: int  # users with a row left
    least: int  # rows that a user must have
    seen: Ids  # (U,) scratch of `_distinct`

    @classmethod
    def of(cls, ids: Ids, least: int) -> _Side:
        n_nodes = int(ids.max(initial=-1)) + 1
        # Turning rows into columns is a counting sort: linear, and stable.
        one_a_row = (np.ones(len(ids), np.int8), ids, np.arange(len(ids) + 1, dtype=np.int32))
        by_node = csr_array(one_a_row, shape=(len(ids), n_nodes)).tocsc()
        degree = np.diff(by_node.indptr)
        return cls(
            of_row=ids,
            first=by_node.indptr,
            rows=by_node.indices,
            degree=degree,
            present=int(np.count_nonzero(degree)),
            least=least,
            seen=np.empty(n_nodes, dtype=np.int32),
        )

    def rows_of(self, nodes: Ids) -> Ids:
        """Return the rows of `nodes`, those that went before included."""
        first, last = self.first[nodes], self.first[nodes + 1]
        before = np.cumsum(last - first) - (last - first)
        places = np.repeat(first - before, last - first)
        places += np.arange(len(places), dtype=places.dtype)
        return self.rows[places]

    def lose(self, rows: Ids) -> Ids:
        """Take away `rows`; return the nodes that have some left, but too few."""
        hit = self.of_row[rows]
        np.subtract.at(self.degree, hit, 1)
        hit = self._distinct(hit[self.degree[hit] < max(self.least, 1)])
        some = self.degree[hit] > 0
        self.present -= len(hit) - int(np.count_nonzero(some))
        return hit[some]

    def _distinct(self, nodes: Ids) -> Ids:
        """Return each of `nodes` once; without a sort, which would not be linear."""
        place = np.arange(len(nodes), dtype=np.int32)
        self.seen[nodes] = place
        return nodes[self.seen[nodes] == place]


def _remove(alive: Mask, sides: tuple[_Side, _Side], leaving: Sequence[Ids]) -> Ids:
    """Mark the rows of the nodes that leave, and return those that were alive, each once."""
    gone = []
    for side, nodes in zip(sides, leaving, strict=True):
        rows = side.rows_of(nodes)
        rows = rows[alive[rows]]
        alive[rows] = False
        gone.append(rows)
    return np.concatenate(gone)
