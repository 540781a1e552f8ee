"""The section `study`: what is refused, and what the file says."""

import pytest
from study_numbers import RAW, STUDY, parsed, raw

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.params import study_cells

GRID = STUDY["grids"]["figure4"]


def test_the_file_has_the_papers_tables_and_figures():
    study = params.parse(RAW).study

    assert study.tables == ["table2", "table3", "table4"]
    assert study.grids["figure4"].values == [1, 2, 3, 4, 5, 6]
    assert study.grids["table5"].values == [1, 2, 3, 4, 5]
    assert study.budget == "quick"
    assert study.budgets["paper"].search
    assert len(study.budgets["paper"].seeds) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tables": ["first", "first"]}, r"study\.tables: first is there twice"),
        ({"budget": "huge"}, r"study\.budget: expected one of .*'large'\], got 'huge'"),
        ({"budget": None}, r"study\.budget: expected one of .*got None"),
        ({"grids": {"a": GRID | {"models": ["nobody"]}}}, r"a\.models: no model 'nobody'"),
        ({"grids": {"a": GRID | {"setting": "depth"}}}, r"a\.setting: mcln has no .*'depth'"),
        ({"grids": {"a": GRID | {"setting": "modalities"}}}, r"a\.setting: .*'modalities'"),
        ({"grids": {"a": GRID | {"values": [3, 3]}}}, r"grids\.a\.values: 3 is there twice"),
        ({"grids": {"a": GRID | {"values": [-1]}}}, r"does not take layers -1"),
        ({"grids": {"a": GRID | {"values": [[1]]}}}, r"study\.grids\.a\.values\.0"),
        ({"epochs": 3}, r"study\.epochs: unknown key"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_with_the_keys_name(changes, message):
    with pytest.raises(ParamsError, match=message):
        parsed(**changes)


def test_a_table_that_is_not_there_is_refused_when_the_study_is_asked_for():
    """Who writes tables of their own can run everything else."""
    settings = parsed(tables=["third"])

    assert study_cells.cells(settings, "sample") == {}
    assert study_cells.cells(settings, "sample") == {}
    with pytest.raises(ParamsError, match=r"study\.tables: no table 'third'; .*'first'"):
        study_cells.tables(settings, "sample")


def test_a_table_may_not_have_the_name_of_the_studys_folder():
    with pytest.raises(ParamsError, match=r"tables\.study: the folder of the study"):
        params.parse(raw() | {"tables": {"first": [], "second": [], "study": ["bprmf"]}})


def test_a_search_of_models_that_are_not_swept_is_refused():
    with pytest.raises(
        ParamsError, match=r"large searches .*: expected bprmf in sweep\.models"
    ):
        params.parse(raw(budget="large") | {"sweep": RAW["sweep"] | {"models": ["mcln"]}})


def test_a_file_without_the_section_is_whole():
    bare = dict(RAW)
    del bare["study"]

    assert params.parse(bare).factors.items == 60
