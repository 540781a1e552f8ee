import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.measures import FULL, MEASURES, SAMPLED, split_metric
from model.metrics import UserRanks, at_cutoffs, place_in_group, rank_of_target


def slow(protocol, measure, k, ranks_of_user):
    """The metric of one user, from the 0-based ranks of their held-out items."""
    if protocol == SAMPLED and len(ranks_of_user) > 1:
        return math.fsum(slow(protocol, measure, k, [r]) for r in ranks_of_user) / len(
            ranks_of_user
        )
    n, hits = len(ranks_of_user), sorted(r for r in ranks_of_user if r < k)
    if measure == "hr":
        return float(bool(hits))
    if measure == "recall":
        return len(hits) / n
    if measure == "precision":
        return len(hits) / k
    if measure == "mrr":
        return 1 / (hits[0] + 1) if hits else 0.0
    if measure == "map":
        precisions = [sum(h <= r for h in hits) / (r + 1) for r in hits]
        return math.fsum(precisions) / min(n, k)
    gains = math.fsum(1 / math.log2(r + 2) for r in hits)
    return gains / math.fsum(1 / math.log2(i + 2) for i in range(min(n, k)))


USERS = st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=5), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(of_users=USERS, order=st.randoms(use_true_random=False), k=st.integers(1, 14))
def test_every_metric_is_the_slow_definition(of_users, order, k):
    """Users have one to five held-out items, in any order of rows."""
    rows = [(user, rank) for user, ranks in enumerate(of_users) for rank in ranks]
    order.shuffle(rows)
    users, ranks = torch.tensor(rows).T

    for protocol, measures in MEASURES.items():
        values = at_cutoffs(protocol, ranks, [k], users)
        assert list(values) == [f"{measure}@{k}" for measure in measures]
        per_user = UserRanks.of(protocol, ranks, users)
        for measure in measures:
            expected = [slow(protocol, measure, k, list(of_user)) for of_user in of_users]
            assert per_user.per_user(f"{measure}@{k}").tolist() == pytest.approx(expected)
            assert values[f"{measure}@{k}"] == pytest.approx(sum(expected) / len(expected))


def test_ties_count_against_the_target():
    """A constant scorer must not look perfect."""
    rank = rank_of_target(torch.zeros(3, 100))

    assert rank.tolist() == [99, 99, 99]
    assert at_cutoffs(SAMPLED, rank, [10])["hr@10"] == 0.0


def test_rank_counts_the_better_ones():
    scores = torch.tensor([[0.5, 0.9, 0.1, 0.6], [1.0, 0.0, 0.0, 0.0]])

    assert rank_of_target(scores).tolist() == [2, 0]


def test_a_score_of_nan_is_refused():
    """NaN compares false with everything and would be ranked first."""
    with pytest.raises(ValueError, match="NaN"):
        rank_of_target(torch.tensor([[float("nan"), 0.0]]))


@pytest.mark.parametrize("protocol", [SAMPLED, FULL])
def test_one_target_a_user_worked_by_hand(protocol):
    """To the last bit what they were when each held-out item was measured by itself."""
    ranks = torch.tensor([0, 1, 4, 9])

    values = at_cutoffs(protocol, ranks, [5])

    assert values["hr@5"] == values["recall@5"] == (ranks < 5).double().mean().item() == 0.75
    gains = torch.where(ranks < 5, 1.0 / torch.log2(ranks.double() + 2.0), 0.0)
    assert values["ndcg@5"] == gains.mean().item()
    assert values["ndcg@5"] == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(6)) / 4)
    assert values["mrr@5"] == pytest.approx((1 + 1 / 2 + 1 / 5) / 4)


def test_several_targets_worked_by_hand():
    """Hits at the places 1 and 3 of a list of 3, of four held-out items."""
    values = at_cutoffs(FULL, torch.tensor([0, 2, 7, 9]), [3], torch.zeros(4).long())

    assert values == {
        "hr@3": 1.0,
        "recall@3": 0.5,
        "precision@3": pytest.approx(2 / 3),
        "ndcg@3": pytest.approx(1.5 / (1 + 1 / math.log2(3) + 0.5)),
        "map@3": pytest.approx((1 + 2 / 3) / 3),
        "mrr@3": 1.0,
    }


def test_equal_values_have_successive_places():
    group, values = torch.tensor([1, 0, 1, 1, 0]), torch.tensor([5.0, 2.0, 5.0, 1.0, 2.0])

    assert place_in_group(group, values).tolist() == [1, 0, 2, 0, 1]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("ndcg@10", "expected sampled or full"),
        ("full", "expected a measure and k"),
        ("full recall@0", "expected a measure and k"),
        ("full recall", "expected a measure and k"),
        ("sampled map@10", "expected one of hr, recall, ndcg, mrr in the sampled ranking"),
        ("full auc@10", "expected one of hr, recall, precision"),
    ],
)
def test_a_metric_that_does_not_exist_is_refused(metric, message):
    with pytest.raises(ValueError, match=message):
        split_metric(metric)
