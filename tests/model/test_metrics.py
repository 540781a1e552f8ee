import math

import pytest
import torch

from model.metrics import at_cutoffs, hit_ratio, ndcg, rank_of_target


def test_ties_count_against_the_target():
    """A constant scorer must not look perfect."""
    rank = rank_of_target(torch.zeros(3, 100))

    assert rank.tolist() == [99, 99, 99]
    assert hit_ratio(rank, k=10) == 0.0


def test_rank_counts_the_better_ones():
    scores = torch.tensor([[0.5, 0.9, 0.1, 0.6], [1.0, 0.0, 0.0, 0.0]])

    assert rank_of_target(scores).tolist() == [2, 0]


def test_a_score_of_nan_is_refused():
    """NaN compares false with everything and would be ranked first."""
    with pytest.raises(ValueError, match="NaN"):
        rank_of_target(torch.tensor([[float("nan"), 0.0]]))


def test_metrics_worked_by_hand():
    ranks = torch.tensor([0, 1, 4, 9])

    assert hit_ratio(ranks, 5) == 0.75
    assert ndcg(ranks, 5) == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(6)) / 4)
    assert list(at_cutoffs(ranks, [5, 10])) == ["hr@5", "ndcg@5", "hr@10", "ndcg@10"]
    assert at_cutoffs(ranks, [10])["hr@10"] == 1.0
