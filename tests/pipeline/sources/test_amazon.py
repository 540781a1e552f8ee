import gzip
import json

import pytest
from limits import ledger
from paths import SHARED

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.sources import amazon2014, amazon2018, readers
from pipeline.tables.schema import REVIEWS as REVIEWS_TABLE

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published data are not in ../shared/data"
)
REVIEWS = [
    {"reviewerID": "U1", "asin": "0012345678", "overall": 5.0, "unixReviewTime": 1400000000},
    {"reviewerID": "U2", "asin": "B00X", "overall": 1, "unixReviewTime": 1300000000},
    {"reviewerID": "U1", "asin": "031245X", "overall": 3.0, "unixReviewTime": 1200000000},
]


def source(format_, **more):
    return params.AmazonSource(format=format_, category="Toys", **more)


def pack(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def read_2018(folder, metadata, reviews=REVIEWS, limit=0):
    pack(folder / "Toys_5.json.gz", map(json.dumps, reviews))
    pack(folder / "meta_Toys.json.gz", map(json.dumps, metadata))
    return amazon2018.read(source("amazon2018"), folder, ledger(limit))


def read_2014(folder, metadata, reviews=REVIEWS, limit=0):
    pack(folder / "reviews_Toys_5.json.gz", map(json.dumps, reviews))
    pack(folder / "meta_Toys.json.gz", metadata)
    return amazon2014.read(source("amazon2014"), folder, ledger(limit))


def column(tables, name):
    return dict(tables.items.select("raw_id", name).iter_rows())


def test_reviews_keep_the_order_of_the_file_and_ids_stay_text(tmp_path):
    reviews, items = read_2018(tmp_path, [])

    assert reviews.select(list(REVIEWS_TABLE)).rows() == [
        ("U1", "0012345678", 1400000000, 5.0, None),
        ("U2", "B00X", 1300000000, 1.0, None),
        ("U1", "031245X", 1200000000, 3.0, None),
    ]
    assert items.columns == ["raw_id", "title", "description", "image", "brand", "category"]
    assert items.rows() == [(asin, *[None] * 5) for asin in ("0012345678", "031245X", "B00X")]


def test_the_dump_of_2018_marks_verified_purchases(tmp_path):
    verified = [True, False, "Y"]
    reviews = [row | {"verified": value} for row, value in zip(REVIEWS, verified, strict=True)]

    assert read_2018(tmp_path, [], reviews).reviews["verified"].to_list() == [True, False, True]
    assert read_2014(tmp_path, []).reviews.columns == list(REVIEWS_TABLE)


def test_only_reviewed_items_are_kept_and_the_first_row_of_each_counts(tmp_path):
    tables = read_2018(
        tmp_path,
        [
            {"asin": "B00X", "title": "first"},
            {"asin": "UNSOLD", "title": "never reviewed"},
            {"asin": "B00X", "title": "second"},
        ],
    )

    assert column(tables, "title") == {"0012345678": None, "031245X": None, "B00X": "first"}


def test_descriptions_of_2018_are_joined_and_empty_values_are_null(tmp_path):
    tables = read_2018(
        tmp_path,
        [
            {"asin": "B00X", "description": ["one", "", "two"], "brand": "A &amp; B"},
            {"asin": "031245X", "description": [""], "brand": "", "category": [], "title": ""},
            {"asin": "0012345678", "description": "a text", "category": ["Toys", "Puzzles"]},
        ],
    )

    assert column(tables, "description") == {
        "0012345678": "a text",
        "031245X": None,
        "B00X": "one two",
    }
    assert column(tables, "brand")["B00X"] == "A & B"
    assert column(tables, "brand")["031245X"] is None
    assert column(tables, "title")["031245X"] is None
    assert column(tables, "category") == {
        "0012345678": ["Toys", "Puzzles"],
        "031245X": None,
        "B00X": None,
    }


ICON = "https://images-na.ssl-images-amazon.com/images/I/31abc%2B._SX38_SY50_CR,0,0,38,50_.jpg"
LARGE = "https://images-na.ssl-images-amazon.com/images/I/31abc%2B.jpg"
PICTURES = {
    "older files": ({"image": [ICON, "https://x/2.jpg"]}, LARGE),
    "newer files": ({"imageURL": ["https://x/small.jpg"], "imageURLHighRes": [LARGE]}, LARGE),
    "only icons": ({"imageURL": [ICON], "imageURLHighRes": []}, LARGE),
    "none": ({"imageURL": [], "imageURLHighRes": []}, None),
    "an empty one": ({"image": [""]}, None),
    "a file of the generator": ({"image": ["images/B00X.jpg"]}, "images/B00X.jpg"),
}


@pytest.mark.parametrize(("fields", "expected"), PICTURES.values(), ids=PICTURES)
def test_the_best_picture_of_2018_is_taken(tmp_path, fields, expected):
    tables = read_2018(tmp_path, [{"asin": "B00X", **fields}])

    assert column(tables, "image")["B00X"] == expected


TITLES = {
    "&quot;Bob&#39;s&quot; Caf&eacute; &amp; Grill": '"Bob\'s" Café & Grill',
    "  padded\n": "padded",
    "Gift  Card": "Gift  Card",
    "5 < 6 and 7 > 6": "5 < 6 and 7 > 6",
    "Time to get up": "Time to get up",
    "var aPageStart = (new Date()).getTime();": None,
    "\n var x = new Date().getTime( ), y": None,
    '<span class="a-size-medium">Yarn</span>': None,
    '<style type="text/css">.x{}</style>': None,
    "&nbsp;": None,
}


@pytest.mark.parametrize(("title", "expected"), TITLES.items())
def test_titles_are_unescaped_and_scraped_mark_up_is_no_title(tmp_path, title, expected):
    tables = read_2018(tmp_path, [{"asin": "B00X", "title": title}])

    assert column(tables, "title")["B00X"] == expected


def test_metadata_of_2014_are_python_literals(tmp_path):
    tables = read_2014(
        tmp_path,
        [
            "{'asin': 'B00X', 'title': \"Bob's\", 'description': 'a \\d text', "
            "'imUrl': 'http://x/I/1._SY300_.jpg', 'brand': 'B', 'price': 1.5, "
            "'related': {'also_bought': ['A']}, 'salesRank': {'Toys': 3}, "
            "'categories': [['Toys', 'Puzzles'], ['Games']]}",
            "{'asin': '0012345678', 'categories': [['Toys']]}",
        ],
    )

    assert tables.items.rows()[0] == ("0012345678", None, None, None, None, ["Toys"])
    assert tables.items.rows()[1] == ("031245X", None, None, None, None, None)
    assert tables.items.rows()[2] == (
        "B00X",
        "Bob's",
        "a \\d text",
        "http://x/I/1._SY300_.jpg",
        "B",
        ["Toys", "Puzzles"],
    )


NO_LITERAL = {
    "a call": "__import__('os').system('touch {witness}')",
    "a call in a dictionary": "{{'asin': __import__('os').system('touch {witness}')}}",
    "half a literal": "{{'asin': 'B00X', 'tit",
    "a list": "['asin']",
    "JSON words": '{{"asin": "B00X", "title": null}}',
    "an unhashable key": "{{[]: 1}}",
    "brackets without end": "[" * 100_000,
    "a zero byte": "\0",
}


@pytest.mark.parametrize("line", NO_LITERAL.values(), ids=NO_LITERAL)
def test_what_is_no_literal_is_named_and_never_run(tmp_path, line):
    witness = tmp_path / "witness"

    with pytest.raises(RawDataError, match=r"meta_Toys\.json\.gz:1: expected a Python literal"):
        read_2014(tmp_path, [line.format(witness=witness)])

    assert not witness.exists()


def test_bad_metadata_lines_of_2014_are_tolerated_up_to_the_limit(tmp_path):
    tables = read_2014(tmp_path, ["oops", "{'asin': 'B00X', 'title': 'kept'}"], limit=1)

    assert column(tables, "title")["B00X"] == "kept"


def test_a_review_without_a_reviewer_is_named(tmp_path):
    broken = {key: value for key, value in REVIEWS[1].items() if key != "reviewerID"}

    with pytest.raises(
        RawDataError, match=r"Toys_5\.json\.gz:2: .* field 'reviewerID' .* none"
    ):
        read_2018(tmp_path, [], [REVIEWS[0], broken])


def test_metadata_without_asin_is_named(tmp_path):
    with pytest.raises(RawDataError, match=r"meta_Toys\.json\.gz:1: expected a field 'asin'"):
        read_2018(tmp_path, [{"title": "whose?"}])


def test_the_generated_set_is_read_as_a_full_category_called_sample(tmp_path):
    pack(tmp_path / "Sample.json.gz", map(json.dumps, REVIEWS))
    pack(tmp_path / "meta_Sample.json.gz", ['{"asin": "B00X", "image": ["images/B00X.jpg"]}'])
    source = params.SampleSource(format="sample")

    tables = readers.get("sample").read(source, tmp_path, ledger(0))

    assert tables.reviews.height == 3
    assert column(tables, "image")["B00X"] == "images/B00X.jpg"


@needs_shared
def test_both_published_variants_of_the_metadata_give_the_same_items():
    """One file has `image`, the other `imageURL` and `imageURLHighRes`."""
    folder = SHARED / "gift_cards"
    newer = params.AmazonSource(format="amazon2018", category="Gift_Cards")
    older = newer.model_copy(update={"metadata": "meta_Gift_Cards.variant_image.json.gz"})

    one, two = (amazon2018.read(settings, folder, ledger(0)) for settings in (newer, older))

    assert one.items.equals(two.items)
    assert one.reviews.equals(two.reviews)
    assert (one.reviews.height, one.items.height) == (2972, 148)
    filled = one.items.select("title", "description", "image").count().row(0)
    assert filled == (148, 145, 116)
