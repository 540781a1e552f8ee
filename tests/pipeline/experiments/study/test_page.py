"""The page of the study: in the browser, as bytes, as Markdown."""

import io as streams
import re

import numpy as np
import polars as pl
import pytest
import yaml
from browser import BROWSER, inspected
from PIL import Image
from study_numbers import numbers, of_cell, parsed, raw
from test_compare import project

from pipeline import params
from pipeline.comparison import significance, user_slices
from pipeline.experiments.study import page as study_page
from pipeline.experiments.study.sections import (
    certainty,
    differences,
    explanations,
    user_parts,
)
from pipeline.pages import file_names
from pipeline.params import study
from pipeline.params.cell import Cell
from pipeline.tables import io
from pipeline.tables import schema as s

FACTORS = {
    "items": 3, "catalogue": 8, "seed": 1, "left_out": ["bprmf"],
    "units": {"score": "change of the score", "rank": "change of the rank"},
    "models": {"mcln": {m: {"roles": {"preference": 0.5, "nuisance": 0.25}, "ratio": {
        "value": 0.5, "low": 0.4, "high": 0.6}} for m in ("score", "rank")}},
}  # fmt: skip
DRAWN = (
    '<?xml version="1.0"?>\n<svg width="10pt" height="10pt"><path id="a" fill="#1d2125"/></svg>'
)
MORE = [{"name": "more", "title": "Slices <b>", "text": ["By activity & more."]}]
SCORE = {
    "user": 1, "raw_user": "u1", "item": 3, "raw_item": "3", "title": "A <i>shirt</i>",
    "kind": "held out", "place": 6, "score": 0.5, "mean_score": 0.1,
    "parts": [{"name": "id", "value": 0.7, "share": 0.7 / 0.9, "above_mean": 0.1},
              {"name": "inter", "value": -0.2, "share": 0.2 / 0.9, "above_mean": 0.0}],
    "counterfactual": {"with": -0.2, "without": 0.05, "removed": 0.25},
    "own": 0.1, "rest": 0.1, "n_history": 3,
    "history": [{"item": i, "raw_item": str(i), "title": f"item {i}", "value": 0.3 / (i + 1),
                 "parts": {}} for i in range(3)],
}  # fmt: skip
ORDER = ["mcln", "bprmf"]
EXPLAINED = {
    "models": {
        "bprmf": {"model": "bprmf", "parts": None, "why": "bprmf reads no content.",
                  "explanations": []},
        "mcln": {"model": "mcln", "parts": ["id", "inter"], "why": None,
                 "explanations": [SCORE]},
    }
}  # fmt: skip
NEEDS_A_BROWSER = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def picture():
    buffer = streams.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a page of made-up numbers for six users and eight items."""
    folder = tmp_path_factory.mktemp("page")
    project(folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(raw()))
    results, settings = folder / "results/study", parsed()
    io.write_json(numbers(), results / file_names.TABLES_JSON)
    for name, cell in study.cells(settings, "sample").items():
        io.write_parquet(of_cell(cell)[1], results / name / s.RANKS_FILE)
        rows = [
            ("select", e, 1 / e, 0.1 * e, 0.05 * e, 0.05 * e, "validation") for e in (1, 2, 3)
        ]
        history = pl.DataFrame(rows, schema=s.HISTORY, orient="row")
        io.write_parquet(history, results / name / s.HISTORY_FILE)
    ranks = {
        model: pl.concat(of_cell(Cell(model, {}, seed))[1] for seed in (1, 2))
        for model in ("bprmf", "mcln")
    }
    files = {s.TRAIN: s.TRAIN_FILE, s.VALIDATION: s.VALIDATION_FILE, s.TEST: s.TEST_FILE}
    held = {
        n: io.read_parquet(folder / "processed" / f, s.INTERACTIONS) for n, f in files.items()
    }
    # The rows above rank item u for user u, of which one is in the split.
    held[s.TEST] = held[s.TEST].with_columns(pl.col(s.USER).alias(s.ITEM))
    sure = significance.table(ranks, held, "mcln", 900, 99, 1)
    sliced = user_slices.table(
        ranks, held, [user_slices.BOTH], {"visual": np.arange(900) > 2}, 1
    )
    io.write_json({"dataset": "sample"} | sure, results / file_names.SIGNIFICANCE_JSON)
    io.write_json({"dataset": "sample"} | sliced, results / file_names.SLICES_JSON)
    io.write_json(EXPLAINED, results / file_names.EXPLANATIONS_FILE)
    lists = [(m, u, 0, 3, "3", 1.0) for m in ("bprmf", "mcln") for u in range(6)]
    io.write_parquet(
        pl.DataFrame(lists, schema=s.EXAMPLES, orient="row"), results / file_names.EXAMPLES_FILE
    )
    images = [(3, "ok", picture(), 8, 8, "here")]
    io.write_parquet(pl.DataFrame(images, s.IMAGES, orient="row"), folder / "images.parquet")
    io.write_json(FACTORS, folder / "results" / file_names.FACTORS_JSON)
    io.write_text(DRAWN, folder / "results" / file_names.FACTORS_SVG)
    io.write_json(MORE, folder / "more.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write()
    return folder


def write():
    study_page.main(
        ["sample", "processed", "images.parquet", "results/study", "--factors", "results",
         "--more", "more.json"]
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(made):
    return (made / "results/study/report.html").read_text()


@NEEDS_A_BROWSER
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_works_in_a_browser(made, width, tmp_path):
    """On a phone too: only tables scroll sideways, and the keyboard reaches them."""
    found, complaints = inspected(made / "results/study/report.html", width, tmp_path)

    assert complaints == []
    assert found["title"] == "sample: the study of the paper"
    assert found["client"] <= width
    assert found["scroll"] <= found["client"]
    assert len(found["links"]) > 8
    assert set(found["links"]) <= {f"#{name}" for name in found["ids"]}
    assert len(set(found["ids"])) == len(found["ids"])
    assert found["drawn"] == 4  # a grid, two figures of curves, the factors
    assert found["rows"] > 10
    assert found["reached"]
    assert found["unreached"] == 0
    assert (found["scrolled"] > 0) == (width == 390)


def test_the_same_numbers_give_the_same_bytes(made, page, monkeypatch):
    monkeypatch.chdir(made)
    files = sorted(path for path in (made / "results/study").rglob("*") if path.is_file())
    before = [path.read_bytes() for path in files]
    assert {f.name for f in files if f.parent.name == "figures"} == {
        f"{n}.{kind}" for n in ("figure4", "learning", "cutoffs") for kind in ("svg", "png")
    }

    write()

    assert [path.read_bytes() for path in files] == before


def test_the_page_asks_for_nothing_and_has_no_script(page):
    assert re.findall(r'(?:src|href|action)\s*=\s*"(?!#)', page) == []
    assert set(re.findall(r"url\((.{5})", page)) <= {"data:"} | {
        text for text in re.findall(r"url\((.{5})", page) if text.startswith("#")
    }
    assert "<script" not in page
    assert "@import" not in page


def test_figures_have_the_pages_colours(page):
    """Light and dark: no colour of matplotlib's is left but white and black of marks."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))

    assert "var(--ink)" in drawings
    assert "var(--c0)" in drawings
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) <= {"#ffffff", "#000000"}


