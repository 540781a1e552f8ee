"""Each record of the raw files is an interaction, a bad line or filtered."""

import pytest

from pipeline.interactions.record_counts import reconciled
from pipeline.job.errors import RawDataError

READ = {"records": 10, "bad_lines": 1}
STEPS = [
    {"filter": "all reviews", "reviews": 9},
    {"filter": "min_rating", "reviews": 7},
    {"filter": "repeated pairs", "reviews": 6},
]


def test_what_each_filter_and_the_core_dropped():
    assert reconciled(READ, 9, STEPS, 4) == {
        "records": 10,
        "bad_lines": 1,
        "filtered": {"min_rating": 2, "repeated pairs": 1, "core": 2},
        "interactions": 4,
    }


def test_reviews_that_ingest_did_not_count_are_counted_from_there():
    assert reconciled(None, 9, STEPS, 4)["records"] == 9


@pytest.mark.parametrize(
    ("read", "n_reviews", "n_interactions"),
    [
        ({"records": 12, "bad_lines": 1}, 9, 4),  # two reviews are missing
        (READ, 6, 4),  # the filters say more than there were
        (READ, 9, 7),  # the core has more than it was given
    ],
)
def test_numbers_that_do_not_add_up_are_refused(read, n_reviews, n_interactions):
    with pytest.raises(RawDataError, match="expected records = interactions"):
        reconciled(read, n_reviews, STEPS, n_interactions)
