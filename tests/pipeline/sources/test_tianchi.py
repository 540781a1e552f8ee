from pathlib import Path

import pytest

from pipeline import params
from pipeline.errors import RawDataError
from pipeline.sources import tianchi

SHARED = Path(__file__).parents[3] / "../shared/data"
SOURCE = params.TianchiSource(format="tianchi")
HISTORY = "9 480073 20150417\n7 29 20150516\n7 8 20141231\n"
ITEMS = "29 155 123950,53517\n480073 228\n31 1 2\n29 1 9\n"


def read(folder, history=HISTORY, items=ITEMS, limit=0):
    (folder / "user_bought_history.txt").write_text(history)
    (folder / "dim_items.txt").write_text(items)
    return tianchi.read(SOURCE, folder, limit)


def test_a_day_is_its_midnight_in_utc(tmp_path):
    assert read(tmp_path).reviews.rows() == [
        ("9", "480073", 1429228800, None, None),
        ("7", "29", 1431734400, None, None),
        ("7", "8", 1419984000, None, None),
    ]


def test_items_have_category_and_terms_where_the_file_has_them(tmp_path):
    items = read(tmp_path).items

    assert items.select("raw_id", "category", "title_tokens").rows() == [
        ("29", ["155"], ["123950", "53517"]),
        ("480073", ["228"], None),
        ("8", None, None),
    ]
    assert items.select("title", "description", "image").null_count().row(0) == (3, 3, 3)


def test_a_picture_is_named_only_if_it_is_there(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/29.jpg").touch()
    (tmp_path / "images/8.png").touch()

    images = read(tmp_path).items.select("raw_id", "image").rows()

    assert images == [("29", "images/29.jpg"), ("480073", None), ("8", None)]


@pytest.mark.parametrize(
    "line", ["7 29", "7 29 2015-04-17", "7 29 20151340", "7 29 20150417 x"]
)
def test_a_line_that_is_no_purchase_is_named(tmp_path, line):
    with pytest.raises(RawDataError, match=r"user_bought_history\.txt:4: expected `user item"):
        read(tmp_path, HISTORY + line)


def test_a_line_that_is_no_item_is_named(tmp_path):
    with pytest.raises(RawDataError, match=r"dim_items\.txt:2: expected `item .*, got '31'"):
        read(tmp_path, items="29 155 1\n31\n")


def test_bad_lines_are_tolerated_up_to_the_limit(tmp_path):
    tables = read(tmp_path, HISTORY + "oops\n", ITEMS + "oops\n", limit=1)

    assert (tables.reviews.height, tables.items.height) == (3, 3)


def test_no_item_file_row_at_all_leaves_nulls(tmp_path):
    items = read(tmp_path, items="").items

    assert items.null_count().row(0) == (0, 3, 3, 3, 3, 3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data are not in ../shared/data")
def test_the_published_head_of_the_files_is_read():
    reviews, items = tianchi.read(SOURCE, SHARED / "tianchi_head", 0)

    assert (reviews.height, items.height) == (20000, 659)
    assert reviews.row(0) == ("1915871", "8", 1429228800, None, None)
    assert items.filter(raw_id="29")["category"].to_list() == [["155"]]
