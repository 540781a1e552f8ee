"""The one way to try settings: what a trial makes of params.yaml, and its name."""

import copy
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.experiments.trial import Trial, trial_of
from pipeline.job.errors import ParamsError
from pipeline.params.cell import Cell
from pipeline.params.experiments import Budget

RAW = yaml.safe_load(Path("params.yaml").read_text())
TRAIN = {key: value for key, value in RAW["train"].items() if key != "datasets"}
BUDGET = Budget(epochs=4, evaluate_every=2, patience=2)


@pytest.mark.parametrize("layer", [None, {"layers": 3}, {"l2": 0.5}])
def test_values_are_over_those_of_the_file_and_the_budget_over_train(layer):
    raw = copy.deepcopy(RAW)
    if layer:
        raw["mcln"]["sample"] = layer
    trial = trial_of(Cell("mcln", {"layers": 2}, 7), BUDGET, "cell")

    settings = trial.settings(raw, "sample")

    expected = params.parse(raw).model("mcln", "sample").model_copy(update={"layers": 2})
    assert settings.model(trial.name, "sample") == expected
    assert (settings.seed, settings.models) == (7, [trial.name])
    assert settings.train.model_dump() == TRAIN | BUDGET.model_dump()


def test_a_dataset_keeps_its_own_train_and_evaluate_below_the_budget():
    raw = copy.deepcopy(RAW)
    raw["train"]["datasets"] = {"sample": {"batch_size": 512, "epochs": 999}}
    raw["evaluate"]["datasets"] = {"sample": {"k": [20]}}

    settings = Trial("tried", Cell("mcln", {}, 7), BUDGET).settings(raw, "sample")

    train = TRAIN | {"batch_size": 512} | BUDGET.model_dump()
    assert settings.train.model_dump() == train
    assert settings.evaluate.k == [20]


def test_a_variant_stays_what_it_is():
    trial = Trial("tried", Cell("base_vt", {"layers": 1}, 7), BUDGET)

    settings = trial.settings(RAW, "sample")

    assert settings.architecture("tried") == "mcln"
    assert settings.model("tried", "sample").counterfactual is False


def test_a_value_that_the_model_does_not_take_is_refused():
    with pytest.raises(ParamsError, match=r"tried\.default\.depth: unknown key"):
        Trial("tried", Cell("mcln", {"depth": 1}, 7), BUDGET).settings(RAW, "sample")


def test_the_state_of_one_owners_training_is_not_removed_with_anothers(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.experiments.trial.WORK", tmp_path)
    cells = [Cell("mcln", {"lr": lr}, 1) for lr in (0.01, 0.001)]
    trials = [trial_of(cell, BUDGET, owner) for cell in cells for owner in ("cell", "study")]
    paths = [tmp_path / f"sample-{trial.name}-select-0.safetensors" for trial in trials]
    for path in paths:
        path.touch()

    trials[0].remove_state("sample")

    assert sorted(tmp_path.iterdir()) == sorted(paths[1:])
