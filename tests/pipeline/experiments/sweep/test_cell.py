"""One cell, on the workspace of the training tests."""

import polars as pl
import pytest
import yaml
from test_train import FOLDERS, workspace  # noqa: F401 (a fixture)

from pipeline.experiments import trial
from pipeline.experiments.sweep import cell as sweep_cell
from pipeline.experiments.sweep import grid
from pipeline.job.errors import ParamsError, TrainingDiverged
from pipeline.tables.io import read_json

SWEEP = {
    "models": ["bprmf", "base_vt"],
    "ranges": {"lr": [0.001, 0.05], "layers": [1]},
    "cells": "all",
    "trials": 0,
    "seeds": [1, 2],
    "budget": {"epochs": 4, "evaluate_every": 2, "patience": 2},
}
CELL = "lr-0.05__seed-2"


@pytest.fixture
def swept(workspace):  # noqa: F811
    declare(workspace)
    return workspace


def declare(folder, **changes):
    raw = yaml.safe_load((folder / "params.yaml").read_text()) | {"sweep": SWEEP | changes}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def run(folder, model="bprmf", cell=CELL):
    out = folder / f"results/{model}/sweep/{cell}.json"
    sweep_cell.main(["sample", model, cell, *FOLDERS, str(out), "--threads", "1"])
    return read_json(out)


def test_a_cell_is_trained_with_its_own_values_under_the_sweeps_budget(swept):
    found = run(swept, "base_vt", "layers-1__lr-0.05__seed-2")

    assert found["values"] == {"lr": 0.05, "layers": 1}
    assert (found["settings"]["lr"], found["settings"]["layers"]) == (0.05, 1)
    assert found["settings"]["counterfactual"] is False  # it is base_vt, a form of mcln
    assert found["architecture"] == "mcln"
    assert found["seed"] == 2
    assert set(found["curve"]) == {"2", "4"}
    assert found["ndcg@10"] == max(found["curve"].values())


def test_a_cell_is_what_a_run_of_a_file_with_the_same_settings_is(swept):
    runs = {
        "budget": SWEEP["budget"],
        "seeds": [2],
        "runs": {"own": {"model": "bprmf", "lr": 0.05}},
    }
    (swept / "grid.yaml").write_text(yaml.safe_dump(runs))
    grid.main(["sample", "grid.yaml", *FOLDERS, "found.json", "--threads", "1"])
    known = read_json(swept / "found.json")["runs"]["own/2"]
    del known["minutes"]

    found = run(swept)

    assert found == known | {"values": {"lr": 0.05}, "seed": 2}


def test_the_same_cell_is_the_same_file_and_leaves_no_state(swept):
    run(swept)
    path = swept / f"results/bprmf/sweep/{CELL}.json"
    first = path.read_bytes()
    path.unlink()

    run(swept)

    assert path.read_bytes() == first
    assert not list((swept / ".work/train").iterdir())


def test_the_test_part_is_not_read_and_changes_nothing(swept):
    """Neither its file nor its rows of the candidates."""
    first = run(swept)
    folder = swept / FOLDERS[0]
    (folder / "test.parquet").unlink()
    table = pl.read_parquet(folder / "candidates.parquet")
    is_test = pl.col("part") == "test"
    other = pl.when(is_test).then((pl.col("item") + 1) % 130).otherwise(pl.col("item"))
    changed = table.with_columns(other.cast(pl.Int32).alias("item"))
    assert changed.filter(~is_test).equals(table.filter(~is_test))
    assert not changed.equals(table)
    changed.write_parquet(folder / "candidates.parquet")

    assert run(swept) == first


def test_validation_is_what_a_cell_is_judged_by(swept):
    """The counterpart: another validation item is another result."""
    first = run(swept)
    path = swept / FOLDERS[0] / "candidates.parquet"
    table = pl.read_parquet(path)
    is_validation = pl.col("part") == "validation"
    other = pl.when(is_validation).then((pl.col("item") + 1) % 130).otherwise(pl.col("item"))
    table.with_columns(other.cast(pl.Int32).alias("item")).write_parquet(path)

    assert run(swept)["curve"] != first["curve"]


def test_a_loss_that_leaves_the_numbers_is_a_result(swept, monkeypatch):
    def diverge(job, pause):
        raise TrainingDiverged("loss is nan at epoch 1, step 0")

    monkeypatch.setattr(trial, "validated", diverge)

    found = run(swept)

    assert found == {
        "values": {"lr": 0.05},
        "seed": 2,
        "diverged": "loss is nan at epoch 1, step 0",
    }


def test_a_cell_that_the_section_does_not_have_is_refused(swept):
    with pytest.raises(ParamsError, match=r"no cell 'lr-7__seed-2' of bprmf on sample"):
        run(swept, cell="lr-7__seed-2")

    assert not (swept / "results").exists()
