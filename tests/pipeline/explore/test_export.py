"""Vectors of briefly trained models, through the command line."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import small_dataset
import torch
import yaml
from small_dataset import FOLDERS, N_ITEMS, N_USERS, run

from pipeline import params, recommend, train
from pipeline.explore import export
from pipeline.job.errors import ParamsError
from pipeline.learning.checkpoint import restored
from pipeline.learning.command_line import Arguments
from pipeline.learning.dataset import Dataset
from pipeline.tables.io import read_json, sha256_of

NO_PRODUCTS = ["dmrl", "ease", "itemknn", "mcln_plus", "popularity"]
MODELS = [*params.ARCHITECTURES, "without_linear"]  # mcln_plus of inner products alone
PRODUCTS = [m for m in MODELS if m not in NO_PRODUCTS]
OUT = ["users.parquet", "items.parquet", "vectors.json"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every model, trained for one epoch."""
    folder = tmp_path_factory.mktemp("made")
    small_dataset.write(folder)
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    raw["train"] |= {"epochs": 1, "evaluate_every": 1, "refit": False}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in MODELS:
            run(train, model)
        run(recommend, "mcln")
    return folder


@pytest.fixture
def workspace(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def arguments(model, *more):
    return ["sample", model, *FOLDERS, f"results/{model}", *more, "--threads", "1"]


def exported(folder):
    tables = {name: pq.read_table(folder / name) for name in OUT[:2]}
    return [
        np.stack(table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1))
        for table in tables.values()
    ]


@pytest.mark.parametrize("model", PRODUCTS)
def test_the_inner_product_of_what_was_written_is_the_score(workspace, tmp_path, model):
    export.main(arguments(model, str(tmp_path / "out")))

    users, items = exported(tmp_path / "out")
    names = Arguments(
        "sample", model, *(workspace / f for f in (*FOLDERS, f"results/{model}")), "cpu"
    )
    dataset = Dataset(names.processed)
    with torch.inference_mode():
        trained, _ = restored(params.load(), names, dataset)
        scores = trained.scorer()(torch.arange(N_USERS)).numpy()
    np.testing.assert_allclose(users @ items.T, scores, rtol=0, atol=1e-5 * abs(scores).max())
    assert scores.shape == (N_USERS, N_ITEMS)


def test_ids_and_facts_are_exported_with_the_vectors(workspace, tmp_path):
    export.main(arguments("mcln", str(tmp_path / "out")))

    users = pl.read_parquet(tmp_path / "out/users.parquet")
    assert users.columns == ["user", "raw_id", "vector"]
    assert users.schema["vector"] == pl.Array(pl.Float32, 64)
    assert users.row(3)[:2] == (3, "u3")
    facts = read_json(tmp_path / "out/vectors.json")
    assert (facts["model"], facts["seed"], facts["dim"]) == ("mcln", 2023, 64)
    sha256 = sha256_of(workspace / "results/mcln/checkpoint.safetensors")
    assert facts["checkpoint_sha256"] == sha256


def test_the_same_bytes_again(workspace, tmp_path):
    for folder in ("a", "b"):
        export.main(arguments("mcln", str(tmp_path / folder)))

    for name in OUT:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("model", NO_PRODUCTS)
def test_a_model_without_vectors_is_refused_and_nothing_is_written(workspace, tmp_path, model):
    with pytest.raises(
        ParamsError, match=f"{model}: expected a model whose score is the inner"
    ):
        export.main(arguments(model, str(tmp_path / "out")))

    assert not (tmp_path / "out").exists()


def test_a_search_in_the_index_finds_what_recommend_lists(workspace, tmp_path):
    """After leaving out the items that the user has, which the index does not."""
    faiss = pytest.importorskip("faiss", reason="extra faiss")
    export.main(arguments("mcln", str(tmp_path / "out"), "--faiss"))

    users, _ = exported(tmp_path / "out")
    index = faiss.read_index(str(tmp_path / "out/items.faiss"))
    scores, items = index.search(users, N_ITEMS)

    known = Dataset(workspace / FOLDERS[0]).pairs(validation=True)
    lists = pl.read_parquet("results/mcln/recommendations.parquet")
    for user in range(N_USERS):
        has = known.items[known.users == user].tolist()
        kept = [place for place, item in enumerate(items[user]) if item not in has][:20]
        expected = lists.filter(pl.col("user") == user)
        assert items[user][kept].tolist() == expected["item"].to_list()
        np.testing.assert_allclose(scores[user][kept], expected["score"].to_numpy(), atol=1e-5)


def test_an_index_without_the_package_is_refused_by_name(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)

    with pytest.raises(ParamsError, match=r"--faiss: .*pip install -e '\.\[faiss\]'"):
        export.main(arguments("mcln", str(tmp_path / "out"), "--faiss"))
