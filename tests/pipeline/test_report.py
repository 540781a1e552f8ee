import io
import re

import polars as pl
from handmade import metrics, ranks
from PIL import Image

from pipeline.compare import comparison
from pipeline.io import write_parquet
from pipeline.report import Gallery, chart, page
from pipeline.schema import HISTORY, IMAGES, INTERACTIONS, ITEMS, RECOMMENDATIONS, USERS

TITLES = ["Blue shirt", "<script>alert(1)</script>", None, "Hat", "Bag"]


def table(rows, schema):
    return pl.DataFrame(rows, schema=schema, orient="row")


def picture():
    file = io.BytesIO()
    Image.new("RGB", (300, 150), "teal").save(file, "PNG")
    return file.getvalue()


def made(tmp_path):
    folder = tmp_path / "processed"
    write_parquet(
        table([(0, 0, 1), (0, 1, 2), (1, 2, 1)], INTERACTIONS), folder / "train.parquet"
    )
    write_parquet(table([(0, 1, 2)], INTERACTIONS), folder / "validation.parquet")
    write_parquet(table([(0, 3, 3), (1, 4, None)], INTERACTIONS), folder / "test.parquet")
    write_parquet(table([(0, "ann"), (1, "bob & co")], USERS), folder / "users.parquet")
    items = [(i, f"raw{i}", title, None, None) for i, title in enumerate(TITLES)]
    write_parquet(table(items, ITEMS), folder / "items.parquet")
    rows = [(i, "ok", picture(), 300, 150, "file") for i in (0, 3)]
    rows += [(i, "missing", None, None, None, "none") for i in (1, 2, 4)]
    write_parquet(table(rows, IMAGES), tmp_path / "images.parquet")
    lists = table(
        [(0, 0, 3, "raw3", 2.0), (0, 1, 2, "raw2", 1.0), (1, 0, 0, "raw0", 1.0)],
        RECOMMENDATIONS,
    )
    gallery = Gallery.read(folder, tmp_path / "images.parquet", {"m": lists}, n_users=5, k=2)
    history = table(
        [
            ("select", 5, 0.6, 0.2, 0.1, "validation"),
            ("refit", 5, 0.6, None, None, "validation"),
        ],
        HISTORY,
    )
    compared = comparison({"m": metrics("m")}, {"m": ranks([0, 3])}, {})
    statistics = {"users": 2, "items": 5, "interactions": 5, "density": 0.5, "rounds": []}
    features = {"visual": {"extractor": "vgg16", "field": "image", "weights": "seeded"}}
    return gallery, page(
        compared, statistics, {"m": history}, {"m": ranks([0, 3])}, gallery, features
    )


def test_users_show_what_they_chose_what_was_held_out_and_the_lists(tmp_path):
    gallery, _ = made(tmp_path)

    assert [u["name"] for u in gallery.users] == ["bob & co", "ann"]  # by activity
    ann = gallery.users[1]
    assert (ann["chosen"], ann["validation"], ann["test"]) == ([0], 1, 3)
    assert ann["lists"] == {"m": [3, 2]}
    assert gallery.titles[2] == "raw2"  # no title: the raw id
    assert set(gallery.thumbnails) == {0, 3}


def test_text_from_outside_is_escaped(tmp_path):
    _, html = made(tmp_path)

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "bob &amp; co" in html


def test_the_page_needs_nothing_else_and_repeats(tmp_path):
    _, html = made(tmp_path)

    assert not re.findall(r"(?:src|href)\s*=|@import|https?://", html)
    assert html.count("data:image/jpeg;base64,") == 2
    assert "held-out item at 1" in html
    assert "untrained weights" in html
    assert made(tmp_path)[1] == html


def test_a_chart_puts_zero_at_the_bottom_left_and_the_largest_at_the_top_right():
    drawn = chart({"m": [(0.0, 0.0), (20.0, 0.5)]})

    assert drawn["lines"]["m"] == "48.0,212.0 552.0,8.0"
    assert drawn["y"][4] == ("8.0", "0.50")
