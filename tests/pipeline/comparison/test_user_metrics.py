"""Metrics per user and per held-out item, and the bootstrap."""

import math

import numpy as np
import polars as pl
import pytest

from pipeline.comparison import user_metrics
from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s


def ranks(sampled, full=None, seed=7):
    pairs = zip(sampled, full or sampled, strict=True)
    rows = [(user, 0, *both, seed) for user, both in enumerate(pairs)]
    return pl.DataFrame(rows, schema=s.RANKS, orient="row")


def test_ndcg_of_a_user_is_the_discount_of_a_hit():
    metrics = user_metrics.means(ranks([0, 1, 9, 10]))

    assert metrics["sampled ndcg@10"].to_list() == pytest.approx(
        [1.0, 1 / math.log2(3), 1 / math.log2(11), 0.0]
    )
    assert metrics["sampled ndcg@5"].to_list()[2:] == [0.0, 0.0]


def test_hits_are_counted_in_each_protocol():
    metrics = user_metrics.means(ranks([0, 4, 5], full=[9, 10, 4]))

    assert metrics["sampled hr@5"].to_list() == [1.0, 1.0, 0.0]
    assert metrics["full hr@5"].to_list() == [0.0, 0.0, 1.0]
    assert metrics["full hr@10"].to_list() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("cutoffs", "k"), [((5, 10), 10), ((20, 50), 20), ((1, 5), 5), ((5, 10, 20), 10), ((3,), 3)]
)
def test_the_columns_follow_the_cutoffs(cutoffs, k):
    table = user_metrics.means(ranks([0, 30]), names=user_metrics.names(cutoffs))

    assert user_metrics.columns(table) == [
        (part, f"{measure}@{at}")
        for part in ("sampled", "full")
        for at in cutoffs
        for measure in ("hr", "ndcg")
    ]
    hits = [table[f"full hr@{at}"].to_list() for at in cutoffs]
    assert hits == [[1.0, float(at > 30)] for at in cutoffs]
    assert user_metrics.leading(cutoffs) == ("sampled", f"ndcg@{k}")
    assert user_metrics.leading(cutoffs, f"full recall@{k + 1}")[1] in (
        f"recall@{k}",
        f"recall@{max(cutoffs)}",
    )


@pytest.mark.parametrize("names", [[], ["hr@5", "ndcg@5"], ["hr@20"]])
def test_models_measured_at_other_cutoffs_are_refused(names):
    of_a = {part: {"hr@20": 0.5, "ndcg@20": 0.5} for part in ("sampled", "full")}
    of_b = {part: dict.fromkeys(names, 0.5) for part in ("sampled", "full")}

    assert user_metrics.cutoffs_of({"a": of_a}) == (20,)
    with pytest.raises(SchemaError, match=r"b/metrics\.json: expected sampled hr, ndcg at k"):
        user_metrics.cutoffs_of({"a": of_a, "b": of_b})


def test_seeds_of_a_user_are_averaged():
    both = pl.concat([ranks([0]), ranks([10], seed=8)])

    assert user_metrics.means(both)["sampled ndcg@10"].to_list() == [0.5]


def test_models_that_ranked_different_users_are_refused():
    with pytest.raises(SchemaError, match=r"a and b: .*have different users"):
        user_metrics.aligned({"a": ranks([0, 1]), "b": ranks([0])})


def test_the_columns_share_the_draws_of_the_bootstrap(monkeypatch):
    """In blocks of two resamples; a column and twice the column stay so."""
    monkeypatch.setattr(user_metrics, "BLOCK", 10)
    values = np.arange(5.0)[:, None] * [1.0, 2.0]

    means = user_metrics.resampled(values, np.random.default_rng(3), resamples=7)

    drawn = np.random.default_rng(3)
    expected = [row for _ in range(3) for row in drawn.integers(5, size=(2, 5))]
    expected.append(drawn.integers(5, size=(1, 5))[0])
    assert means[:, 0] == pytest.approx([values[row, 0].mean() for row in expected])
    assert means[:, 1] == pytest.approx(2 * means[:, 0])


def test_an_interval_is_that_of_the_normal_approximation_where_there_are_many_users():
    values = np.random.default_rng(0).random((2000, 1))
    means = user_metrics.resampled(values, np.random.default_rng(1), resamples=4000)

    low, high = user_metrics.intervals(means)[:, 0]

    half = 1.96 * values.std() / math.sqrt(2000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=8e-4)


def test_several_targets_of_a_user_are_kept_apart_or_averaged():
    rows = [(3, 1, 0, 0, 7), (3, 0, 10, 0, 7), (2, 9, 10, 0, 7)]
    table = pl.DataFrame(rows, schema=s.RANKS, orient="row")

    by_target = user_metrics.means(table, user_metrics.TARGETS)

    assert by_target.select("user", "item", "sampled hr@5").rows() == [
        (2, 9, 0.0),
        (3, 0, 0.0),
        (3, 1, 1.0),
    ]
    assert user_metrics.means(table)["sampled hr@5"].to_list() == [0.0, 0.5]
