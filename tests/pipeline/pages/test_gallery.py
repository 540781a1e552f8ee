"""Who is in the gallery, with which items, texts and pictures."""

import base64
from dataclasses import replace
from io import BytesIO

import polars as pl
import pytest
from page_cases import HOSTILE, material, picture, table
from PIL import Image

from pipeline.job.errors import SchemaError
from pipeline.pages import gallery
from pipeline.tables import schema as s
from pipeline.tables.io import write_parquet


def test_users_run_from_the_least_to_the_most_active():
    train = table([(u, i, None) for u in range(5) for i in range(5 - u)], s.INTERACTIONS)
    test = table([(u, 9, None) for u in range(5)], s.INTERACTIONS)

    assert gallery.chosen_users(train, test, 3) == [4, 2, 0]
    assert gallery.chosen_users(train, test, 1) == [4]
    assert gallery.chosen_users(train, test, 99) == [4, 3, 2, 1, 0]


def test_a_user_has_items_in_order_and_the_held_out_item_marked():
    ann = gallery.gallery(material())[0]

    assert ann["chosen"] == [(0, "train"), (1, "validation"), (2, "test")]
    assert ann["lists"] == {"m": [(5, ""), (2, "test")]}
    assert (ann["found"], ann["places"]) == (["m"], {"m": 1})


def test_a_validation_item_that_is_in_train_too_is_shown_once():
    """A published split's validation may be part of its train; 0 is an item too."""
    tables = material()
    parts = tables.parts | {s.VALIDATION: table([(0, 0, 0)], s.INTERACTIONS)}

    ann = gallery.gallery(replace(tables, parts=parts))[0]

    assert ann["chosen"] == [(0, "validation"), (2, "test")]


def test_a_label_is_one_printable_line_and_without_a_title_the_id_and_tokens():
    items = material().items.with_columns(visual_tokens=pl.lit([3, 4, 5, 6, 7]))

    labels = gallery.labels(items, {0, 2})

    assert labels == {0: HOSTILE.replace(" \u0000", ""), 2: "item raw2, tokens 3 4 5 6"}
    long = items.with_columns(pl.lit("word " * 99).alias(s.TITLE))
    assert len(gallery.labels(long, {1})[1]) == gallery.MAX_TITLE


def test_thumbnails_are_small_jpegs_of_the_pictures_that_can_be_decoded():
    codes = gallery.thumbnails({3: picture(), 2: b"broken"})

    assert list(codes) == [3]
    small = Image.open(BytesIO(base64.b64decode(codes[3])))
    assert (small.format, small.size) == ("JPEG", (96, 48))


def test_an_item_is_pictured_if_its_picture_is_whole(tmp_path):
    rows = [(0, "ok", b"a", 1, 1, ""), (1, "missing", None, None, None, "")]
    write_parquet(table(rows, s.IMAGES), tmp_path / "images.parquet")

    assert gallery.pictured(tmp_path / "images.parquet") == {0}
    with pytest.raises(SchemaError, match=r"none.parquet: no such table"):
        gallery.pictured(tmp_path / "none.parquet")
