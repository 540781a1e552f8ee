"""The page: who is shown, what is escaped, and that it needs nothing else."""

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
import yaml
from PIL import Image

from pipeline import params
from pipeline.compare import comparison
from pipeline.comparison import report
from pipeline.tables import schema as s

HOSTILE = '<script>alert(\'x\')</script> " onload="y" \u0000 https://example.org'
TITLES = [HOSTILE, "Red bag", None, "Blue bag", "Green bag", "Last bag"]


def table(rows, columns):
    return pl.DataFrame(rows, columns, orient="row")


def picture():
    buffer = BytesIO()
    Image.new("RGB", (300, 150), "teal").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def material():
    train = [(0, 0, 86400), (1, 0, 0), (1, 1, 5), (1, 2, 9), (2, 1, 7), (2, 3, 8)]
    parts = {
        s.TRAIN: train,
        s.VALIDATION: [(0, 1, 86500), (1, 3, 11), (2, 4, 12)],
        s.TEST: [(0, 2, 90000), (1, 4, 12), (2, 5, 13)],
    }
    return report.Material(
        settings=params.load(),
        dataset="sample",
        statistics={
            "users": 3, "items": 6, "interactions": 12, "density": 0.5,
            "rounds": [{"users": 1234, "items": 20, "interactions": 40}],
        },
        items=table([(i, f"raw{i}", t, None, None) for i, t in enumerate(TITLES)], s.ITEMS),
        users=table([(0, "ann"), (1, "<b>bob"), (2, "eve")], s.USERS),
        parts={part: table(rows, s.INTERACTIONS) for part, rows in parts.items()},
        ranks={"m": table([(0, 2, 1, 1, 7), (1, 4, 30, 50, 7), (2, 5, 0, 0, 7)], s.RANKS)},
        histories={"m": table([("select", 5, 0.6, 0.2, 0.1, "validation")], s.HISTORY)},
        lists={"m": table([(0, 0, 5, "5", 2.0), (0, 1, 2, "2", 1.0)], s.RECOMMENDATIONS)},
    )  # fmt: skip


def page(material, pictures=None, **changes):
    scores = {"hr@5": 0.5, "ndcg@5": 0.5, "hr@10": 0.5, "ndcg@10": 0.5, "candidates": 100}
    found = {
        "dataset": "sample", "model": "m", "seeds": [7], "selected_on": "validation",
        "epoch": 5, "n_users": 3, "sampled": scores, "full": scores,
    } | changes  # fmt: skip
    compared = comparison({"m": found}, material.ranks)
    return report.render(compared, material, report.gallery(material), pictures or {})


def test_users_run_from_the_least_to_the_most_active():
    train = table([(u, i, None) for u in range(5) for i in range(5 - u)], s.INTERACTIONS)
    test = table([(u, 9, None) for u in range(5)], s.INTERACTIONS)

    assert report.chosen_users(train, test, 3) == [4, 2, 0]
    assert report.chosen_users(train, test, 1) == [4]
    assert report.chosen_users(train, test, 99) == [4, 3, 2, 1, 0]


def test_a_user_has_choices_in_order_and_the_held_out_item_marked(material):
    ann = report.gallery(material)[0]

    assert ann["chosen"] == [(0, "train"), (1, "validation"), (2, "test")]
    assert ann["lists"] == {"m": [(5, ""), (2, "test")]}
    assert (ann["found"], ann["places"]) == (["m"], {"m": 1})


def test_a_validation_item_that_train_holds_too_is_shown_once(material):
    """A published split's validation may be part of its train; 0 is an item too."""
    parts = material.parts | {s.VALIDATION: table([(0, 0, 0)], s.INTERACTIONS)}

    ann = report.gallery(replace(material, parts=parts))[0]

    assert ann["chosen"] == [(0, "validation"), (2, "test")]


def test_text_from_outside_is_escaped(material):
    html = page(material)

    assert "<script" not in html
    assert "<b>bob" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)" in html
    assert 'onload="' not in html
    assert "\u0000" not in html


def test_the_page_asks_for_nothing_and_repeats(material):
    pictures = {0: picture(), 1: picture(), 2: b"broken"}

    html = page(material, pictures)

    assert re.findall(r'(?:src|href|action)\s*=\s*"(?!#)', html) == []
    assert set(re.findall(r"url\((.{5})", html)) == {"data:"}
    assert "@import" not in html
    assert page(material, pictures) == html


def test_each_picture_is_embedded_once_and_small(material):
    html = page(material, {0: picture(), 2: b"broken"})

    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count('class="pic p0"') == 2  # of two users
    assert 'class="pic p2"' not in html
    assert '<p class="pic words" title="item raw2">' in html


def test_the_page_says_what_was_run(material):
    html = page(material)

    assert "untrained weights" in html  # params.yaml: sample's vgg16 is seeded
    assert "<td>1,234</td>" in html
    assert "Interactions from 1970-01-01 to 1970-01-02 (UTC)." in html
    assert "held-out item at place 2" in html
    assert "Optimistic" not in html
    assert "Optimistic numbers." in page(material, optimistic=True)


def test_hit_ratios_run_from_1_to_20(material):
    sampled, full = report.charts(material)[2:]

    assert sampled["lines"]["m"][:2] == [(1, pytest.approx(1 / 3)), (2, pytest.approx(2 / 3))]
    assert full["lines"]["m"][-1] == (20, pytest.approx(2 / 3))
    assert sampled["xs"] == [0, 5, 10, 15, 20]


@pytest.mark.parametrize(
    ("feature", "cell"),
    [
        (
            {"extractor": "mcauley", "path": "image_features_Beauty.b"},
            "image_features_Beauty.b",
        ),
        ({"extractor": "tfidf_svd"}, "–"),
    ],
)
def test_features_without_weights_show_their_file(material, feature, cell):
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["features"]["sample"] = {"visual": feature}

    html = page(replace(material, settings=params.parse(raw)))

    assert f'<td class="left">{cell}</td>' in html
    assert "untrained weights" not in html
