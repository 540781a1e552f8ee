"""The page of the study: in the browser, as bytes, as Markdown."""

import io as streams
import re

import polars as pl
import pytest
import yaml
from browser import BROWSER, looked_at
from PIL import Image
from study_numbers import numbers, of_cell, parsed, raw
from test_compare import project

from pipeline import io, params, study_cells, study_differences, study_page
from pipeline import schema as s

FACTORS = {
    "items": 3, "catalogue": 8, "seed": 1, "left_out": ["bprmf"],
    "units": {"score": "change of the score", "rank": "change of the rank"},
    "models": {"mcln": {m: {"roles": {"preference": 0.5, "nuisance": 0.25}, "ratio": {
        "value": 0.5, "low": 0.4, "high": 0.6}} for m in ("score", "rank")}},
}  # fmt: skip
DRAWN = (
    '<?xml version="1.0"?>\n<svg width="10pt" height="10pt"><path id="a" fill="#1d2125"/></svg>'
)
MORE = [{"name": "slices", "title": "Slices <b>", "text": ["By activity & more."]}]
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
    io.write_json(numbers(), results / s.TABLES_JSON)
    for name, cell in study_cells.cells(settings, "sample").items():
        io.write_parquet(of_cell(cell)[1], results / name / s.RANKS_FILE)
        rows = [("select", e, 1 / e, 0.1 * e, 0.05 * e, "validation") for e in (1, 2, 3)]
        history = pl.DataFrame(rows, schema=s.HISTORY, orient="row")
        io.write_parquet(history, results / name / s.HISTORY_FILE)
    lists = [(m, u, 0, 3, "3", 1.0) for m in ("bprmf", "mcln") for u in range(6)]
    io.write_parquet(
        pl.DataFrame(lists, schema=s.EXAMPLES, orient="row"), results / s.EXAMPLES_FILE
    )
    images = [(3, "ok", picture(), 8, 8, "here")]
    io.write_parquet(pl.DataFrame(images, s.IMAGES, orient="row"), folder / "images.parquet")
    io.write_json(FACTORS, folder / "results" / s.STUDY_JSON)
    io.write_text(DRAWN, folder / "results" / s.STUDY_SVG)
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
    found, complaints = looked_at(made / "results/study/report.html", width, tmp_path)

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
    assert 'href="#slices"' in page
    assert "Slices &lt;b&gt;" in page
    places = [page.index(f'<h2 id="{n}"') for n in ("figure4", "curves", "factors", "slices",
                                                    "users", "differences")]  # fmt: skip
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
    part = study_differences.part(settings, numbers(folder="amazon-beauty"))

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
    (table,) = study_differences.part(settings, found).tables
    assert table.rows[0].cells == ["first, hr@5", "-0.0850", "-0.0850 (mcln)", "-0.0850 (mcln)"]
