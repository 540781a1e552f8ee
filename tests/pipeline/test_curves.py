"""The files that DVC shows: the numbers of the stages in a form that it can read."""

import json
import math
from pathlib import Path

import polars as pl
import pytest
import torch

from model.metrics import at_cutoffs
from pipeline import curves
from pipeline.job.errors import SchemaError
from pipeline.tables import io
from pipeline.tables import schema as s

METRICS = {
    "dataset": "sample", "model": "bprmf", "seeds": [7],
    "selected_on": "validation ndcg@10 (sampled)",
    "epoch": 5, "n_users": 1, "settings": {"dim": 8}, "budget": {"epochs": 9},
    "sampled": {"hr@5": 0.5, "ndcg@5": 0.25, "candidates": 100},
    "full": {"hr@5": 0.25, "ndcg@5": 0.125, "candidates": 900},
}  # fmt: skip
HISTORY = [
    ("select", 5, 0.6, 0.2, 0.1, 0.1, "validation"),
    ("select", 10, 0.5, 0.3, 0.2, 0.2, "validation"),
    ("refit", 5, 0.55, None, None, None, "validation"),
]


def ranks(sampled, full):
    rows = [(user, 0, *pair, 7) for user, pair in enumerate(zip(sampled, full, strict=True))]
    return pl.DataFrame(rows, schema=s.RANKS, orient="row")


def history(rows=HISTORY):
    return pl.DataFrame(rows, schema=s.HISTORY, orient="row")


def points(table, panel, x):
    """Return {x: value} of one panel."""
    return dict(table.filter(pl.col("panel") == panel).select(x, "value").iter_rows())


def test_scores_are_the_metrics_and_the_epoch_without_settings_and_counts():
    assert curves.scores({"bprmf": METRICS}, {"bprmf": history()}) == {
        "bprmf": {
            "epoch": 5,
            "sampled": {"hr@5": 0.5, "ndcg@5": 0.25},
            "full": {"hr@5": 0.25, "ndcg@5": 0.125},
            "validation": {"hr@10": 0.3, "ndcg@10": 0.2},
        }
    }


@pytest.mark.parametrize("rows", [[], [(*row[:-1], "test") for row in HISTORY]])
def test_a_choice_on_other_data_has_no_validation_score(rows):
    assert (
        "validation" not in curves.scores({"bprmf": METRICS}, {"bprmf": history(rows)})["bprmf"]
    )


def test_learning_has_the_phase_select_without_the_refit():
    table = curves.learning({"bprmf": history()}, "toy")

    assert points(table, "training loss", "epoch") == {5: 0.6, 10: 0.5}
    assert points(table, "HR@10, validation", "epoch") == {5: 0.2, 10: 0.3}
    assert points(table, "NDCG@10, validation", "epoch") == {5: 0.1, 10: 0.2}
    assert table["dataset"].unique().to_list() == ["toy"]


def test_a_choice_on_test_is_labelled():
    rows = [(*row[:-1], "test") for row in HISTORY]

    panels = curves.learning({"bprmf": history(rows)}, "toy")["panel"].unique().to_list()

    assert sorted(panels) == ["HR@10, test", "NDCG@10, test", "training loss"]


def test_a_model_without_training_has_no_curve():
    table = curves.learning({"popularity": history([]), "bprmf": history()}, "toy")

    assert table["model"].unique().to_list() == ["bprmf"]
    assert curves.learning({"popularity": history([])}, "toy").columns == list(curves.LEARNING)


def test_cutoffs_are_those_of_evaluate():
    """The measures of model.metrics, which evaluate uses, at every k."""
    sampled, full = [0, 1, 9, 10, 19, 20, 99], [3, 30, 4, 0, 700, 2, 2]

    table = curves.cutoffs({"bprmf": ranks(sampled, full)}, "toy")

    for part, values in (("sampled", sampled), ("full", full)):
        expected = at_cutoffs(part, torch.tensor(values), list(range(1, curves.TOP + 1)))
        for measure in ("HR", "NDCG"):
            curve = points(table, f"{measure}@k, {part}", "k")
            wanted = {k: expected[f"{measure.lower()}@{k}"] for k in curve}
            assert curve == pytest.approx(wanted)
            assert list(curve) == list(range(1, curves.TOP + 1))


def test_cutoffs_by_hand():
    """Of two users one is at rank 1 (0-based): a hit from k = 2 on, with gain 1 / log2(3)."""
    table = curves.cutoffs({"bprmf": ranks([1, 50], [1, 50])}, "toy")

    hits, gains = points(table, "HR@k, sampled", "k"), points(table, "NDCG@k, full", "k")
    assert (hits[1], hits[2], hits[20]) == (0.0, 0.5, 0.5)
    assert (gains[1], gains[2]) == (0.0, pytest.approx(0.5 / math.log2(3)))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The results of one model in a folder of their own."""
    settings = Path("params.yaml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    wanted = settings.replace("- bprmf\n- lightgcn\n- mcln\n", "- bprmf\n")
    Path("params.yaml").write_text(wanted, encoding="utf-8")
    folder = Path("results/bprmf")
    follows = {
        "sampled": {"hr@5": 1.0, "candidates": 9},
        "full": {"hr@5": 1.0, "candidates": 9},
    }
    io.write_json(METRICS | follows, folder / s.METRICS_FILE)
    io.write_parquet(ranks([0], [4]), folder / s.RANKS_FILE)
    io.write_parquet(history(), folder / s.HISTORY_FILE)
    return tmp_path


WRITTEN = ["scores/sample.json", "learning/sample.csv", "cutoffs/sample.csv"]


def test_the_command_writes_a_file_per_kind_with_reproducible_bytes(project):
    curves.main(["sample", "results", "plots"])
    first = [Path("plots", name).read_bytes() for name in WRITTEN]
    curves.main(["sample", "results", "plots"])

    assert [Path("plots", name).read_bytes() for name in WRITTEN] == first
    assert json.loads(first[0])["bprmf"]["epoch"] == 5
    assert first[1].decode().splitlines()[:2] == [
        "dataset,panel,model,epoch,value",
        "sample,training loss,bprmf,5,0.6",
    ]
    assert pl.read_csv(first[2]).height == 2 * 2 * curves.TOP


@pytest.mark.parametrize("missing", [s.METRICS_FILE, s.RANKS_FILE, s.HISTORY_FILE])
def test_a_missing_input_is_named_and_nothing_is_written(project, missing):
    Path("results/bprmf", missing).unlink()

    with pytest.raises(SchemaError, match=f"bprmf/{missing}: no such"):
        curves.main(["sample", "results", "plots"])
    assert not Path("plots").exists()
