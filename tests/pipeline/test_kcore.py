import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ParamsError, RawDataError
from pipeline.kcore import as_published, distinct_pairs, filtered, k_core, numbered, statistics
from pipeline.schema import RAW_ITEMS, REVIEWS


def reviews(rows):
    """Rows of (user, item, time)."""
    full = [(user, item, time, 5.0, None) for user, item, time in rows]
    return pl.DataFrame(full, schema=REVIEWS, orient="row")


def catalogue(*ids, title="t"):
    return pl.DataFrame([(i, title, None, None) for i in ids], schema=RAW_ITEMS, orient="row")


def pairs(text):
    """`ax ay bx` -> users a, b and items x, y."""
    rows = [(p[0], p[1]) for p in text.split()]
    return pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String}, orient="row")


def test_removal_goes_on_until_nothing_changes():
    """Dropping c makes z too rare, which makes d too rare: one pass is wrong."""
    core, rounds = k_core(pairs("ax ay bx by cz dz dx"), k=2)

    assert core.rows() == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    assert [r["interactions"] for r in rounds] == [7, 6, 5, 4]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), unique=True), st.integers(1, 4)
)
def test_the_core_is_the_largest_set_with_k_everywhere(rows, k):
    table = pl.DataFrame(rows, schema={"user": pl.Int64, "item": pl.Int64}, orient="row")
    left = set(rows)
    while True:  # the definition, slowly
        kept = {
            (u, i) for u, i in left
            if sum(a == u for a, _ in left) >= k and sum(b == i for _, b in left) >= k
        }  # fmt: skip
        if kept == left:
            break
        left = kept

    core, _ = k_core(table, k)

    assert core.rows() == [row for row in rows if row in left]
    assert k_core(core, k)[0].equals(core)


def test_of_repeated_pairs_the_earliest_stays():
    table = reviews([("a", "x", 9), ("a", "y", 5), ("a", "x", 3), ("a", "y", 5)])

    assert distinct_pairs(table)["timestamp"].to_list() == [5, 3]


def test_an_empty_core_says_so_with_the_counts_of_each_round():
    table = reviews([("a", "x", 1), ("b", "x", 1), ("b", "y", 1)])

    with pytest.raises(
        RawDataError, match=r"5-core is empty \(round 0: 2 users, 2 items, 3 pairs; round 1: 0"
    ):
        filtered(table, catalogue("x", "y"), k=5, require=[])


def test_items_that_lack_a_required_field_go_before_the_filter():
    table = reviews([(u, i, 1) for u in "ab" for i in "xyz"])
    items = pl.concat([catalogue("x", "y"), catalogue("z", title=" ")])

    core, _ = filtered(table, items, k=2, require=["title"])

    assert sorted(core["item"].unique()) == ["x", "y"]
    with pytest.raises(ParamsError, match=r"kcore.require: no item field 'smell'"):
        filtered(table, items, k=2, require=["smell"])


def test_ids_follow_raw_ids_and_rows_follow_time_then_the_file():
    table = reviews([("b", "0x", 2), ("a", "X", 7), ("a", "0x", 7), ("a", "9", 1)])
    core, _ = k_core(distinct_pairs(table), 1)

    interactions, users, items = numbered(core, catalogue("X", "9", "0x", "unused"))

    assert users["raw_id"].to_list() == ["a", "b"]
    assert items["raw_id"].to_list() == ["0x", "9", "X"]
    assert interactions.rows() == [(0, 1, 1), (0, 2, 7), (0, 0, 7), (1, 0, 2)]


def test_a_published_split_keeps_its_ids_repeats_and_unused_items():
    rows = [("10", "2", None, None, "train"), ("0", "1", None, None, "train"),
            ("10", "2", None, None, "train"), ("10", "2", None, None, "validation"),
            ("0", "0", None, None, "test")]  # fmt: skip
    table = pl.DataFrame(rows, schema=REVIEWS, orient="row")

    interactions, users, items = as_published(table, catalogue("0", "1", "2", "11"))

    assert interactions.rows() == [(0, 1, None), (0, 0, None), (10, 2, None), (10, 2, None)]
    assert users.height == 11
    assert items["item"].to_list() == [0, 1, 2, 11]


def test_statistics_are_table_1():
    interactions = pl.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1]})

    table = statistics(interactions, n_items=3, rounds=[])

    assert (table["users"], table["items"], table["interactions"]) == (2, 3, 3)
    assert table["density"] == 0.5
