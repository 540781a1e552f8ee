"""Tests, confidence intervals and seeds; the command line is run in test_compare.py."""

import polars as pl
import pytest
from scipy.stats import ttest_rel

from pipeline.comparison import significance, user_metrics
from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s

N_ITEMS = 500
USERS = range(6)


def ranks(places, seed=7):
    rows = [(user, user, rank, rank, seed) for user, rank in enumerate(places)]
    return pl.DataFrame(rows, schema=s.RANKS, orient="row")


def part(first):
    rows = [(user, first + user, None) for user in USERS]
    return pl.DataFrame(rows, schema=s.INTERACTIONS, orient="row")


PARTS = {s.TRAIN: part(100), s.VALIDATION: part(200), s.TEST: part(0)}
BETTER, WORSE = ranks([0, 0, 0, 0, 0, 0]), ranks([1, 2, 3, 4, 5, 6])
MIXED = ranks([0, 1, 3, 4, 20, 3])


def pair(best, other, part="sampled", name="ndcg@10"):
    (row,) = significance.pairs(user_metrics.aligned({"a": other, "b": best}), "b", part, name)
    return row


def test_holm_multiplies_the_smallest_by_all_and_never_decreases():
    """Worked by hand: 3 * 0.01; 2 * 0.02; max(0.04, 1 * 0.03)."""
    assert significance.holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert significance.holm([0.9, 0.8]) == [1.0, 1.0]


def test_six_wins_of_six_have_the_exact_p_of_one_in_32():
    """All 6 signs alike: 2 of 2^6 sign patterns are as extreme."""
    row = pair(BETTER, WORSE)

    assert (row["wins"], row["ties"], row["losses"]) == (6, 0, 0)
    assert row["p_wilcoxon"] == pytest.approx(2 / 64)
    assert row["difference"] > 0


def test_the_t_test_is_paired_and_includes_ties():
    row = pair(MIXED, WORSE)

    values = [
        user_metrics.means(table)["sampled ndcg@10"].to_numpy() for table in (MIXED, WORSE)
    ]
    assert row["p_t"] == pytest.approx(ttest_rel(*values).pvalue)
    assert (row["wins"], row["ties"], row["losses"]) == (3, 2, 1)


def test_models_that_rank_alike_do_not_differ():
    row = pair(BETTER, BETTER)

    assert (row["p_t"], row["p_wilcoxon"], row["p_t_holm"], row["ties"]) == (1.0, 1.0, 1.0, 6)


def test_equal_differences_of_all_users_have_p_0_in_the_t_test():
    """A variance of 0, which scipy warns about."""
    assert pair(BETTER, ranks([20] * 6))["p_t"] == 0.0


def test_against_the_best_model_is_wilcoxons_test_with_its_exact_p():
    """All 6 signs alike: 2 of 2^6 sign patterns are as extreme."""
    (row,) = significance.against_best({"a": WORSE, "b": BETTER}, best="b")

    assert (row["best"], row["other"], row["n_users"], row["n_different"]) == (
        "b",
        "a",
        6,
        6,
    )
    assert row["p"] == pytest.approx(2 / 64)
    assert row["mean_difference"] > 0


def test_models_that_rank_alike_have_p_1_against_the_best():
    (row,) = significance.against_best({"a": BETTER, "b": BETTER}, best="a")

    assert (row["p"], row["p_holm"], row["mean_difference"]) == (1.0, 1.0, 0.0)


def test_ranks_of_different_users_are_not_compared():
    with pytest.raises(SchemaError, match="have different users"):
        significance.against_best({"a": ranks([0, 1]), "b": ranks([0])}, best="a")


def test_each_metric_is_corrected_separately():
    tables = {"best": BETTER, "a": WORSE, "b": MIXED, "c": ranks([1, 0, 0, 0, 0, 0])}

    rows = significance.pairs(user_metrics.aligned(tables), "best", "full", "ndcg@10")

    assert [row["other"] for row in rows] == ["a", "b", "c"]
    plain = [row["p_wilcoxon"] for row in rows]
    assert [row["p_wilcoxon_holm"] for row in rows] == significance.holm(plain)


def test_the_standard_deviation_over_seeds_is_that_of_a_sample_and_none_for_one_seed():
    """HR@5 of the two seeds: 5/6 and 3/6."""
    two = pl.concat([ranks([0, 1, 3, 4, 20, 3]), ranks([0, 0, 0, 9, 9, 9], seed=8)])

    assert significance.over_seeds(two, "sampled", "hr@5") == (
        2,
        pytest.approx((2 / 6) / 2**0.5),
    )
    assert significance.over_seeds(MIXED, "sampled", "hr@5") == (1, None)


def test_every_metric_has_a_confidence_interval_and_a_run_repeats():
    tables = {"a": WORSE, "b": MIXED}

    content = significance.table(tables, PARTS, "b", N_ITEMS, 99, seed=3)

    assert content == significance.table(tables, PARTS, "b", N_ITEMS, 99, seed=3)
    row = content["models"]["b"]["sampled"]["hr@5"]
    assert row["value"] == pytest.approx(5 / 6)
    assert row["low"] < row["value"] <= row["high"] == 1.0
    assert (row["seeds"], row["sd"]) == (1, None)
    assert 0 < row["redrawn"]["mean"] < 1
    assert "redrawn" not in content["models"]["b"]["full"]["hr@5"]
    assert len(content["pairs"]) == 2 * len(user_metrics.names())
    (tested,) = (
        x for x in content["pairs"] if (x["part"], x["name"]) == ("sampled", "ndcg@10")
    )
    assert tested["low"] < tested["difference"] < tested["high"]
    assert content["protocols"]["measures"]["hr@5"]["sampled"] == ["b", "a"]
    assert content != significance.table(tables, PARTS, "b", N_ITEMS, 99, seed=4)


def test_a_user_with_several_targets_counts_once():
    """User 0 hits with both targets, the others miss: 2 of 7 targets, 1 of 6 users."""
    rows = [(0, 50, 0, 401, 7), *((user, user, 9 * bool(user), 400, 7) for user in USERS)]
    both = pl.DataFrame(rows, schema=s.RANKS, orient="row")
    test = pl.concat([PARTS[s.TEST], part(50)[:1]])

    content = significance.table(
        {"a": both, "b": both}, PARTS | {s.TEST: test}, "a", N_ITEMS, 99, seed=1
    )

    assert (content["n_users"], content["n_targets"]) == (6, 7)
    measured = content["models"]["a"]["sampled"]["hr@5"]
    assert measured["value"] == pytest.approx(1 / 6)
    assert measured["low"] < 2 / 7 < measured["high"]
    assert "redrawn" not in measured
    assert {row["n_users"] for row in content["pairs"]} == {6}
