"""The search by optuna, on the workspace of the training tests."""

import sys

import polars as pl
import pytest
import yaml
from test_train import FOLDERS, workspace  # noqa: F401 (a fixture)

from pipeline import params
from pipeline.experiments.sweep import search
from pipeline.experiments.sweep import table as sweep_table
from pipeline.experiments.trial import outcome, trial_of
from pipeline.job.errors import ParamsError
from pipeline.params import sweep
from pipeline.params.cell import Cell
from pipeline.tables.io import read_json

SWEEP = {
    "models": ["lightgcn"],
    "ranges": {"lr": [0.0001, 0.001, 0.01, 0.1], "layers": [1, 2, 3], "l2": [0.0, 0.01]},
    "cells": "none",
    "trials": 4,
    "seeds": [1],
    "budget": {"epochs": 6, "evaluate_every": 2, "patience": 3},
}
NEEDED = "the extra `optuna` is not installed"


@pytest.fixture
def swept(workspace):  # noqa: F811
    pytest.importorskip("optuna", reason=NEEDED)
    declare(workspace)
    return workspace


def declare(folder, **changes):
    raw = yaml.safe_load((folder / "params.yaml").read_text()) | {"sweep": SWEEP | changes}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def run(folder):
    out = folder / "results/lightgcn/sweep_trials.json"
    search.main(["sample", "lightgcn", *FOLDERS, str(out), "--threads", "1"])
    return read_json(out)["trials"]


def counted(monkeypatch):
    """Return a list that gets every cell that is trained from now on."""
    trained = []

    def count(trial, *others):
        trained.append(trial.cell)
        return outcome(trial, *others)

    monkeypatch.setattr(search, "outcome", count)
    return trained


def test_trials_are_different_cells_of_the_ranges_and_the_same_every_time(swept, monkeypatch):
    first = run(swept)

    assert len(first) == SWEEP["trials"]
    values = [trial["results"][0]["values"] for trial in first]
    assert len({str(one) for one in values}) == len(first)
    for one in values:
        assert all(value in SWEEP["ranges"][key] for key, value in one.items())
    for trial in first:
        (result,) = trial["results"]
        assert result["ndcg@10"] == max(result["curve"].values())
    assert not list((swept / ".work/train").iterdir())

    (journal,) = (swept / ".work/sweep").glob("*.jsonl")
    journal.unlink()
    assert run(swept) == first


def test_a_trial_is_the_cell_that_the_grid_would_train(swept):
    found = run(swept)[0]["results"][0]

    job = search.Arguments("sample", "lightgcn", *map(swept.joinpath, FOLDERS), swept, "auto")
    budget = sweep.section(params.load()).budget
    trial = trial_of(Cell("lightgcn", found["values"], 1), budget, "cell")
    assert outcome(trial, params.read(), job) == found


def test_more_trials_keep_those_that_there_are_and_fewer_are_the_first_of_them(
    swept, monkeypatch
):
    first = run(swept)
    trained = counted(monkeypatch)
    declare(swept, trials=6)

    more = run(swept)

    assert more[:4] == first
    assert len(trained) == 2

    declare(swept, trials=3)
    assert run(swept) == first[:3]
    assert len(trained) == 2


@pytest.mark.parametrize("stop", [2, 5])
def test_a_search_that_was_killed_goes_on_within_its_trial_and_ends_in_the_same(
    swept, monkeypatch, stop
):
    """It is killed at a measurement, of the first trial or the second."""
    whole = run(swept)
    for path in (swept / ".work/sweep").iterdir():
        path.unlink()
    measured = [0]
    report = search.Watched._report

    def killed(self, *what):
        report(self, *what)
        measured[0] += 1
        if measured[0] == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(search.Watched, "_report", killed)
    with pytest.raises(KeyboardInterrupt):
        run(swept)
    (state,) = (swept / ".work/train").iterdir()  # not where the cell's own job has it
    assert state.name.startswith("sample-lightgcn__trial__")

    assert run(swept) == whole
    assert measured[0] <= 4 * 3 + 1  # one epoch's measurement twice, no trial from its start


def test_a_trial_below_the_median_is_pruned_and_stands_in_the_table(swept, monkeypatch):
    """The sixth and later ones, where five came to their ends; most of them learn nothing."""
    few = {"lr": [0.0001, 0.0002, 0.0003, 0.0004, 0.001, 0.01, 0.1], "layers": [1], "l2": [0.0]}
    declare(swept, ranges=few, trials=7, seeds=[1, 2])
    trained = counted(monkeypatch)

    trials = run(swept)

    states = [trial["state"] for trial in trials]
    assert states[:5] == ["complete"] * 5
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    assert pruned
    for trial in pruned:  # on the first seed, and not trained on the other
        (result,) = trial["results"]
        assert result["pruned"] < SWEEP["budget"]["epochs"]
    assert len(trained) == 2 * 7 - len(pruned)
    sweep_table.main(["sample", "lightgcn", "results/lightgcn"])
    rows = read_json(swept / "results/lightgcn/sweep.json")["rows"]
    assert [row["state"] for row in rows] == sorted(states)
    assert rows[0]["ndcg@10"] == max(
        sum(result["ndcg@10"] for result in trial["results"]) / 2
        for trial in trials
        if trial["state"] == "complete"
    )


def test_ranges_with_fewer_cells_than_trials_are_tried_whole(swept):
    declare(swept, ranges={"lr": [0.001, 0.01], "layers": [1]}, trials=9)

    assert len(run(swept)) == 2


def test_a_study_outlives_a_change_of_test_and_no_other(swept, monkeypatch):
    """Of its data, the budget, or a line of the code that is imported."""
    run(swept)
    trained = counted(monkeypatch)
    (swept / FOLDERS[0] / "test.parquet").unlink()
    run(swept)
    assert trained == []

    declare(swept, budget=SWEEP["budget"] | {"epochs": 4})
    run(swept)
    assert len(trained) == 4

    path = swept / FOLDERS[0] / "candidates.parquet"
    table = pl.read_parquet(path)
    is_validation = pl.col("part") == "validation"
    other = pl.when(is_validation).then((pl.col("item") + 1) % 130).otherwise(pl.col("item"))
    table.with_columns(other.cast(pl.Int32).alias("item")).write_parquet(path)
    run(swept)
    assert len(trained) == 8

    monkeypatch.setattr(search, "CODE", "another")
    run(swept)
    assert len(trained) == 12


@pytest.mark.parametrize("damage", ["cut", "flipped", "lost"])
def test_a_damaged_study_is_thrown_away_from_there_on_and_ends_in_the_same(
    swept, caplog, damage
):
    whole = run(swept)
    (journal,) = (swept / ".work/sweep").glob("*.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    at = 2 * len(lines) // 3
    damaged = {"cut": lines[at][:90], "flipped": lines[at].replace("0", "1"), "lost": "half\n"}
    journal.write_text("".join([*lines[:at], damaged[damage], *lines[at + 1 :]]))

    assert run(swept) == whole
    assert f"{journal.name}: thrown away from line {at + 1} on" in caplog.text


def test_without_optuna_the_extra_is_named(workspace, monkeypatch):  # noqa: F811
    declare(workspace)
    monkeypatch.setitem(sys.modules, "optuna", None)

    with pytest.raises(ParamsError, match=r"sweep\.trials: needs optuna: pip install -e"):
        run(workspace)
