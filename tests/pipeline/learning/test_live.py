"""Curves of real, short trainings while they run, read back from what DVCLive wrote."""

import sys
from pathlib import Path

import polars as pl
import pytest
from small_dataset import FOLDERS, run, write

from pipeline import params, train
from pipeline.job.errors import ParamsError
from pipeline.learning.command_line import Arguments
from pipeline.learning.live import VARIABLE


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A processed dataset with features, and params.yaml with 12 epochs, a record every 3."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    return tmp_path


def points(phase, name):
    """Return `{epoch: value}` of a curve of lightgcn."""
    path = Path("live/sample/lightgcn") / phase / f"plots/metrics/{name}.tsv"
    table = pl.read_csv(path, separator="\t")
    return dict(zip(table["step"], table[name], strict=True))


def recorded(history, phase, name):
    rows = pl.read_parquet(history).filter(phase=phase)
    return dict(zip(rows["epoch"], rows[name], strict=True))


def test_the_curves_are_those_of_the_history_and_change_no_bytes(workspace, monkeypatch):
    run(train, "lightgcn", "results/without")
    assert not Path("live").exists()
    monkeypatch.setenv(VARIABLE, "live")

    run(train, "lightgcn", "results/with")

    for phase, names in {"select": ("loss", "hr@10", "ndcg@10"), "refit": ("loss",)}.items():
        for name in names:
            expected = recorded("results/with/history.parquet", phase, name)
            assert points(phase, name) == pytest.approx(expected)
        assert (Path("live/sample/lightgcn") / phase / "report.html").exists()
    assert len(points("select", "loss")) >= 3
    for name in ("checkpoint.safetensors", "history.parquet"):
        first, second = (Path("results") / x / name for x in ("without", "with"))
        assert first.read_bytes() == second.read_bytes()
    assert not list(workspace.rglob("dvc.yaml"))


def test_a_curve_grows_while_the_training_runs_and_continues_after_an_interruption(
    workspace, monkeypatch
):
    monkeypatch.setenv(VARIABLE, "live")

    class Interrupted(train.Trainer):
        """Stops at the measurement of epoch 9."""

        def measure(self, part, pairs):
            measured = super().measure(part, pairs)
            calls = iter(range(3))

            def then_stop(model):
                if next(calls) == 2:
                    raise KeyboardInterrupt
                return measured(model)

            return then_stop

    arguments = Arguments("sample", "lightgcn", *map(Path, [*FOLDERS, "results"]), "cpu")
    with pytest.raises(KeyboardInterrupt):
        train.train_model(Interrupted(arguments, params.load()))
    assert list(points("select", "ndcg@10")) == [3, 6]

    run(train, "lightgcn")

    expected = recorded("results/lightgcn/history.parquet", "select", "ndcg@10")
    assert points("select", "ndcg@10") == pytest.approx(expected)
    assert list(expected)[:3] == [3, 6, 9]


def test_dvclive_is_needed_only_for_curves(workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "dvclive", None)  # as if it were not installed
    run(train, "popularity")
    monkeypatch.setenv(VARIABLE, "live")

    with pytest.raises(ParamsError, match=r"LIVE_CURVES: .*dvclive.*'\.\[live\]' -c constr"):
        run(train, "popularity")


def test_a_folder_that_cannot_be_made_is_named(workspace, monkeypatch):
    Path("live").touch()
    monkeypatch.setenv(VARIABLE, "live")

    with pytest.raises(ParamsError, match=r"LIVE_CURVES: expected a folder .*live/sample"):
        run(train, "popularity")
