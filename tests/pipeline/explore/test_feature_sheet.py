"""The sheet: every query, its neighbours, and nothing from outside that is not escaped."""

import json
import re
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

from pipeline.explore import feature_sheet, sheet_page
from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s
from pipeline.tables.features import METADATA, write_features, write_no_features
from pipeline.tables.io import write_parquet

HOSTILE = '<script>alert(\'x\')</script> " onload="y" \u0000 https://example.org'
DESCRIBED = dict.fromkeys(METADATA, "x") | {
    "extractor": "vgg16",
    "weights": "seeded (untrained)",
    "dim": "4",
    "preprocessing": json.dumps({"resized": "<b>256", "mean": [0.5, 0.25]}),
    "versions": '{"numpy": "2.0"}',
}
N_ITEMS = 60
COLOURS = ("red", "green", "blue")  # of the pictures; an item's is that of its number


def picture(colour):
    buffer = BytesIO()
    Image.new("RGB", (300, 150), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_images(path, pictured):
    rows = [
        (i, "ok", picture(COLOURS[i % 3]), 300, 150, "")
        if i in pictured
        else (i, "missing", None, None, None, "")
        for i in range(N_ITEMS)
    ]
    write_parquet(pl.DataFrame(rows, s.IMAGES, orient="row"), path)


def write_all(folder):
    """Write 60 items in three far groups; 9 and 19 are absent, 12 is a copy of 15."""
    titles = [HOSTILE, *(f"thing {i}" for i in range(1, N_ITEMS))]
    rows = [(i, f"raw{i}", title, None, None) for i, title in enumerate(titles)]
    items = pl.DataFrame(rows, s.ITEMS, orient="row")
    write_parquet(items, folder / "processed" / s.ITEMS_FILE)
    write_images(folder / "images.parquet", range(N_ITEMS))
    rng = np.random.default_rng(4)
    vectors = [9 * np.eye(3, 4)[i % 3] + rng.normal(size=4) for i in range(N_ITEMS)]
    vectors[12] = vectors[15]
    present = [None if i in (9, 19) else v.astype(np.float32) for i, v in enumerate(vectors)]
    write_features(present, folder / "visual.parquet", dim=4, metadata=DESCRIBED)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_all(tmp_path)


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The page of the items as `write_all` leaves them."""
    return sheet(write_all(tmp_path_factory.mktemp("sheet")))


def sheet(folder):
    names = ("processed", "images.parquet", "visual.parquet", "out/visual.html")
    feature_sheet.main(["sample", "visual", *(str(folder / name) for name in names)])
    return (folder / "out/visual.html").read_text(encoding="utf-8")


def rows_of(html):
    """Return the items of each row of neighbours, by the class of their pictures."""
    rows = re.findall(r'<div class="row" id="q\d+">.*?</ol>', html, re.DOTALL)
    return [[int(item) for item in re.findall(r'class="pic p(\d+)"', row)] for row in rows]


def test_every_query_has_eight_neighbours_of_its_group(html):
    rows = rows_of(html)

    assert len({row[0] for row in rows}) == feature_sheet.QUERIES
    for row in rows:
        assert len(set(row)) == 1 + feature_sheet.NEIGHBOURS
        assert len({item % 3 for item in row}) == 1
        assert not {9, 19} & set(row)


def test_the_page_has_counts_and_how_the_vectors_were_made(html):
    assert "<strong>Untrained weights.</strong>" in html
    assert "<dt>with a vector</dt><dd>58</dd>" in html
    assert "<dt>share missing</dt><dd>3.33 %</dd>" in html
    assert "<dt>share a vector</dt><dd>2</dd>" in html
    assert "<dt>mean</dt><dd>0.5, 0.25</dd>" in html
    assert "<dd>numpy 2.0</dd>" in html
    assert "All 58 items;" in html


def test_text_from_outside_is_escaped(folder):
    write_images(folder / "images.parquet", ())  # so that titles are on the map too
    three = [np.eye(4, dtype=np.float32)[i] for i in range(3)] + [None] * (N_ITEMS - 3)
    write_features(three, folder / "visual.parquet", dim=4, metadata=DESCRIBED)

    html = sheet(folder)

    # Text and tool tip, as a query, twice as a neighbour, and on the map.
    assert html.count("&lt;script&gt;alert(&#39;x&#39;)") == 8
    assert "<script" not in html
    assert "<b>256" not in html
    assert "&lt;b&gt;256" in html
    assert 'onload="' not in html
    assert "\u0000" not in html


def test_the_page_asks_for_nothing_and_repeats(html, folder):
    assert re.findall(r'(?:src|href|action)\s*=\s*"(?!#)', html) == []
    assert set(re.findall(r"url\((.{5})", html)) == {"data:"}
    assert "@import" not in html
    assert sheet(folder) == html


def test_each_picture_that_is_shown_is_embedded_once(html):
    shown = set(re.findall(r'class="(?:spot )?pic p(\d+)', html))
    embedded = re.findall(r"^\.p(\d+) \{ background-image: url\(data:image/jpeg", html, re.M)

    assert sorted(embedded) == sorted(shown)
    assert html.count("data:image/jpeg;base64,") == len(shown)
    assert f"{html.count('spot pic p')} are shown by their picture" in html


def test_the_map_shows_every_query_by_its_number(html):
    numbers = re.findall(r'<a href="#q(\d+)" class="spot pic', html)

    assert sorted(map(int, numbers)) == list(range(1, feature_sheet.QUERIES + 1))


def test_items_without_pictures_are_shown_by_their_titles(folder):
    write_images(folder / "images.parquet", ())

    html = sheet(folder)

    assert "There are no pictures" in html
    assert "data:image" not in html
    queries = re.findall(r'<div class="tile query">\s*<p class="pic words" title="', html)
    assert len(queries) == feature_sheet.QUERIES
    assert re.findall(r'class="spot text[^>]*title="thing \d+"', html)


def test_a_picture_that_is_missing_leaves_a_title_among_pictures(folder):
    pictured = [item for item in range(N_ITEMS) if item % 3]
    write_images(folder / "images.parquet", pictured)

    html = sheet(folder)

    assert 'class="pic words" title="thing 3' in html
    assert {int(item) % 3 for item in re.findall(r'class="spot pic p(\d+)', html)} == {1, 2}


def test_the_page_of_an_empty_table_says_so(folder):
    write_no_features(folder / "visual.parquet")

    html = sheet(folder)

    assert "has no modality <b>visual</b>" in html
    assert "Nearest neighbours" not in html


def test_vectors_that_are_all_zeros_are_not_shown(folder):
    zeros = [np.zeros(4, np.float32)] * N_ITEMS
    write_features(zeros, folder / "visual.parquet", dim=4, metadata=DESCRIBED)

    html = sheet(folder)

    assert "No vectors to show." in html
    assert "Nearest neighbours" not in html


def test_one_item_alone_has_a_page(folder):
    vectors = [np.ones(4, np.float32), *[None] * (N_ITEMS - 1)]
    write_features(vectors, folder / "visual.parquet", dim=4, metadata=DESCRIBED)

    html = sheet(folder)

    assert rows_of(html) == [[0]]
    assert "There is only one item." in html
    assert "Two items" not in html


def test_features_of_other_items_are_refused(folder):
    vectors = [np.ones(4, np.float32)] * 3
    write_features(vectors, folder / "visual.parquet", dim=4, metadata=DESCRIBED)

    with pytest.raises(SchemaError, match=r"visual.parquet: expected a row for each of the 60"):
        sheet(folder)
    assert not (folder / "out").exists()


def test_metadata_that_is_not_json_is_refused(tmp_path):
    for wrong in ("{", "[]"):
        with pytest.raises(SchemaError, match=r"a.parquet: metadata versions: expected a JSON"):
            sheet_page.parsed(DESCRIBED | {"versions": wrong}, tmp_path / "a.parquet")


def test_a_table_of_pictures_is_needed(folder):
    (folder / "images.parquet").unlink()

    with pytest.raises(SchemaError, match=r"images.parquet: no such table; run"):
        sheet(folder)


def test_the_number_of_threads_changes_no_byte(html, folder):
    with threadpool_limits(2):
        assert sheet(folder) == html
