"""The page: what is escaped, what it shows, and that it loads nothing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from page_cases import material, picture, table

from pipeline import params
from pipeline.compare import comparison
from pipeline.comparison import report
from pipeline.pages import gallery
from pipeline.tables import schema as s


def page(tables, pictures=None, **changes):
    scores = {"hr@5": 0.5, "ndcg@5": 0.5, "hr@10": 0.5, "ndcg@10": 0.5, "candidates": 100}
    metrics = {
        "dataset": "sample", "model": "m", "seeds": [7], "selected_on": "validation",
        "epoch": 5, "n_users": 3, "sampled": scores, "full": scores,
    } | changes  # fmt: skip
    compared = comparison({"m": metrics}, tables.ranks)
    return report.render(compared, tables, gallery.gallery(tables), pictures or {})


def test_text_from_outside_is_escaped():
    html = page(material())

    assert "<script" not in html
    assert "<b>bob" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)" in html
    assert 'onload="' not in html
    assert "\u0000" not in html


def test_the_page_asks_for_nothing_and_repeats():
    pictures = {0: picture(), 1: picture(), 2: b"broken"}

    html = page(material(), pictures)

    assert re.findall(r'(?:src|href|action)\s*=\s*"(?!#)', html) == []
    assert set(re.findall(r"url\((.{5})", html)) == {"data:"}
    assert "@import" not in html
    assert page(material(), pictures) == html


def test_each_picture_is_embedded_once_and_small():
    html = page(material(), {0: picture(), 2: b"broken"})

    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count('class="pic p0"') == 2  # of two users
    assert 'class="pic p2"' not in html
    assert '<p class="pic words" title="item raw2">' in html


def test_the_page_says_what_was_run():
    html = page(material())

    assert "untrained weights" in html  # params.yaml: sample's vgg16 is seeded
    assert "<td>1,234</td>" in html
    assert "Interactions from 1970-01-01 to 1970-01-02 (UTC)." in html
    assert "held-out item at place 2" in html
    assert "Optimistic" not in html
    assert "Optimistic numbers." in page(material(), optimistic=True)


def test_a_table_wider_than_the_page_shows_that_it_scrolls():
    """The covers scroll with the table, the shades at its edges stay."""
    [rule] = re.findall(r"\.scroll \{[^}]*\}", page(material()).split("@media print")[0])

    assert "overflow-x: auto" in rule
    assert rule.count("local") == rule.count("scroll,") == 2


def test_hit_ratios_run_from_1_to_20():
    sampled, full = report.charts(material())[2:]

    assert sampled["lines"]["m"][:2] == [(1, pytest.approx(1 / 3)), (2, pytest.approx(2 / 3))]
    assert full["lines"]["m"][-1] == (20, pytest.approx(2 / 3))
    assert sampled["xs"] == [0, 5, 10, 15, 20]


def test_a_model_that_does_not_learn_has_no_curve_of_training():
    histories = {"m": table([("select", 0, None, 0.2, 0.1, 0.1, "validation")], s.HISTORY)}

    charts = report.charts(replace(material(), histories=histories))

    assert [chart["title"] for chart in charts] == ["HR@k, sampled", "HR@k, full"]
    page(replace(material(), histories=histories))


def test_a_model_without_a_hit_has_curves_of_zeros():
    ranks = {"m": table([(0, 2, 90, 90, 7), (1, 4, 90, 90, 7), (2, 5, 90, 90, 7)], s.RANKS)}

    assert report.charts(replace(material(), ranks=ranks))[2]["ys"] == [0, 1]
    page(replace(material(), ranks=ranks))


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
def test_features_without_weights_show_their_file(feature, cell):
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["features"]["sample"] = {"visual": feature}

    html = page(replace(material(), settings=params.parse(raw)))

    assert f'<td class="left">{cell}</td>' in html
    assert "untrained weights" not in html
