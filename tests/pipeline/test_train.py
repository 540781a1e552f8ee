"""train, evaluate and recommend on a small dataset, through their command lines."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from small_dataset import FOLDERS, METADATA_OF_6, N_ITEMS, N_USERS, ROOT, run, write

from pipeline import evaluate, params, recommend, train
from pipeline.job.errors import ParamsError, SchemaError, TrainingDiverged
from pipeline.learning.checkpoint import read_checkpoint
from pipeline.learning.command_line import Arguments
from pipeline.learning.dataset import Dataset
from pipeline.learning.state import resume, save_state
from pipeline.tables.features import write_features
from pipeline.tables.io import read_json, write_parquet
from pipeline.tables.schema import HISTORY, RANKS, RECOMMENDATIONS

LEARNING = [m for m in params.ARCHITECTURES if m not in ("popularity", "itemknn", "ease")]
LEARNING += ["base", "base_vt", "mcln_printed"]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A processed dataset with features, and params.yaml with a small budget."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", ["mcln", "dmrl", "mmgcn"])
def test_two_extractors_side_by_side_are_two_modalities(workspace, model):
    """Of different widths; the model reads them and the text."""
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    net = {"extractor": "resnet50", "field": "image", "weights": "seeded"}
    text = raw["features"]["sample"]["textual"]
    raw["features"]["sample"] = {"visual_a": net, "visual_b": dict(net), "textual": text}
    raw["tokens"] = {}
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))
    folder = workspace / FOLDERS[1]
    (folder / "visual.parquet").rename(folder / "visual_a.parquet")
    wider = list(np.random.default_rng(1).random((N_ITEMS, 9), dtype=np.float32))
    metadata = METADATA_OF_6 | {"dim": "9"}
    write_features(wider, folder / "visual_b.parquet", dim=9, metadata=metadata)

    for stage in (train, evaluate):
        run(stage, model)

    tensors, _ = read_checkpoint(workspace / f"results/{model}/checkpoint.safetensors")
    assert {9, 6} <= {size for tensor in tensors.values() for size in tensor.shape}
    assert 0 < read_json(workspace / f"results/{model}/metrics.json")["sampled"]["hr@10"] < 1


def test_what_a_model_refuses_is_a_message_with_the_section(workspace):
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    raw["ease"]["default"] |= {"content_weight": 1.0, "modalities": []}
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))

    with pytest.raises(ParamsError, match=r"params\.yaml: ease on sample: expected features"):
        run(train, "ease")


def test_sampling_by_pairs_trains_another_model_and_is_in_its_facts(workspace):
    found = {}
    for sampling in ("users", "pairs"):
        raw = yaml.safe_load((workspace / "params.yaml").read_text())
        raw["train"]["sampling"] = sampling
        (workspace / "params.yaml").write_text(yaml.safe_dump(raw))
        run(train, "bprmf")
        tensors, facts = read_checkpoint(workspace / "results/bprmf/checkpoint.safetensors")
        assert facts["budget"]["sampling"] == sampling
        found[sampling] = tensors["users"]

    assert not torch.equal(found["users"], found["pairs"])


@pytest.mark.parametrize("model", ["popularity", "itemknn", "ease"])
def test_a_baseline_goes_through_the_stages_without_an_epoch(workspace, model):
    for stage in (train, evaluate, recommend):
        run(stage, model)
    results = workspace / "results" / model

    history = pl.read_parquet(results / "history.parquet")
    assert history["epoch"].to_list() == [0, 0]
    assert history["loss"].to_list() == [None, None]
    assert history["ndcg@10"][0] is not None
    metrics = read_json(results / "metrics.json")
    assert metrics["epoch"] == 0
    assert metrics["trained_on"] == "train and validation"
    assert pl.read_parquet(results / "recommendations.parquet").height == N_USERS * 20


@pytest.mark.parametrize("model", LEARNING)
def test_a_model_trains_evaluates_and_recommends(workspace, model):
    for stage in (train, evaluate, recommend):
        run(stage, model)
    results = workspace / "results" / model

    history = pl.read_parquet(results / "history.parquet")
    assert dict(history.schema) == HISTORY
    assert set(history["phase"]) == {"select", "refit"}
    ranks = pl.read_parquet(results / "ranks.parquet")
    assert dict(ranks.schema) == RANKS
    metrics = read_json(results / "metrics.json")
    assert metrics["n_users"] == N_USERS
    assert metrics["epoch"] in (3, 6, 9, 12)
    assert metrics["trained_on"] == "train and validation"
    assert metrics["sampled"]["hr@10"] == pytest.approx((ranks["rank_sampled"] < 10).mean())
    assert metrics["full"]["hr@5"] == pytest.approx((ranks["rank_full"] < 5).mean())
    lists = pl.read_parquet(results / "recommendations.parquet")
    assert dict(lists.schema) == RECOMMENDATIONS
    assert lists.height == N_USERS * 20
    seen = pl.concat(
        pl.read_parquet(workspace / FOLDERS[0] / f"{part}.parquet")
        for part in ("train", "validation")
    )
    assert lists.join(seen, on=["user", "item"], how="semi").is_empty()


def configure(workspace, **changes):
    """Change sections of params.yaml."""
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    for section, values in changes.items():
        raw[section] |= values
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))


def test_another_metric_chooses_another_epoch(workspace):
    """Every epoch measured; the history has both metrics, whose best epochs differ."""
    histories = {}
    for select_by in ("sampled ndcg@10", "full recall@20"):
        budget = {"evaluate_every": 1, "epochs": 12, "patience": 12, "refit": False}
        configure(workspace, train=budget | {"select_by": select_by})
        run(train, "bprmf", "results/chosen")
        _, facts = read_checkpoint(workspace / "results/chosen/checkpoint.safetensors")
        history = pl.read_parquet(workspace / "results/chosen/history.parquet")
        histories[select_by] = history
        best = history.sort("value", descending=True, maintain_order=True)["epoch"][0]
        protocol, name = select_by.split(" ")
        assert facts["selected_on"] == f"validation {name} ({protocol})"
        assert facts["epoch"] == best

    first, second = histories.values()
    assert first["value"].equals(first["ndcg@10"].rename("value"))
    assert second["ndcg@10"].equals(first["ndcg@10"])  # the same training
    assert second["value"].arg_max() != first["value"].arg_max()


def test_the_full_ranking_of_validation_is_that_of_a_loop(workspace):
    """It hides train and shows test items, as validation must not know them."""
    configure(workspace, train={"select_by": "full recall@20"})
    job = Arguments("sample", "popularity", *map(Path, FOLDERS), Path(), "cpu")
    trainer = train.Trainer(job, params.load())
    pairs = trainer.dataset.pairs(validation=False)

    value = trainer.measure("validation", pairs)(trainer.new_training(pairs).model).value

    known = trainer.dataset.train.group_by("user").agg("item").rows()
    counts = trainer.dataset.train.group_by("item").len().rows()
    popular, seen, hits = dict(counts), dict(known), 0
    for user, target in trainer.dataset.validation.rows():
        others = [i for i in range(N_ITEMS) if i not in seen[user] and i != target]
        above = sum(popular.get(i, 0) >= popular.get(target, 0) for i in others)
        hits += above < 20
    assert value == pytest.approx(hits / N_USERS)


def test_a_mask_without_validation_lowers_what_it_no_longer_hides(workspace):
    """A model that was trained on validation items ranks them high."""
    run(train, "bprmf")
    values = {}
    for mask in ("train_validation", "train"):
        configure(workspace, evaluate={"mask": mask, "k": [20]})
        run(evaluate, "bprmf")
        metrics = read_json(workspace / "results/bprmf/metrics.json")
        ranks = pl.read_parquet(workspace / "results/bprmf/ranks.parquet")
        values[mask] = ranks["rank_full"].mean()
        assert metrics["full"]["mask"] == mask
        assert set(metrics["lists"]) == {
            f"{measure}@20" for measure in ("coverage", "gini", "novelty", "visual_similarity",
                                            "textual_similarity")
        }  # fmt: skip

    assert values["train"] > values["train_validation"]


def test_training_does_not_open_the_test_file(workspace):
    (workspace / FOLDERS[0] / "test.parquet").unlink()

    run(train, "bprmf")

    with pytest.raises(SchemaError, match=r"test\.parquet: no such table"):
        run(evaluate, "bprmf")


def test_the_same_inputs_give_the_same_bytes(workspace):
    run(train, "mcln")
    run(train, "mcln", "results/again")

    for name in ("checkpoint.safetensors", "history.parquet"):
        first, second = (workspace / "results" / m / name for m in ("mcln", "again"))
        assert first.read_bytes() == second.read_bytes()


def test_a_killed_training_leaves_no_output_and_resumes_to_the_same_bytes(workspace):
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    raw["train"] |= {"epochs": 300, "evaluate_every": 20, "patience": 100}
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))
    command = [sys.executable, "-m", "pipeline.train", "sample", "lightgcn", *FOLDERS,
               "results/killed", "--threads", "1"]  # fmt: skip
    with subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    ) as job:
        deadline = time.monotonic() + 60
        while not list(workspace.glob(".work/train/*.safetensors")):
            assert time.monotonic() < deadline, "no state was saved"
            time.sleep(0.02)
        job.kill()
    assert not (workspace / "results/killed/checkpoint.safetensors").exists()

    run(train, "lightgcn", "results/killed")

    run(train, "lightgcn", "results/whole")
    killed, whole = (
        workspace / "results" / n / "checkpoint.safetensors" for n in ("killed", "whole")
    )
    assert killed.read_bytes() == whole.read_bytes()
    assert not list(workspace.glob(".work/train/*"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
@pytest.mark.parametrize("phase", ["select", "refit"])
def test_a_damaged_state_is_named_and_its_training_begins_again(
    workspace, monkeypatch, caplog, phase, damage
):
    """The state that training leaves is kept from removal, and damaged."""
    run(train, "lightgcn", "results/whole")
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
    run(train, "lightgcn", "results/killed")
    monkeypatch.undo()
    monkeypatch.chdir(workspace)
    (state,) = workspace.glob(f".work/train/*-{phase}-*.safetensors")
    data = state.read_bytes()
    flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    state.write_bytes({"cut": data[:-100], "flipped": flipped, "empty": b""}[damage])

    run(train, "lightgcn", "results/killed")

    assert f"{state.name}: thrown away: its content does not match" in caplog.text
    killed, whole = (
        workspace / "results" / n / "checkpoint.safetensors" for n in ("killed", "whole")
    )
    assert killed.read_bytes() == whole.read_bytes()


def test_a_state_of_numbers_that_are_not_finite_is_thrown_away(workspace, caplog):
    arguments = Arguments("sample", "lightgcn", *map(Path, [*FOLDERS, "results"]), "cpu")
    trainer = train.Trainer(arguments, params.load())
    pairs = trainer.dataset.pairs(validation=False)
    training, path = trainer.new_training(pairs), workspace / "state"
    next(iter(training.model.parameters())).data[0] = float("nan")
    save_state(training, path)

    assert not resume(trainer.new_training(pairs), path)
    assert f"{path}: thrown away: it has numbers that are not finite" in caplog.text


def test_the_state_depends_on_the_threads_and_on_the_epochs(workspace):
    arguments = Arguments("sample", "lightgcn", *map(Path, [*FOLDERS, "results"]), "cpu")
    trainer = train.Trainer(arguments, params.load())
    pairs, before = trainer.dataset.pairs(validation=False), torch.get_num_threads()
    paths = set()
    for threads, epochs in ((1, 5), (2, 5), (1, 6)):
        torch.set_num_threads(threads)
        paths.add(trainer._state_path("refit", pairs, epochs))
    torch.set_num_threads(before)

    assert len(paths) == 3


def test_selection_on_test_is_labelled_optimistic(workspace):
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    raw["train"]["select_on"] = "test"
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))

    run(train, "bprmf")
    run(evaluate, "bprmf")

    metrics = read_json(workspace / "results/bprmf/metrics.json")
    assert metrics["optimistic"] is True
    assert metrics["selected_on"].startswith("test")


def test_a_non_finite_loss_is_an_error_and_leaves_no_checkpoint(workspace):
    raw = yaml.safe_load((workspace / "params.yaml").read_text())
    raw["bprmf"]["default"]["lr"] = 1e30
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))

    with pytest.raises(TrainingDiverged, match=r"epoch \d+, step \d+.*Lower the model's lr"):
        run(train, "bprmf")

    assert not (workspace / "results/bprmf/checkpoint.safetensors").exists()


def test_features_of_another_catalogue_are_refused(workspace):
    path = workspace / FOLDERS[1] / "visual.parquet"
    write_features([np.ones(6, np.float32)], path, dim=6, metadata=METADATA_OF_6)

    with pytest.raises(
        SchemaError, match=r"visual\.parquet: expected 130 rows, one per item, got 1"
    ):
        run(train, "mcln")


def test_all_copies_of_a_published_validation_pair_are_held_out(workspace):
    folder = workspace / FOLDERS[0]
    validation = pl.read_parquet(folder / "validation.parquet")
    own = pl.read_parquet(folder / "train.parquet")
    write_parquet(pl.concat([own, validation, validation]), folder / "train.parquet")
    dataset = Dataset(folder)

    assert len(dataset.pairs(validation=False)) == own.height
    assert len(dataset.pairs(validation=True)) == own.height + 2 * validation.height


def test_checkpoints_record_how_they_were_trained(workspace):
    run(train, "base")

    _, facts = read_checkpoint(workspace / "results/base/checkpoint.safetensors")

    assert facts["architecture"] == "mcln"
    assert json.loads(json.dumps(facts)) == facts
