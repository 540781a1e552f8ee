"""The section `tune`: which models and rounds there are, and what they cost."""

import copy
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.params import sweep, tune
from pipeline.params.tune import Round
from workflow import settings

RAW = yaml.safe_load(Path("params.yaml").read_text())
RANGES = {"lr": [0.001, 0.01], "l2": [0.0, 0.1]}


def parsed(train=None, models=None, **section):
    raw = copy.deepcopy(RAW) | {"tune": {"ranges": RANGES, "rounds": 2} | section}
    raw["train"] |= {"epochs": 400, "evaluate_every": 5} | (train or {})
    raw["models"] = models or raw["models"]
    return params.parse(raw)


def rounds(n_lr, train=None, rounds=3):
    ranges = {"lr": [0.001 * (i + 1) for i in range(n_lr)]}
    return tune.rounds(parsed(train, ranges=ranges, rounds=rounds), "sample", "bprmf")


def test_a_third_goes_on_for_three_times_the_epochs():
    assert rounds(20) == [Round(20, 45), Round(7, 135), Round(3, 400)]
    assert rounds(20, rounds=1) == [Round(20, 400)]
    assert rounds(1) == [Round(1, 45), Round(1, 135), Round(1, 400)]


def test_rounds_end_at_measurements_and_never_beyond_the_budget():
    """Those that would end at the same epoch are one: no training is between them."""
    assert rounds(20, {"epochs": 10}, 4) == [Round(20, 5), Round(7, 10)]
    assert rounds(20, {"epochs": 3}) == [Round(20, 3)]
    assert rounds(9, {"epochs": 32, "evaluate_every": 10}) == [
        Round(9, 10),
        Round(3, 20),
        Round(1, 32),
    ]


def test_the_cost_counts_every_epoch_once():
    assert tune.most_epochs([Round(20, 45), Round(7, 135), Round(3, 400)]) == (
        20 * 45 + 7 * 90 + 3 * 265
    )
    found = parsed(ranges={"lr": [0.1, 0.2, 0.3, 0.4], "l2": [0.1]})
    assert tune.cost(found, "sample", "bprmf") == (
        "at most 1,070 epochs (2.7 trainings of 400): 4 to epoch 135, 2 to epoch 400"
    )


def test_without_a_list_the_models_of_the_file_that_have_an_lr_are_tuned():
    found = parsed(models=["popularity", "itemknn", "bprmf", "base_vt"])

    assert tune.models(found, "sample") == ["bprmf", "base_vt"]
    assert tune.models(parsed(models=["popularity"]), "sample") == []
    named = params.parse(copy.deepcopy(RAW) | {"tune": {"models": ["vbpr"], "ranges": RANGES}})
    assert tune.models(named, "sample") == ["vbpr"]


def test_every_combination_is_tried_on_the_one_seed_of_the_file():
    found = parsed()

    cells = sweep.cells(tune.as_sweep(found), "sample", "bprmf")

    assert [(c.values["lr"], c.values["l2"]) for c in cells] == [
        (0.001, 0.0),
        (0.001, 0.1),
        (0.01, 0.0),
        (0.01, 0.1),
    ]
    assert {c.seed for c in cells} == {found.seed}


def test_a_file_without_the_section_has_the_default():
    found = params.parse({key: value for key, value in RAW.items() if key != "tune"})

    assert found.tune == params.parse(RAW).tune


def test_a_dataset_with_a_budget_of_its_own_is_tuned_within_it():
    found = parsed({"datasets": {"sample": {"epochs": 10}}}).of("sample")

    assert tune.rounds(found, "sample", "bprmf")[-1].epochs == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranges": {"lrr": [0.1]}}, r"tune\.ranges\.lrr: no model has this setting"),
        ({"ranges": {"lr": [-1]}}, r"tune\.ranges\.lr: bprmf does not take lr -1"),
        ({"ranges": {"lr": [1, 1.0]}}, r"tune\.ranges\.lr: 1\.0 is there twice"),
        ({"ranges": {}}, r"tune\.ranges: "),
        ({"rounds": 0}, r"tune\.rounds: "),
        ({"epochs": 3}, r"tune\.epochs: unknown key"),
        (
            {"ranges": {key: [i / 1e6 for i in range(1, 102)] for key in ("lr", "l2")}},
            r"tune\.ranges: expected at most 10000 cells .* got 10201 of bprmf; shorten",
        ),
    ],
)
def test_a_section_that_cannot_be_run_is_refused(change, message):
    with pytest.raises(ParamsError, match=message):
        parsed(**change)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["gpt"], r"tune\.models: no model 'gpt'; expected some of"),
        (["bprmf", "bprmf"], r"tune\.models: bprmf is there twice"),
        (["popularity"], r"tune\.models: popularity has none of \['lr', 'l2'\]"),
    ],
)
def test_models_that_are_named_must_have_what_is_searched(models, message):
    with pytest.raises(ParamsError, match=message):
        params.parse(copy.deepcopy(RAW) | {"tune": {"models": models, "ranges": RANGES}})


@pytest.mark.parametrize(
    ("change", "is_seen"),
    [
        (lambda raw: raw["bprmf"].update(sample={"lr": 0.5, "l2": 0.5}), False),
        (lambda raw: raw["train"].update(refit=False), False),
        (lambda raw: raw["bprmf"].update(sample={"dim": 8}), True),
        (lambda raw: raw["train"].update(epochs=7), True),
        (lambda raw: raw["tune"].update(rounds=4), True),
        (lambda raw: raw.update(seed=7), True),
    ],
    ids=["searched", "refit", "other setting", "budget", "rounds", "seed"],
)
def test_a_search_depends_on_what_it_does_not_choose(change, is_seen):
    """So that keeping what it found does not make it run again."""
    raw = copy.deepcopy(RAW)
    before = settings.slices(params.parse(raw))["tune_search/sample/bprmf"]
    change(raw)

    assert (settings.slices(params.parse(raw))["tune_search/sample/bprmf"] != before) == is_seen
