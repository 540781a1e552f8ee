import gzip
import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from limits import ledger
from paths import SHARED

from pipeline import kcore, params
from pipeline.interactions.filters import Filters, filtered
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.sources import amazon2018
from pipeline.tables.schema import RAW_ITEMS, REVIEWS

GIFT_CARDS = SHARED / "gift_cards"
needs_shared = pytest.mark.skipif(
    not GIFT_CARDS.is_dir(), reason="the published data are not in ../shared/data"
)

DAY = 86400
ITEMS = pl.DataFrame(
    [("x", "t", None, "x.jpg"), ("y", "t", None, " "), ("z", " ", None, None)],
    schema=RAW_ITEMS,
    orient="row",
)
ROWS = [
    ("a", "x", 0, 5.0, None, True),
    ("a", "y", DAY - 1, 4.0, None, False),
    ("b", "y", DAY, 3.5, None, None),
    ("b", "z", None, None, None, True),
]
TABLE = pl.DataFrame(ROWS, schema=REVIEWS | {"verified": pl.Boolean}, orient="row")


def kept(**filters):
    passed, _ = filtered(TABLE, ITEMS, Filters(**filters))
    return [(user, item) for user, item, *_ in passed.rows()]


CASES = {
    "nothing asked for": ({}, ["ax", "ay", "by", "bz"]),
    "stars, the limit is in": ({"min_rating": 4.0}, ["ax", "ay"]),
    "bought": ({"verified": True}, ["ax", "bz"]),
    "from a day on": ({"since": date(1970, 1, 2)}, ["by"]),
    "before a day": ({"before": date(1970, 1, 2)}, ["ax", "ay"]),
    "a field": ({"require": ["image"]}, ["ax"]),
    "two fields": ({"require": ["title", "image"]}, ["ax"]),
    "several": ({"min_rating": 3.5, "since": date(1970, 1, 2), "require": ["title"]}, ["by"]),
}


@pytest.mark.parametrize(("filters", "pairs"), CASES.values(), ids=CASES)
def test_a_review_with_a_missing_value_does_not_pass(filters, pairs):
    assert kept(**filters) == [tuple(pair) for pair in pairs]


def test_a_user_with_more_items_is_left_out_whole():
    """Items are counted, not reviews."""
    again = pl.DataFrame([("b", "y", 5, 1.0, None, None)], TABLE.schema, orient="row")
    table = pl.concat([TABLE, again, again.with_columns(item=pl.lit("x"))])

    passed, steps = filtered(table, ITEMS, Filters(max_per_user=2))

    assert passed["user"].to_list() == ["a", "a"]
    assert steps[-1] == {
        "filter": "max_per_user", "value": 2, "users": 1, "items": 2, "reviews": 2
    }  # fmt: skip


def test_stars_without_an_exact_float_are_compared_in_the_column_s_precision():
    """3.3 as float32 is a little less than 3.3."""
    table = TABLE.with_columns(pl.lit(3.3).cast(pl.Float32).alias("rating"))

    assert filtered(table, ITEMS, Filters(min_rating=3.3))[0].height == 4


def test_days_begin_at_midnight_in_utc_also_before_1970():
    times = [datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    seconds = pl.Series("timestamp", [int(time.timestamp()) for time in times] * 2)

    passed, _ = filtered(TABLE.with_columns(seconds), ITEMS, Filters(since=date(1970, 1, 1)))

    assert passed["timestamp"].to_list() == [0, 0]


def test_each_step_has_the_counts_after_it():
    _, steps = filtered(TABLE, ITEMS, Filters(min_rating=3.5, verified=True, require=["title"]))

    assert [tuple(one.values()) for one in steps] == [
        ("all reviews", None, 2, 3, 4),
        ("min_rating", 3.5, 2, 2, 3),
        ("verified", True, 1, 1, 1),
        ("require", ["title"], 1, 1, 1),
    ]


UNKNOWN = {
    "no column": (TABLE.drop("verified"), {"verified": True}, "kcore.verified: .* a verified"),
    "no stars": (
        TABLE.with_columns(pl.lit(None, dtype=pl.Float32).alias("rating")),
        {"min_rating": 1.0},
        "kcore.min_rating: .* have a rating",
    ),
    "no times": (
        TABLE.with_columns(pl.lit(None, dtype=pl.Int64).alias("timestamp")),
        {"before": date(2020, 1, 1)},
        "kcore.before: .* have a timestamp",
    ),
    "no field": (TABLE, {"require": ["smell"]}, "kcore.require: no item field 'smell'"),
}


@pytest.mark.parametrize(("table", "filters", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_filter_on_a_missing_column_is_refused(table, filters, message):
    with pytest.raises(ParamsError, match=message):
        filtered(table, ITEMS, Filters(**filters))


def test_no_review_that_passes_is_an_error_with_the_counts():
    message = r"no review passes \(all reviews: 2 users.*; min_rating 6.0: 0 users, 0 items, 0"

    with pytest.raises(RawDataError, match=message):
        filtered(TABLE, ITEMS, Filters(min_rating=6.0))


# As docs/data.md has them.
COUNTS = {
    "stars": ({"min_rating": 4.0}, (430, 144, 2792)),
    "bought": ({"verified": True}, (409, 141, 2640)),
    "fields": ({"require": ["title", "image"]}, (298, 102, 1855)),
    "dates": ({"since": date(2014, 1, 1)}, (443, 147, 2883)),
}


@needs_shared
@pytest.mark.parametrize(("filters", "counts"), COUNTS.values(), ids=COUNTS)
def test_counts_of_a_real_category_are_those_of_a_slow_script(filters, counts):
    source = params.AmazonSource(format="amazon2018", category="Gift_Cards")
    tables = amazon2018.read(source, GIFT_CARDS, ledger(0))

    core, _, _ = kcore.filtered(*tables, 5, rules=Filters(**filters))

    assert (core["user"].n_unique(), core["item"].n_unique(), core.height) == counts
    assert set(core.select("user", "item").rows()) == slowly(**filters)


def slowly(min_rating=0, verified=False, require=(), since=None):
    """The same with loops, from the published lines."""

    def lines(name):
        with gzip.open(GIFT_CARDS / name, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    products = {}
    for product in lines("meta_Gift_Cards.json.gz"):
        products.setdefault(product["asin"], product)
    has = {"title": lambda p: p["title"], "image": lambda p: any(p["imageURL"])}
    good = {asin for asin, p in products.items() if all(has[field](p) for field in require)}
    first = datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp() if since else 0
    left = {
        (r["reviewerID"], r["asin"])
        for r in lines("Gift_Cards_5.json.gz")
        if r["overall"] >= min_rating
        and (r["verified"] or not verified)
        and r["unixReviewTime"] >= first
        and (r["asin"] in good or not require)
    }
    while True:
        n_items, n_users = {}, {}
        for user, item in left:
            n_items[user] = n_items.get(user, 0) + 1
            n_users[item] = n_users.get(item, 0) + 1
        kept = {(u, i) for u, i in left if n_items[u] >= 5 and n_users[i] >= 5}
        if kept == left:
            return left
        left = kept
