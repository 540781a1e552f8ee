"""Metrics of lists, against their definitions in plain Python."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import list_metrics
from model.data import Interactions

N_ITEMS, N_USERS, CUTOFFS = 7, 4, [1, 3, 5]
TRAIN = Interactions(
    torch.tensor([0, 0, 1, 2, 2, 2]),
    torch.tensor([0, 1, 0, 0, 3, 3]),  # a pair that is there twice; nobody has 2, 4, 5, 6
    n_users=N_USERS,
    n_items=N_ITEMS,
)
LIST = st.permutations(range(N_ITEMS)).flatmap(
    lambda items: st.integers(0, 5).map(lambda n: items[:n])
)
LISTS = st.lists(LIST, min_size=1, max_size=5).filter(lambda lists: all(lists[:1]))


def mean(values):
    return math.fsum(values) / len(values)


def slow_gini(counts):
    """Half the mean absolute difference of two items, over the mean."""
    differences = [abs(a - b) for a in counts for b in counts]
    return mean(differences) / (2 * mean(counts))


def slow_similarity(items, feature):
    there = [i for i in items if feature[i].any()]
    cosines = [
        torch.cosine_similarity(feature[a], feature[b], dim=0).item()
        for n, a in enumerate(there)
        for b in there[:n]
    ]
    return mean(cosines) if cosines else None


@settings(max_examples=60, deadline=None)
@given(lists=LISTS, seed=st.integers(0, 9))
def test_every_metric_is_the_slow_definition(lists, seed):
    """Lists of 0 to 5 items; items 2 and 5 have no features."""
    feature = torch.randn(N_ITEMS, 3, generator=torch.Generator().manual_seed(seed))
    feature[[2, 5]] = 0.0
    padded = torch.tensor([[*items, *[-1] * (5 - len(items))] for items in lists])

    found = list_metrics.at_cutoffs(padded, CUTOFFS, TRAIN, {"visual": feature})

    bits = [-math.log2(max(1, n) / 3) for n in (3, 1, 0, 1, 0, 0, 0)]
    for k in CUTOFFS:
        tops = [items[:k] for items in lists]
        counts = [sum(i in top for top in tops) for i in range(N_ITEMS)]
        similar = [slow_similarity(top, feature) for top in tops]
        similar = [value for value in similar if value is not None]
        expected = {
            f"coverage@{k}": mean([count > 0 for count in counts]),
            f"gini@{k}": slow_gini(counts),
            f"novelty@{k}": mean([mean([bits[i] for i in top]) for top in tops if top]),
        }
        if similar:
            expected[f"visual_similarity@{k}"] = mean(similar)
        got = {name: value for name, value in found.items() if name.endswith(f"@{k}")}
        assert got == pytest.approx(expected, abs=2e-3)
        assert got[f"gini@{k}"] == pytest.approx(expected[f"gini@{k}"])


def test_the_same_list_for_everybody_covers_little_and_is_unequal():
    lists = torch.tensor([[0, 1]] * 10)

    found = list_metrics.at_cutoffs(lists, [2], TRAIN, {})

    assert found["coverage@2"] == pytest.approx(2 / 7)
    assert found["gini@2"] == pytest.approx(5 / 7)


def test_items_that_are_shown_equally_often_have_a_gini_index_of_0():
    assert list_metrics.gini(torch.tensor([3, 3, 3])) == pytest.approx(0.0)


def test_similarity_in_half_precision_is_close_with_many_dimensions():
    feature = torch.randn(N_ITEMS, 2000, generator=torch.Generator().manual_seed(1))
    lists = torch.tensor([[0, 1, 2, 3], [3, 4, 5, 6]])

    found = list_metrics.similarities(lists, [4], feature)

    expected = mean([slow_similarity(items, feature) for items in lists.tolist()])
    assert found[4] == pytest.approx(expected, abs=1e-4)
