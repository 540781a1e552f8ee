"""The section `study`: which trainings it has, what each depends on, what is refused."""

import copy

import pytest
from study_numbers import RAW, STUDY, parsed, raw

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.params import benchmark, study
from workflow.settings import slices

GRID = STUDY["grids"]["figure4"]


def test_the_file_has_the_papers_tables_and_figures():
    section = params.parse(RAW).study

    assert section.tables == ["table2", "table3", "table4"]
    assert section.grids["figure4"].values == [1, 2, 3, 4, 5, 6]
    assert section.grids["table5"].values == [1, 2, 3, 4, 5]
    assert section.budget == "quick"
    assert section.budgets["paper"].search
    assert len(section.budgets["paper"].seeds) == 5


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

    assert study.cells(settings, "sample") == {}
    with pytest.raises(ParamsError, match=r"study\.tables: no table 'third'; .*'first'"):
        study.tables(settings, "sample")


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
    del bare["factors"]

    settings = params.parse(bare)

    assert study.cells(settings, "sample") == {}
    assert settings.factors.items == 60


def searching(*swept):
    return params.parse(raw(budget="large") | {"sweep": RAW["sweep"] | {"models": list(swept)}})


def test_settings_are_those_of_the_models_sweep_or_of_the_model_it_is_a_variant_of():
    assert study.searched(parsed(), "mcln") is None  # a budget without a search
    assert study.searched(searching("bprmf", "mcln"), "mcln_printed") == "mcln"
    assert study.searched(searching("bprmf", "mcln", "base"), "base") == "base"


def test_trainings_that_are_the_same_are_there_once():
    """Four layers are mcln's and base's own; base_vt_cl has every setting of mcln."""
    settings = parsed()

    assert list(study.cells(settings, "sample")) == [
        f"{name}__seed-{seed}"
        for seed in (1, 2)
        for name in ("bprmf", "mcln", "base", "mcln__layers-3", "base__layers-3")
    ]
    rows = study.tables(settings, "sample")
    shared = {row.label: row.cells[0].name for rows in rows.values() for row in rows}
    assert shared["base_vt_cl"] == "mcln__seed-1"
    assert shared["mcln, layers 4"] == "mcln__seed-1"


def test_a_row_that_differs_on_one_dataset_is_a_training_of_its_own_there():
    changed = raw() | {"datasets": ["sample", "beauty_split"]}
    changed["base_vt_cl"] = {"default": {"variant_of": "mcln"}, "beauty_split": {"lr": 0.5}}
    settings = params.parse(changed)

    names = {d: study.cells(settings, d) for d in ("sample", "beauty_split")}

    assert "base_vt_cl__seed-1" not in names["sample"]
    assert "base_vt_cl__seed-1" in names["beauty_split"]


def test_rows_that_need_an_absent_modality_are_left_out_and_a_table_without_rows():
    changed = raw() | {
        "datasets": ["taobao"],
        "tables": {"first": ["bprmf"], "second": ["base_t"]},
    }

    assert list(study.tables(params.parse(changed), "taobao")) == ["first", "figure4"]


def test_with_a_search_a_models_own_number_of_layers_is_not_known():
    settings = parsed(budget="large")

    assert "mcln__layers-4__seed-5" in study.cells(settings, "sample")


def test_the_papers_study_is_34_trainings_a_seed():
    """10 + 10 + 3 rows, 12 points and 5, of which 6 are a training that is there already."""
    assert len(study.cells(params.parse(RAW), "sample")) == 2 * 34


def test_an_unknown_cell_is_refused_with_an_example():
    with pytest.raises(
        ParamsError, match=r"no cell 'mcln' on sample; .* such as bprmf__seed-1"
    ):
        benchmark.cell(parsed(), "sample", "mcln")


def test_lists_are_shown_of_the_models_of_the_file():
    assert list(study.shown(parsed(), "sample")) == ["bprmf", "mcln"]
    others = params.parse(raw() | {"models": ["vbpr"]})
    assert list(study.shown(others, "sample")) == ["bprmf", "mcln", "base", "base_vt_cl"]


def study_slices(settings):
    return {k: v for k, v in slices(settings).items() if k.startswith("study_")}


def touched(change):
    """Return the slices that a change of params.yaml alters, without the dataset's name."""
    after = copy.deepcopy(raw())
    change(after)
    before, after = (study_slices(params.parse(r)) for r in (raw(), after))
    return {n.replace("/sample", "") for n in before | after if before.get(n) != after.get(n)}


def test_another_seed_adds_trainings_and_leaves_those_there_are():
    names = ("bprmf", "mcln", "base", "mcln__layers-3", "base__layers-3")

    assert touched(lambda r: r["study"]["budgets"]["small"].update(seeds=[1, 2, 3])) == {
        "study_tables",
        "study_page",
        *(f"study_cell/{name}__seed-3" for name in names),
    }


def test_a_models_number_touches_its_cells_alone():
    assert touched(lambda r: r["bprmf"]["default"].update(l2=0.5)) == {
        "study_cell/bprmf__seed-1",
        "study_cell/bprmf__seed-2",
    }


def test_what_train_has_and_the_budget_replaces_touches_nothing():
    assert touched(lambda r: r["train"].update(epochs=7, patience=3, evaluate_every=2)) == set()


def test_the_size_of_the_gallery_touches_the_page_alone():
    assert touched(lambda r: r["compare"].update(users=3)) == {"study_page"}