def test_the_page_says_what_is_wrong_with_its_numbers_first(page):
    head = page[: page.index("<main")]

    assert "Under-trained. The budget small ends after 4 epochs" in head
    assert "Untrained weights. The features visual are from random weights." in head


def test_sections_of_other_stages_stand_behind_the_tables(page):
    """What they bring is text."""
    assert 'href="#more"' in page
    assert "Slices &lt;b&gt;" in page
    places = [page.index(f'<h2 id="{n}"') for n in (
        "figure4", "curves", "sure", "slices", "factors", "explained", "more", "users",
        "differences",
    )]  # fmt: skip
    assert places == sorted(places)


def test_the_gallery_shows_pictures_and_lists_of_the_files_models(page):
    assert page.count("data:image/jpeg;base64,") == 1
    assert "the lists of bprmf, mcln, trained with seed 1" in page
    assert "held-out item at place 1" in page  # of mcln


def test_markdown_has_the_same_tables(made):
    text = (made / "results/study/report.md").read_text()

    assert "| mcln | **0.4150 ± 0.0071** |" in text
    for name in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert name == "figures/factors.png" or (made / "results/study" / name).exists()


def test_what_differs_is_said_from_the_settings():
    settings = params.parse(raw())
    part = differences.part(settings, numbers(folder="amazon-beauty"))

    said = "\n".join(part.text)
    assert "The counts of Table 1 are not the same." in said
    assert "identity false (paper: true)" in said
    assert "counterfactual_layers 1 (paper: 2)" in said
    assert "4 epochs are too few" in said
    assert "visual. Here: vgg16 of image, whose weights are random, 4,096 numbers" in said
    assert part.tables == []  # the generated data has no printed numbers

    found = numbers()
    row = found["tables"]["first"]["rows"][1]
    row["paper"] = {"where": "Table 2", "hr@5": 0.5, "ndcg@5": 0.4}
    (table,) = differences.part(settings, found).tables
    assert table.rows[0].cells == ["first, hr@5", "-0.0850", "-0.0850 (mcln)", "-0.0850 (mcln)"]


