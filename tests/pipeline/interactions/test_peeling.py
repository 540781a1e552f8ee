from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.interactions import peeling
from pipeline.interactions.peeling import Counts, peel


def ids(*values):
    return np.array(values, dtype=np.int32)


def slowly(pairs, k_user, k_item):
    """The definition: filter whole rounds until nothing changes. Pairs, and the counts."""

    def counts(left):
        return Counts(len({u for u, _ in left}), len({i for _, i in left}), len(left))

    left, rounds = list(pairs), [counts(pairs)]
    while True:
        kept = [
            (u, i) for u, i in left
            if sum(a == u for a, _ in left) >= k_user and sum(b == i for _, b in left) >= k_item
        ]  # fmt: skip
        if len(kept) == len(left):
            return kept, rounds
        left = kept
        rounds.append(counts(kept))


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7)), unique=True, max_size=60),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from([0.1, 2.0]),  # of which the latter makes no pass over all
)
def test_the_core_and_the_counts_of_each_round_are_those_of_the_definition(
    pairs, k_user, k_item, scan_share
):
    users, items = ids(*(u for u, _ in pairs)), ids(*(i for _, i in pairs))

    with mock.patch.object(peeling, "SCAN_SHARE", scan_share):
        core, rounds = peel(users, items, k_user, k_item)

    assert (
        [pair for pair, kept in zip(pairs, core, strict=True) if kept],
        rounds,
    ) == slowly(pairs, k_user, k_item)


def test_a_chain_loses_one_link_per_round():
    """The worst case for a loop over the whole table: as many rounds as rows."""
    n = 2_000
    users, items = np.repeat(np.arange(n), 2), np.repeat(np.arange(n + 1), 2)[1:-1]

    core, rounds = peel(users.astype(np.int32), items.astype(np.int32), 2, 2)

    assert not core.any()
    assert [r.interactions for r in rounds[:3]] == [2 * n, 2 * n - 2, 2 * n - 4]
    assert len(rounds) == n + 1


def test_gaps_in_the_codes_are_not_counted_as_users():
    core, rounds = peel(ids(7, 7, 9), ids(0, 5, 5), 1, 1)

    assert core.all()
    assert rounds == [Counts(users=2, items=2, interactions=3)]


def test_a_pair_whose_user_and_item_are_both_removed_is_counted_once():
    _, rounds = peel(ids(0, 1, 1, 2, 2), ids(0, 1, 2, 1, 2), 2, 2)

    assert rounds == [Counts(3, 3, 5), Counts(2, 2, 4)]
