"""Successive halving: its rounds on given curves, and small real searches."""

import polars as pl
import pytest
import yaml
from test_train import FOLDERS, workspace  # noqa: F401 (a fixture)

from model.fit import LossNotFinite, Training
from pipeline import params
from pipeline.experiments.sweep import halving, halving_table
from pipeline.experiments.trial import outcome, trial_of
from pipeline.params import sweep, tune
from pipeline.params.cell import Cell
from pipeline.params.tune import Round
from pipeline.tables.io import read_json

TUNE = {"ranges": {"lr": [0.001, 0.01, 0.05], "l2": [0.0001, 0.01, 0.1]}, "rounds": 3}
TRAIN = {"epochs": 18, "evaluate_every": 2, "patience": 9}
ROUNDS = [Round(9, 2), Round(3, 6), Round(1, 18)]
COST = 9 * 2 + 3 * 4 + 1 * 12


# --- the rounds, on given curves ------------------------------------------------------------


def searched(curves, rounds):
    """Return the results, and what was trained how far, in order."""
    trained = []

    def train(name, epochs):
        trained.append((name, epochs))
        curve = {str(e): v for e, v in enumerate(curves[name], 1) if e <= epochs}
        if None in curve.values():
            return {"diverged": "loss is nan"}
        return {"curve": curve}

    return halving.search(list(curves), rounds, train), trained


def test_each_round_trains_the_best_of_the_one_before_and_no_other():
    curves = {
        "slow": [0.1, 0.2, 0.9],
        "late": [0.3, 0.4, 0.5],
        "early": [0.5, 0.1, 0.1],
        "middle": [0.4, 0.45, 0.6],
    }

    results, trained = searched(curves, [Round(4, 1), Round(3, 2), Round(2, 3)])

    assert trained[:4] == [(name, 1) for name in curves]
    assert trained[4:7] == [("early", 2), ("middle", 2), ("late", 2)]
    # The best measurement counts, as in training: `early` was better than `late` ever is.
    assert trained[7:] == [("early", 3), ("middle", 3)]
    assert list(results) == ["middle", "early", "late", "slow"]
    assert {name: result["round"] for name, result in results.items()} == {
        "middle": 3,
        "early": 3,
        "late": 2,
        "slow": 1,
    }


def test_among_equals_the_earlier_one_goes_on():
    _, trained = searched({"a": [0.5, 0.5], "b": [0.5, 0.5]}, [Round(2, 1), Round(1, 2)])

    assert trained[2:] == [("a", 2)]


def test_a_training_that_diverged_is_last_and_goes_no_further():
    curves = {"a": [None, None], "b": [0.1, None], "c": [0.05, 0.2]}

    results, trained = searched(curves, [Round(3, 1), Round(3, 2)])

    assert trained[3:] == [("b", 2), ("c", 2)]
    assert list(results) == ["c", "b", "a"]


# --- real searches --------------------------------------------------------------------------


@pytest.fixture
def tuned(workspace):  # noqa: F811
    declare(workspace)
    return workspace


def declare(folder, **changes):
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    raw |= {"tune": TUNE, "train": raw["train"] | TRAIN} | changes
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def run(folder, model="lightgcn"):
    out = folder / f"results/{model}/tune.json"
    halving.main(["sample", model, *FOLDERS, str(out), "--threads", "1"])
    return read_json(out)


def table(folder, model="lightgcn"):
    halving_table.main(["sample", model, f"results/{model}"])
    return (folder / f"results/{model}/tune.md").read_text()


def counted(monkeypatch):
    """Return a list that gets an entry for every epoch that is trained from now on."""
    epochs, run_epoch = [], Training.run_epoch

    def count(training):
        epochs.append(training.progress.epoch)
        return run_epoch(training)

    monkeypatch.setattr(Training, "run_epoch", count)
    return epochs


def test_the_stated_cost_is_the_epochs_that_are_run(tuned, monkeypatch):
    epochs = counted(monkeypatch)

    found = run(tuned)

    settings = params.load()
    assert tune.rounds(settings, "sample", "lightgcn") == ROUNDS
    assert "at most 42 epochs" in tune.cost(settings, "sample", "lightgcn")
    assert found["most_epochs"] == found["epochs"] == len(epochs) == COST
    assert [row["round"] for row in found["rows"]] == [3, 2, 2, 1, 1, 1, 1, 1, 1]
    assert found["minutes"] >= 0
    assert "Cost: 42 epochs, of at most 42; " in table(tuned)
    assert not list((tuned / ".work/train").iterdir())


def test_a_training_of_several_rounds_is_the_one_without_a_pause(tuned):
    found = run(tuned)

    best = found["rows"][0]
    job = halving.Arguments("sample", "lightgcn", *map(tuned.joinpath, FOLDERS), tuned, "auto")
    budget = sweep.section(tune.as_sweep(params.load())).budget
    cell = Cell("lightgcn", found["best"], params.load().seed)
    whole = outcome(trial_of(cell, budget, "cell"), params.read(), job)
    assert {key: best[key] for key in ("curve", "epoch", "ndcg@10", "hr@10")} == {
        key: whole[key] for key in ("curve", "epoch", "ndcg@10", "hr@10")
    }
    assert set(best["curve"]) == {str(epoch) for epoch in range(2, 19, 2)}


