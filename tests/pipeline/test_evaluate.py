"""What evaluate computes; its command line is run in test_train.py."""

import polars as pl
import pytest
import torch

from pipeline.evaluate import _check_targets, metrics
from pipeline.job.errors import SchemaError
from pipeline.params.stages import Evaluate

FACTS = {
    "dataset": "sample", "model": "base", "architecture": "mcln", "seed": 7, "epoch": 5,
    "selected_on": "validation ndcg@10 (sampled)", "refit": True,
    "trained_on": "train and validation", "settings": {}, "budget": {},
}  # fmt: skip


def test_both_protocols_are_reported_with_their_candidates():
    table = metrics(
        torch.tensor([0, 7]),
        torch.tensor([3, 500]),
        FACTS,
        Evaluate(k=[5, 10]),
        n_negatives=99,
        n_items=900,
    )

    assert table["sampled"] == {
        "hr@5": 0.5, "recall@5": 0.5, "ndcg@5": 0.5, "mrr@5": 0.5,
        "hr@10": 1.0, "recall@10": 1.0, "mrr@10": pytest.approx((1 + 1 / 8) / 2),
        "ndcg@10": pytest.approx((1 + 1 / torch.log2(torch.tensor(9.0)).item()) / 2, rel=1e-6),
        "candidates": 100,
    }  # fmt: skip
    assert table["full"]["hr@5"] == 0.5
    assert (table["full"]["candidates"], table["full"]["mask"]) == (900, "train_validation")
    assert (table["seeds"], table["epoch"], table["optimistic"]) == ([7], 5, False)


def test_a_model_chosen_on_test_is_optimistic():
    facts = FACTS | {"selected_on": "test ndcg@10 (sampled)"}

    assert (
        metrics(torch.tensor([0]), torch.tensor([0]), facts, Evaluate(k=[5]), 99, 10)[
            "optimistic"
        ]
        is True
    )


def test_users_and_test_items_are_counted_separately():
    ranks, users = torch.tensor([0, 3, 9]), torch.tensor([4, 4, 6])

    table = metrics(ranks, ranks, FACTS, Evaluate(k=[5]), 99, 10, users, {"method": "ratio"})

    assert (table["n_users"], table["n_targets"]) == (2, 3)
    assert table["sampled"]["hr@5"] == 1 / 2  # of two users
    assert table["split"] == {"method": "ratio"}


def test_users_without_train_rows_may_have_no_candidates():
    test = pl.DataFrame({"user": [0, 0, 1], "item": [4, 3, 5]})
    train = pl.DataFrame({"user": [0, 2], "item": [9, 9]})

    _check_targets(test, torch.tensor([0, 0]), torch.tensor([4, 3]), train)
    with pytest.raises(SchemaError, match="run the stage split again"):
        _check_targets(test, torch.tensor([0]), torch.tensor([4]), train)


def test_candidates_of_another_split_are_refused():
    test = pl.DataFrame({"user": [0, 1], "item": [4, 5]})

    _check_targets(test, torch.tensor([0, 1]), torch.tensor([4, 5]))
    with pytest.raises(SchemaError, match="run the stage split again"):
        _check_targets(test, torch.tensor([0, 1]), torch.tensor([4, 6]))
