"""The numbers of the study, and their three ways of being read."""

import json

import pytest
from study_numbers import MADE, STATISTICS, numbers, parsed

from pipeline.comparison import user_metrics
from pipeline.experiments.study import tables
from pipeline.experiments.study.sections import latex, markdown
from pipeline.experiments.study.sections import numbers as sections
from pipeline.experiments.study.sections.section import Part, Row, Table, read_parts
from pipeline.job.errors import SchemaError
from pipeline.params import study


def row(found, table, label):
    return next(own for own in found["tables"][table]["rows"] if own["label"] == label)


def test_a_row_is_the_mean_and_the_deviation_over_the_seeds():
    own = row(numbers(), "first", "bprmf")

    measure = own["sampled"]["ndcg@10"]
    assert measure["seeds"] == pytest.approx([0.21, 0.22])
    assert measure["mean"] == pytest.approx(0.215)
    assert measure["sd"] == pytest.approx(0.01 / 2**0.5)
    assert own["epochs"] == [2, 4]
    assert user_metrics.spread([0.5]) == {"mean": 0.5, "sd": None, "seeds": [0.5]}


def test_a_row_that_is_another_ones_training_is_named_so_and_not_tested():
    found = numbers()["tables"]

    assert [own["same_as"] for own in found["first"]["rows"]] == [None, None]
    (test,) = found["first"]["significance"]
    assert (found["first"]["best"], test["other"], test["n_users"]) == ("mcln", "bprmf", 6)
    assert row(numbers(), "second", "base_vt_cl")["trained_as"] == "mcln"
    (_, _, second, figure) = sections.parts(numbers())
    assert second.text[1].endswith("the same: base_vt_cl is mcln.")
    assert "mcln, layers 4 is mcln; base, layers 4 is base." in figure.text[1]
    tests = found["figure4"]["significance"]
    assert {test["other"] for test in tests} | {found["figure4"]["best"]} == {
        f"{model}, layers {n}" for model in ("mcln", "base") for n in (3, 4)
    }


def test_the_papers_numbers_stand_where_the_paper_prints_them():
    folder = "amazon-beauty"
    settings = parsed(
        grids={
            "table5": {
                "models": ["mcln"],
                "setting": "counterfactual_layers",
                "values": [2, 9],
            },
            "figure4": {"models": ["mcln", "base"], "setting": "layers", "values": [3, 4]},
        }
    )
    rows = study.tables(settings, "sample")
    printed = {own.label: tables.printed_of(own, folder) for r in rows.values() for own in r}

    assert printed["bprmf"]["where"] == "Table 2"
    assert printed["base"] == {"where": "Table 3", "hr@5": 0.5293, "ndcg@5": 0.4069}
    assert printed["mcln, counterfactual layers 2"]["ndcg@5"] == 0.4368
    assert printed["mcln, counterfactual layers 9"] is None
    assert printed["mcln, layers 4"]["where"] == "peak of Figure 4"
    assert printed["mcln, layers 4"]["hr@10"] == 0.6689
    assert printed["mcln, layers 3"] is None  # no number is printed for it
    assert printed["base, layers 4"]["where"].startswith("Table 3")
    assert printed["base, layers 3"] is None
    assert tables.printed_of(rows["first"][0], "") is None


def test_table_1_stands_beside_the_papers():
    (part, *_) = sections.parts(numbers(folder="taobao"))

    assert [own.cells for own in part.tables[0].rows] == [
        ["here", "6", "900", "1,234", "0.25000", "4,096", "300"],
        ["printed in the paper", "12,539", "8,735", "83,648", "0.00076", "4,096", "–"],
    ]
    assert "vgg16 of image, seeded (untrained)" in part.text[0]


def test_every_caption_says_seeds_protocol_and_the_rule_of_choice():
    found = numbers()
    for part in sections.parts(found)[1:]:
        caption = part.tables[0].caption
        for words in ("seeds 1, 2 of the training", "split and candidates are of seed 2023",
                      "Sampled: the target among 100 candidates", "full: among 900 items",
                      "Epoch chosen on validation ndcg@10 (sampled), trained again on train",
                      "at most 4 epochs", "(budget small)",
                      "those of params.yaml, not searched here"):  # fmt: skip
            assert words in caption, part.name


def test_the_best_of_a_column_is_marked_and_equal_rows_all_are():
    second = sections.parts(numbers())[2].tables[0]

    assert [(own.cells[0], bool(own.best)) for own in second.rows] == [
        ("base", False),
        ("base_vt_cl", True),
    ]
    assert second.rows[1].cells[1] == "0.4150 ± 0.0071"


def test_a_choice_on_test_is_called_optimistic():
    found = numbers() | {"optimistic": True}

    assert "Optimistic: the epoch was chosen on test." in sections.caption(found, "first")


def test_tables_keep_the_order_of_the_file_through_json():
    found = json.loads(json.dumps(numbers(), sort_keys=True))

    names = [part.name for part in sections.parts(found)]

    assert names == ["table1", "first", "second", "figure4"]


def test_latex_has_balanced_tables_of_booktabs_and_no_live_sign():
    table = Table(
        title="a_b & 50 %", head=["", "x^2"], rows=[Row(cells=["m_1", "0.1 ± 0.2"], best=[1])]
    )

    text = latex.document([Part(name="own", title="own", tables=[table])])

    assert r"\caption{a\_b \& 50 \%. }" in text
    assert r"m\_1 & \textbf{0.1 $\pm$ 0.2} \\" in text
    for word in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{word}") == 1
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_latex_counts_its_tables_itself():
    table = Table(title="Table 2: overall comparison", head=["", "x"], rows=[])

    text = latex.document([Part(name="own", title="own", tables=[table])])

    assert r"\caption{Overall comparison (the paper's Table 2). }" in text


def test_markdown_escapes_what_strangers_wrote():
    row = Row(cells=["a|b", "<script>"], paper=True)
    table = Table(title="own", head=["", "x"], rows=[row])
    part = Part(name="own", title="own", tables=[table], figures=["f"])

    text = markdown.document("title", ["*lead*"], [part], {"f": "a figure"})

    assert r"| *a\|b* | \<script\> |" in text
    assert r"\*lead\*" in text
    assert "![a figure](figures/f.png)" in text


def test_parts_of_another_stage_are_checked(tmp_path):
    path = tmp_path / "more.json"
    good = {"name": "slices", "title": "Slices", "text": ["By activity."]}
    path.write_text(json.dumps([good]))
    assert read_parts(path) == [Part(**good)]

    path.write_text(json.dumps([good | {"figures": ["../x"]}]))
    with pytest.raises(SchemaError, match=r"more\.json: 0\.figures\.0"):
        read_parts(path)
    short = {"title": "t", "head": ["a", "b"], "rows": [{"cells": ["1"]}]}
    path.write_text(json.dumps([good | {"tables": [short]}]))
    with pytest.raises(SchemaError, match=r"t: expected 2 cells, got \['1'\]"):
        read_parts(path)


def test_data_of_no_published_split_has_no_papers_row():
    assert tables.data(STATISTICS, MADE, "")["paper"] is None
