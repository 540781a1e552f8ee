import polars as pl
import pytest

from pipeline.interactions.splits import leave_one_out
from pipeline.job.errors import RawDataError
from pipeline.split import candidates
from pipeline.tables.schema import CANDIDATES, INTERACTIONS


def table(rows):
    return pl.DataFrame(rows, schema=INTERACTIONS, orient="row")


PARTS = leave_one_out(table([(u, (u + k) % 120, k) for u in range(40) for k in range(6)]))


def test_the_last_item_is_the_test_and_the_one_before_the_validation():
    """Equal times keep the order in which the rows stand."""
    parts = leave_one_out(table([(0, 5, 1), (0, 4, 2), (0, 9, 2), (1, 7, 1), (1, 8, 2)]))

    assert parts["test"].rows() == [(0, 9, 2)]
    assert parts["validation"].rows() == [(0, 4, 2)]
    assert parts["train"].rows() == [(0, 5, 1), (1, 7, 1), (1, 8, 2)]


def test_candidates_are_99_distinct_items_that_the_user_never_met():
    drawn = candidates(PARTS, n_items=120, seed=1)
    met = pl.concat(PARTS.values())

    assert dict(drawn.schema) == CANDIDATES
    assert drawn["part"].to_list() == ["validation"] * 40 + ["test"] * 40
    for user, _, target, negatives in drawn.rows():
        met_items = set(met.filter(pl.col("user") == user)["item"])
        assert len(set(negatives)) == 99
        assert not met_items & set(negatives)
        assert target in met_items


def test_candidates_are_drawn_once_from_the_seed():
    assert candidates(PARTS, 120, seed=1).equals(candidates(PARTS, 120, seed=1))
    assert not candidates(PARTS, 120, seed=1).equals(candidates(PARTS, 120, seed=2))


def test_candidates_are_uniform_over_unmet_items():
    one = leave_one_out(table([(u, k, k) for u in range(2000) for k in range(3)]))
    drawn = candidates(one, n_items=203, seed=3)

    counts = drawn["negatives"].explode().value_counts()["count"]

    # 4000 lists of 99 of 200 items: each item 1980 times, standard deviation 32.
    assert len(counts) == 200
    assert counts.min() > 1980 - 160
    assert counts.max() < 1980 + 160


def test_a_catalogue_too_small_for_99_negatives_is_an_error():
    with pytest.raises(RawDataError, match=r"user \d+ met 6 of 104 items.*larger catalogue"):
        candidates(leave_one_out(table([(0, k, k) for k in range(6)])), 104, seed=1)
