import polars as pl
import pytest

from pipeline.interactions.splits import leave_one_out
from pipeline.job.errors import RawDataError
from pipeline.split import candidates, published_parts
from pipeline.tables.schema import CANDIDATES, INTERACTIONS, REVIEWS, USERS


def table(rows):
    return pl.DataFrame(rows, schema=INTERACTIONS, orient="row")


def named(n_users):
    return pl.DataFrame([(u, f"u{u}") for u in range(n_users)], schema=USERS, orient="row")


def drawn_of(n=99, seed=1):
    return candidates(PARTS, named(40), 120, n, seed)


PARTS = leave_one_out(table([(u, (u + k) % 120, k) for u in range(40) for k in range(6)]))


def test_the_last_item_is_the_test_and_the_one_before_the_validation():
    """Equal times keep the order in which the rows stand."""
    parts = leave_one_out(table([(0, 5, 1), (0, 4, 2), (0, 9, 2), (1, 7, 1), (1, 8, 2)]))

    assert parts["test"].rows() == [(0, 9, 2)]
    assert parts["validation"].rows() == [(0, 4, 2)]
    assert parts["train"].rows() == [(0, 5, 1), (1, 7, 1), (1, 8, 2)]


def test_leave_one_out_of_which_nothing_can_be_held_out_stops_with_the_counts():
    two_each = table([(u, k, k) for u in range(900) for k in range(2)])

    with pytest.raises(RawDataError, match=r"got 900 users with one or two each, 1800 inter"):
        leave_one_out(two_each)


def test_a_published_split_without_a_part_stops_with_the_counts():
    rows = [("0", "1", None, None, part) for part in ("train", "validation")]

    with pytest.raises(
        RawDataError, match=r"got none in test \({'train': 1, 'validation': 1, "
    ):
        published_parts(pl.DataFrame(rows, REVIEWS, orient="row"))


@pytest.mark.parametrize("n", [1, 7, 99, 114])
def test_candidates_are_distinct_items_that_the_user_never_met(n):
    """As many as asked for, at most all 114."""
    drawn = drawn_of(n)
    met = pl.concat(PARTS.values())

    assert dict(drawn.schema) == CANDIDATES
    assert drawn["part"].to_list() == ["validation"] * 40 + ["test"] * 40
    for user, _, target, negatives in drawn.rows():
        met_items = set(met.filter(pl.col("user") == user)["item"])
        assert len(set(negatives)) == n
        assert not met_items & set(negatives)
        assert target in met_items


def test_candidates_are_drawn_once_from_the_seed():
    assert drawn_of().equals(drawn_of())
    assert not drawn_of().equals(drawn_of(seed=2))


def test_candidates_are_uniform_over_unmet_items():
    one = leave_one_out(table([(u, k, k) for u in range(2000) for k in range(3)]))
    drawn = candidates(one, named(2000), n_items=203, n=99, seed=3)

    counts = drawn["negatives"].explode().value_counts()["count"]

    # 4000 lists of 99 of 200 items: each item 1980 times, standard deviation 32.
    assert len(counts) == 200
    assert counts.min() > 1980 - 160
    assert counts.max() < 1980 + 160


FEW = leave_one_out(table([(0, k, k) for k in range(4)] + [(1, k, k) for k in range(6)]))


def test_a_user_with_too_few_other_items_is_named_with_the_setting_to_lower():
    message = (
        "user 'u1' met 6 of 104 items; expected at least 99 others to draw candidates from, "
        "got 98. Lower evaluate.candidates to 98, or use a larger catalogue"
    )
    with pytest.raises(RawDataError, match=f"{message}.*kcore.max_per_user: 5$"):
        candidates(FEW, named(2), 104, 99, 1)
    assert candidates(FEW, named(2), 104, 98, 1).height == 4


def test_a_user_who_met_every_item_is_named():
    with pytest.raises(RawDataError, match=r"user 'u1' met 6 of 6 .* got 0\. Use a larger"):
        candidates(FEW, named(2), 6, 1, 1)


def test_no_account_is_left_out_where_the_catalogue_is_too_small():
    with pytest.raises(RawDataError, match=r"Lower evaluate.candidates, .* kcore.k\)$"):
        candidates(FEW, named(2), 6, 99, 1)


def test_a_user_of_whom_nothing_is_ranked_needs_no_candidates():
    ranked = {name: rows.filter(pl.col("user") == 0) for name, rows in FEW.items()}

    assert candidates(FEW, named(2), 8, 4, 1, ranked)["user"].to_list() == [0, 0]