def test_how_sure_the_numbers_are_is_said_with_both_protocols(made):
    found = io.read_json(made / "results/study" / file_names.SIGNIFICANCE_JSON)

    part = certainty.part(found, ORDER, 99, "ndcg@10")

    assert "the two protocols put all models in the same order" in part.text[1]
    assert "Krichene and Rendle" in part.text[-1]
    spread, sampled, full, protocols = part.tables
    assert [row.cells[0] for row in spread.rows] == ORDER
    # Every user is first: no draw of users and no training says otherwise, and in full the
    # six users are at places 1 to 6.
    assert spread.rows[0].cells[1:3] == ["1.0000 (1.0000 to 1.0000)", "0.0000"]
    full_values = [1 / np.log2(place + 2) for place in range(6)]
    assert spread.rows[0].cells[4].startswith(f"{np.mean(full_values):.4f} (")
    assert sampled.rows[0].cells[2:5] == ["6", "0", "0"]
    assert full.rows[0].cells[2:5] == ["6", "0", "0"]
    assert protocols.rows[3].cells[:3] == ["N@10", "mcln, bprmf", "mcln, bprmf"]

    found["pairs"][3]["p_t_holm"] = 0.0  # too small for a float
    assert certainty.part(found, ORDER, 99, "ndcg@10").tables[1].rows[0].cells[5] == "< 1e-300"
    found["protocols"]["measures"]["ndcg@10"]["disagree"] = [["mcln", "bprmf"]]
    text = certainty.part(found, ORDER, 99, "ndcg@10").text[1]
    assert text.endswith("disagree: mcln is above bprmf sampled and below it in full.")


def test_parts_of_the_users_are_tables_and_what_is_in_one_part_is_said(made):
    found = io.read_json(made / "results/study" / file_names.SLICES_JSON)

    part = user_parts.part(found, ORDER, "ndcg@10")

    titles = [table.title for table in part.tables]
    assert "Visual content of the target" in titles
    assert "training items of the user" in part.text[-1]  # all have three
    (table,) = [t for t in part.tables if t.title == "Visual content of the target"]
    assert table.head == ["", "present (3)", "absent (3)"]
    assert [row.cells[0] for row in table.rows] == ORDER
    assert table.rows[0].best == [1, 2]
    assert table.rows[0].cells[1].startswith("1.0000 (")
    assert "present (3)" in part.text[1]


def test_scores_are_taken_apart_and_who_is_not_is_said(page):
    part = explanations.part(EXPLAINED)

    assert part.text[-1] == "bprmf reads no content."
    shares, items = part.tables
    assert shares.rows[0].cells == ["mcln", "77.8%", "22.2%", "+0.2500"]
    assert items.rows[0].cells == [
        "u1: A <i>shirt</i>", "held out", "7", "0.500", "+0.700 (78%)", "-0.200 (22%)",
        "+0.2500", "item 0 (+0.300); item 1 (+0.150)",
    ]  # fmt: skip
    assert "A &lt;i&gt;shirt&lt;/i&gt;" in page
    nothing = {"models": {"bprmf": EXPLAINED["models"]["bprmf"]}}
    assert explanations.part(nothing).tables == []
