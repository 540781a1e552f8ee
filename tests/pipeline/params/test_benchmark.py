"""The section `benchmark`: which trainings it has, and that the study shares them."""

import pytest
from study_numbers import STUDY, raw

from pipeline import params
from pipeline.comparison import published_numbers
from pipeline.job.errors import ParamsError
from pipeline.params import benchmark, study
from workflow.settings import slices

SMALL = {"epochs": 4, "evaluate_every": 2, "patience": 2}


def parsed(dataset="sample", **section):
    content = raw() | {"datasets": [dataset]}
    content["benchmark"] = {"models": ["bprmf", "mcln"], "seeds": [2, 3]} | section
    return params.parse(content)


def test_a_training_that_the_study_has_too_is_the_same_cell():
    settings = parsed(budget=SMALL)

    assert list(benchmark.cells(settings, "sample")) == [
        "bprmf__seed-2", "bprmf__seed-3", "mcln__seed-2", "mcln__seed-3",
    ]  # fmt: skip
    every = benchmark.every_cell(settings, "sample")
    of_study = study.cells(settings, "sample")
    assert set(every) - set(of_study) == {"bprmf__seed-3", "mcln__seed-3"}
    names = {n for n in slices(settings) if n.startswith("study_cell/")}
    assert names == {f"study_cell/sample/{name}" for name in every}


def test_another_budget_is_another_cell():
    settings = parsed(budget=SMALL | {"epochs": 6})

    (row, _) = benchmark.rows(settings, "sample")

    assert [cell.name for cell in row.cells] == [
        "bprmf__budget-benchmark__seed-2", "bprmf__budget-benchmark__seed-3",
    ]  # fmt: skip
    assert benchmark.budget_of(settings, "sample", row.cells[0]).epochs == 6
    of_study = benchmark.cell(settings, "sample", "bprmf__seed-2")
    assert benchmark.budget_of(settings, "sample", of_study).epochs == 4


def test_without_a_budget_it_is_that_of_train_on_the_dataset():
    content = raw() | {"datasets": ["lfm2k"]}
    content["benchmark"] = {"models": ["bprmf"]}
    content["train"] |= {"datasets": {"lfm2k": {"epochs": 60}}}

    assert benchmark.budget(params.parse(content), "lfm2k").epochs == 60


def test_models_without_training_have_one_seed_and_those_of_absent_features_none():
    settings = parsed("sports", models=["popularity", "bprmf", "vbpr", "freedom"])

    found = {row.model: len(row.cells) for row in benchmark.rows(settings, "sports")}

    assert found == {"popularity": 1, "bprmf": 2}
    assert benchmark.left_out(settings, "sports") == {
        "vbpr": "reads visual, which sports does not have all of",
        "freedom": "reads all features, and sports has none",
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"models": ["nobody"]}, r"benchmark\.models: no model 'nobody'"),
        ({"models": ["mcln", "mcln"]}, r"benchmark\.models: mcln is there twice"),
        ({"seeds": [1, 1]}, r"benchmark\.seeds: 1 is there twice"),
        ({"published": {"shop": "lfm2k"}}, r"benchmark\.published: no dataset 'shop'"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_keys_name(section, message):
    with pytest.raises(ParamsError, match=message):
        parsed(**section)


def test_numbers_that_are_not_there_and_other_cutoffs_are_refused():
    settings = parsed(published={"sample": "amazon_cars"})
    with pytest.raises(
        ParamsError, match=r"published\.sample: .*amazon_sports.* 'amazon_cars'"
    ):
        published_numbers.linked(settings, "sample")

    settings = parsed(published={"sample": "amazon_sports"})
    with pytest.raises(ParamsError, match=r"evaluate\.k: expected \[10, 20\] .*got \[5, 10\]"):
        published_numbers.linked(settings, "sample")
    assert published_numbers.linked(parsed(), "sample") is None


def test_every_link_of_the_file_leads_to_numbers():
    settings = params.load()

    for dataset in settings.benchmark.published:
        published = published_numbers.linked(settings.of(dataset), dataset)
        for source, values in published.rows.values():
            assert published.sources[source]
            assert 0 < len(values) <= len(published.metrics)


def test_the_studys_slices_do_not_depend_on_the_benchmark():
    plain = params.parse(raw())
    with_one = parsed(budget=SMALL)

    before, after = slices(plain), slices(with_one)

    assert STUDY["budgets"]["small"]["epochs"] == SMALL["epochs"]
    assert {n: v for n, v in after.items() if n in before} == before
