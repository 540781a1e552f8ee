"""The files are made here, with the keys and the types of the published ones."""

import gzip
import json

import pytest
from limits import ledger

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.sources import readers
from pipeline.tables.schema import REVIEWS

LARGE = "https://m.media-amazon.com/images/I/41qfjSfqNyL.jpg"
HIGH = "https://m.media-amazon.com/images/I/71i77AuI9xL._SL1500_.jpg"
THUMB = "https://m.media-amazon.com/images/I/41qfjSfqNyL._SS40_.jpg"


def review(user="AGKH", item="B01C", **more):
    return {
        "rating": 5.0,
        "title": "Lovely",
        "text": "A scent that is not too strong.",
        "images": [],
        "asin": "B00YQ6X8EO",
        "parent_asin": item,
        "user_id": user,
        "timestamp": 1588687728923,
        "helpful_vote": 0,
        "verified_purchase": True,
        **more,
    }


def picture(variant="MAIN", **sizes):
    return {"thumb": THUMB, "large": LARGE, "variant": variant, "hi_res": None, **sizes}


def product(item="B01C", **more):
    return {
        "main_category": "All Beauty",
        "title": "Howard &amp; Co",
        "average_rating": 4.8,
        "rating_number": 10,
        "features": [],
        "description": ["one", "two"],
        "price": None,
        "images": [picture()],
        "videos": [],
        "store": "Howard Products",
        "categories": [],
        "details": {"UPC": "617390882781"},
        "parent_asin": item,
        "bought_together": None,
        **more,
    }


def pack(path, lines):
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def read(folder, reviews, products=(), limit=0):
    source = params.Amazon2023Source(format="amazon2023", category="All_Beauty")
    pack(folder / "All_Beauty.jsonl.gz", map(json.dumps, reviews))
    pack(folder / "meta_All_Beauty.jsonl.gz", map(json.dumps, products))
    return readers.get("amazon2023").read(source, folder, ledger(limit))


def test_reviews_are_of_the_parent_and_milliseconds_become_seconds(tmp_path):
    """Whatever the last three digits, and with or without a slow look at the lines."""
    rows = [review(), review("B", timestamp=1588687728000, verified_purchase=False)]

    fast = read(tmp_path, rows).reviews
    slow = read(tmp_path, [*rows, review("C", verified_purchase="no")]).reviews

    assert fast.columns == [*REVIEWS, "verified"]
    assert fast.rows() == [
        ("AGKH", "B01C", 1588687728, 5.0, None, True),
        ("B", "B01C", 1588687728, 5.0, None, False),
    ]
    assert slow.head(2).equals(fast)
    assert slow.row(2)[-1] is False


def test_a_batch_that_arrow_refuses_is_read_to_the_same_end(tmp_path):
    """A description that is a text and not a list, as dumps have it."""
    usual = product("A", images=[picture(hi_res=HIGH)])
    odd = product("B", description="a text", images=None)

    one = read(tmp_path, [review(item="A")], [usual]).items
    two = read(tmp_path, [review(item="A"), review(item="B")], [usual, odd]).items

    assert two.head(1).equals(one)
    assert two.row(1)[:4] == ("B", "Howard & Co", "a text", None)


@pytest.mark.parametrize(
    "time", [-1, 1588687728, 4102444800000, 1588687728923.5, "1588687728923", None]
)
def test_a_time_that_is_none_is_named(tmp_path, time):
    message = (
        r"All_Beauty\.jsonl\.gz:2: .* 'timestamp' with a time in milliseconds since 1970, got "
    )

    with pytest.raises(RawDataError, match=message):
        read(tmp_path, [review(), review("B", timestamp=time)])


def test_items_are_joined_on_the_parent(tmp_path):
    tables = read(
        tmp_path,
        [review(item="P1"), review(item="P2"), review(item="P3")],
        [product("P1"), product("UNSOLD"), product("P2", categories=["Beauty", "Soap"])],
    )

    assert tables.items.rows() == [
        ("P1", "Howard & Co", "one two", LARGE, "Howard Products", ["All Beauty"]),
        ("P2", "Howard & Co", "one two", LARGE, "Howard Products", ["Beauty", "Soap"]),
        ("P3", None, None, None, None, None),
    ]


PICTURES = {
    "high resolution": ([picture(hi_res=HIGH)], HIGH),
    "without high resolution": ([{"thumb": THUMB, "large": LARGE, "variant": "MAIN"}], LARGE),
    "an empty address": ([picture(hi_res="")], LARGE),
    "a thumbnail alone": ([{"thumb": THUMB, "variant": "MAIN"}], LARGE),
    "the main one": ([picture("PT01", large="https://x/2.jpg"), picture("MAIN")], LARGE),
    "no main one": ([picture("PT01")], LARGE),
    "a main one without address": (
        [{"variant": "MAIN"}, picture("PT01")],
        LARGE,
    ),
    "none": ([], None),
    "null": (None, None),
}


@pytest.mark.parametrize(("images", "expected"), PICTURES.values(), ids=PICTURES)
def test_the_best_address_of_the_main_picture_is_taken(tmp_path, images, expected):
    items = read(tmp_path, [review()], [product(images=images)]).items

    assert items["image"].to_list() == [expected]


def five_core(folder, lines, limit=0):
    source = params.Amazon2023Source(
        format="amazon2023", category="All_Beauty", reviews="5core"
    )
    pack(folder / "All_Beauty.csv.gz", lines)
    pack(folder / "meta_All_Beauty.jsonl.gz", [json.dumps(product())])
    return readers.get("amazon2023").read(source, folder, ledger(limit)).reviews


HEADER = "user_id,parent_asin,rating,timestamp"


@pytest.mark.parametrize("head", [[HEADER], []], ids=["with header", "without"])
def test_the_published_5_core_is_ids_stars_and_times(tmp_path, head):
    reviews = five_core(tmp_path, [*head, "AGKH,B01C,4.0,1588687728923"])

    assert reviews.columns == list(REVIEWS)
    assert reviews.rows() == [("AGKH", "B01C", 1588687728, 4.0, None)]


@pytest.mark.parametrize(
    "line",
    [
        "A,B,4.0",
        "A,B,four,1588687728923",
        "A,B,4.0,4102444800000",
        ",B,4.0,1588687728923",
        "A,B,4.0,1588687728",
        HEADER,
        "A,B,0.0,1588687728923",
        "A,B,6,1588687728923",
    ],
)
def test_a_line_of_the_5_core_that_is_no_rating_is_named(tmp_path, line):
    with pytest.raises(RawDataError, match=r"All_Beauty\.csv\.gz:3: expected `user_id,"):
        five_core(tmp_path, [HEADER, "AGKH,B01C,4.0,1588687728923", line])

    assert five_core(tmp_path, [HEADER, "A,B01C,1.0,1588687728923", line], limit=1).height == 1