@pytest.mark.parametrize("stop", [3, 20, 35])
def test_a_search_that_was_killed_goes_on_and_ends_in_the_same(tuned, monkeypatch, stop):
    """It is killed in the first round, the second or the third."""
    whole = run(tuned)
    run_epoch, done = Training.run_epoch, []

    def killed(training):
        loss = run_epoch(training)
        done.append(training.progress.epoch)
        if len(done) == stop:
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(Training, "run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tuned)
    assert list((tuned / ".work/train").iterdir())

    again = run(tuned)

    assert again | {"minutes": 0} == whole | {"minutes": 0}
    assert len(done) <= COST + TRAIN["evaluate_every"]  # since the last measurement


def test_fewer_rounds_after_a_kill_do_not_use_what_was_trained_beyond_them(tuned, monkeypatch):
    """The state that is kept is of an epoch that the new plan does not give the training."""
    few = TUNE | {"ranges": {"lr": [0.01, 0.05, 0.1], "l2": [0.1]}, "rounds": 2}
    declare(tuned, tune=few)
    expected = run(tuned)
    declare(tuned, tune=few | {"rounds": 1})
    monkeypatch.setattr(halving.Search, "remove_states", lambda self: None)
    run(tuned)
    declare(tuned, tune=few)

    assert run(tuned) | {"minutes": 0} == expected | {"minutes": 0}


def test_test_items_are_not_read_and_validation_decides(tuned):
    first = run(tuned)
    (tuned / FOLDERS[0] / "test.parquet").unlink()
    assert run(tuned) | {"minutes": 0} == first | {"minutes": 0}

    path = tuned / FOLDERS[0] / "candidates.parquet"
    drawn = pl.read_parquet(path)
    is_validation = pl.col("part") == "validation"
    other = pl.when(is_validation).then((pl.col("item") + 1) % 130).otherwise(pl.col("item"))
    drawn.with_columns(other.cast(pl.Int32).alias("item")).write_parquet(path)
    assert run(tuned)["rows"] != first["rows"]


def test_a_training_that_diverges_is_a_row(tuned, monkeypatch):
    """With the largest lr the loss leaves the numbers at epoch 3."""
    run_epoch = Training.run_epoch

    def diverge(training):
        loss = run_epoch(training)
        if training.optimiser.param_groups[0]["lr"] == 0.05 and training.progress.epoch == 3:
            raise LossNotFinite(3, 0, float("nan"))
        return loss

    monkeypatch.setattr(Training, "run_epoch", diverge)

    found = run(tuned)

    diverged = [row for row in found["rows"] if "diverged" in row]
    assert diverged
    assert all(row["values"]["lr"] == 0.05 and row["epochs"] == 3 for row in diverged)
    assert found["rows"][-len(diverged) :] == diverged
    assert found["best"]["lr"] != 0.05
    assert table(tuned).count("| diverged |") == len(diverged)


def test_an_early_stop_costs_less_than_was_stated(tuned):
    declare(tuned, train=params.read()["train"] | TRAIN | {"patience": 1})

    found = run(tuned)

    assert found["epochs"] <= found["most_epochs"] == COST


# --- the table ------------------------------------------------------------------------------


def found(**changes):
    values = [{"lr": lr, "l2": 0.01} for lr in (0.002, 0.001, 0.0005)]
    row = {"ndcg@10": 0.4, "hr@10": 0.5, "epoch": 30, "epochs": 60, "round": 2}
    return {
        "dataset": "shop",
        "model": "bprmf",
        "selected_by": "sampled ndcg@10",
        "seed": 7,
        "negatives": 99,
        "ranges": {"lr": [0.0005, 0.001, 0.002], "l2": [0.01]},
        "fixed": {"budget": {"epochs": 60, "evaluate_every": 5, "patience": 9}},
        "rounds": [{"trainings": 3, "epochs": 20}, {"trainings": 1, "epochs": 60}],
        "most_epochs": 1100,
        "epochs": 1000,
        "minutes": 2.5,
        "rows": [row | {"values": value} for value in values],
        "best": values[0],
    } | changes


def test_the_table_says_what_was_tried_on_how_many_seeds_and_at_what_cost():
    text = halving_table.markdown(found())

    assert "3 combinations of lr and l2, by successive halving: 3 to epoch 20, 1 to epo" in text
    assert "Test was not read." in text
    assert "One seed, 7: a lead smaller than the spread between seeds says little." in text
    assert "Cost: 1,000 epochs, of at most 1,100; 2.5 minutes of training." in text
    assert "| **best** | 0.002 | 0.01 | 0.4000 | 0.5000 | 30 | 60 | 2 |" in text
    assert "`python -m pipeline.experiments.sweep.keep shop`" in text


def test_the_metric_that_chose_is_a_column():
    rows = [row | {"value": 0.25} for row in found()["rows"]]

    text = halving_table.markdown(found(rows=rows, selected_by="full recall@20"))

    assert "| lr | l2 | full recall@20 | NDCG@10 | HR@10 | best epoch |" in text
    assert "| **best** | 0.002 | 0.01 | 0.2500 | 0.4000 | 0.5000 | 30 | 60 | 2 |" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "At an end of its range, beyond which may be better ones: lr."),
        ({"epoch": 60}, "Still rising at 60 epochs: raise `train.epochs`."),
        ({"epoch": 5}, "Best at its first measurement, epoch 5: "),
    ],
    ids=["edge", "rising", "overfits"],
)
def test_the_table_says_where_a_better_one_may_be(changes, sentence):
    rows = found()["rows"]

    assert sentence in halving_table.markdown(found(rows=[rows[0] | changes, *rows[1:]]))

    inside = found(rows=[rows[1], rows[0], rows[2]], best=rows[1]["values"])
    assert sentence not in halving_table.markdown(inside)


def test_a_search_in_which_all_diverged_has_nothing_to_keep():
    values = [row["values"] for row in found()["rows"]]
    rows = [{"values": v, "diverged": "loss is nan", "epochs": 1, "round": 1} for v in values]

    text = halving_table.markdown(found(rows=rows, best=None))

    assert "Every training diverged" in text
    assert "**best**" not in text
