"""A model for production, through the command line, and the examples of docs/deploy.md."""

import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import small_dataset
import yaml
from paths import ROOT
from small_dataset import FOLDERS, N_ITEMS, N_USERS

from pipeline import params, train
from pipeline.explore import deploy
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.learning.checkpoint import read_checkpoint
from pipeline.library import training
from pipeline.library.features import encode_texts, load_features
from pipeline.tables.features import write_features
from pipeline.tables.io import read_json, write_parquet
from pipeline.tables.schema import ITEMS

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "docs/deploy.md").read_text(encoding="utf-8"))
OUT = "results/sample/mcln/deploy"
PROCESSED = FOLDERS[0]
PARTS = ("train", "validation", "test")
COLUMNS = ["user", "raw_user", "position", "item", "raw_item", "score"]


def title(item):
    """Users of even numbers choose items below 60, others items of 60 to 119."""
    return f"blue cotton shirt {item % 7}" if item < 60 else f"grey wool scarf {item % 7}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained and deployed model, with titles and their features."""
    folder = tmp_path_factory.mktemp("made")
    small_dataset.write(folder)
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    raw["train"]["refit"] = False
    raw["deploy"] = {"model": "mcln", "k": 20, "faiss": True}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    titles = [title(item) for item in range(N_ITEMS)]
    rows = [(item, f"i{item}", titles[item], None, None) for item in range(N_ITEMS)]
    items = pl.DataFrame(rows, schema=ITEMS, orient="row")
    write_parquet(items, folder / PROCESSED / "items.parquet")
    textual = encode_texts("sif", titles)
    path = folder / FOLDERS[1] / "textual.parquet"
    write_features(list(textual.vectors), path, dim=300, metadata=textual.metadata)
    write_parquet(interactions(folder), folder / PROCESSED / "interactions.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in ("mcln", "itemknn"):
            small_dataset.run(train, model, f"results/sample/{model}")
        run_deploy("mcln")
    return folder


@pytest.fixture
def workspace(made, monkeypatch):
    pytest.importorskip("faiss", reason="extra faiss")
    monkeypatch.chdir(made)
    return made


def interactions(folder):
    """Return all pairs, sorted by user and time."""
    parts = [pl.read_parquet(folder / PROCESSED / f"{part}.parquet") for part in PARTS]
    return pl.concat(parts).sort("user", "timestamp")


def run_deploy(model, out=None):
    results = f"results/sample/{model}"
    deploy.main(["sample", model, *FOLDERS, results, out or f"{results}/deploy", "--threads=1"])


def vectors(folder, name):
    return pl.read_parquet(folder / f"{name}.parquet")["vector"].to_numpy()


def test_no_list_holds_an_item_that_the_user_has_in_any_part(workspace):
    lists = pl.read_parquet(f"{OUT}/recommendations.parquet")
    known = interactions(workspace)

    assert known.height == N_USERS * 8
    assert lists.join(known, on=["user", "item"]).is_empty()
    assert lists.columns == COLUMNS
    assert lists["position"].to_list() == [*range(20)] * N_USERS


def test_ids_are_raw_and_scores_are_the_inner_products(workspace):
    lists = pl.read_parquet(f"{OUT}/recommendations.parquet")

    assert lists["raw_user"].to_list() == [f"u{user}" for user in lists["user"]]
    assert lists["raw_item"].to_list() == [f"i{item}" for item in lists["item"]]
    users, items = (vectors(workspace / OUT, name) for name in ("users", "items"))
    scores = (users[lists["user"]] * items[lists["item"]]).sum(1)
    np.testing.assert_allclose(lists["score"], scores, atol=1e-5)


def test_the_vectors_are_those_of_a_training_on_all_pairs_for_the_checkpoints_epochs(workspace):
    """Trained here from the tables, by another function."""
    _, facts = read_checkpoint(workspace / "results/sample/mcln/checkpoint.safetensors")
    pairs = interactions(workspace)
    settings = params.load()
    modalities = settings.model_modalities("mcln", "sample")

    trained = training.train(
        "mcln",
        pairs["user"].to_numpy(),
        pairs["item"].to_numpy(),
        {name: load_features(f"{FOLDERS[1]}/{name}.parquet").vectors for name in modalities},
        epochs=facts["epoch"],
        device="cpu",
        batch_size=settings.train.batch_size,
        **settings.model("mcln", "sample").model_dump(),
    )

    users, items = (vectors(workspace / OUT, name) for name in ("users", "items"))
    np.testing.assert_allclose(users @ items.T, trained.scores(np.arange(N_USERS)), atol=1e-5)
    told = read_json(workspace / OUT / "vectors.json")
    assert (told["epoch"], told["pairs"]) == (facts["epoch"], pairs.height)
    assert told["trained_on"] == "train, validation and test"


def test_the_index_finds_the_lists(workspace):
    import faiss

    index = faiss.read_index(f"{OUT}/items.faiss")
    _, found = index.search(vectors(workspace / OUT, "users"), N_ITEMS)

    lists = pl.read_parquet(f"{OUT}/recommendations.parquet")
    known = interactions(workspace)
    for user in range(N_USERS):
        has = known.filter(pl.col("user") == user)["item"].to_list()
        kept = [item for item in found[user].tolist() if item not in has]
        assert kept[:20] == lists.filter(pl.col("user") == user)["item"].to_list()


def test_the_same_bytes_again_and_no_saved_state_is_left(workspace, tmp_path):
    run_deploy("mcln", str(tmp_path))

    for file in (workspace / OUT).iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()
    assert not list((workspace / ".work/train").glob("*deploy*"))


def test_a_model_without_vectors_is_refused_before_anything_is_written(workspace):
    with pytest.raises(ParamsError, match="itemknn: expected a model whose score is the inner"):
        run_deploy("itemknn")

    assert not (workspace / "results/sample/itemknn/deploy").exists()


def test_an_epoch_that_was_chosen_for_other_settings_is_refused(workspace, tmp_path):
    text = (workspace / "params.yaml").read_text()
    raw = yaml.safe_load(text)
    raw["mcln"]["default"]["layers"] = 2
    (workspace / "params.yaml").write_text(yaml.safe_dump(raw))
    try:
        with pytest.raises(SchemaError, match="its epoch was chosen for others"):
            run_deploy("mcln", str(tmp_path / "out"))
    finally:
        (workspace / "params.yaml").write_text(text)
    assert not (tmp_path / "out").exists()


CHECKS = f"""
old = for_new_user(["i0", "i7", "i14", "i21"])
assert old.columns == ["raw_id", "score"]
assert not set(old["raw_id"][:-4]) & {{"i0", "i7", "i14", "i21"}}
numbers = old["raw_id"].str.slice(1).cast(int)
assert (numbers[:20] < 60).mean() > 0.9  # what even users choose
assert scores.shape == ({N_USERS},)
assert scores[::2].mean() > scores[1::2].mean() + 0.1  # who chose blue cotton shirts
"""


def test_the_examples_of_the_document_score_a_new_user_and_a_new_item(workspace):
    for block in BLOCKS:
        assert len([line for line in block.splitlines() if line.strip()]) <= 10, block

    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*BLOCKS, CHECKS])],
        cwd=workspace,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" would like it most\n")
