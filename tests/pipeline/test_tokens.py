"""The stage tokens, and the stages about a model that reads what it wrote."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from params_file import RAW
from small_dataset import FOLDERS, N_ITEMS, run, write

from pipeline import evaluate, recommend, tokens, train
from pipeline.job.errors import ParamsError, RawDataError, SchemaError
from pipeline.learning.checkpoint import read_checkpoint
from pipeline.tables.features import read_features
from pipeline.tables.io import read_json, write_parquet
from pipeline.tables.tokens import METADATA, read_token_metadata, read_tokens

TOKENS = "data/tokens/sample.parquet"
KINDS = {
    "title_words": {"extractor": "words", "field": "title", "max_share": 1.0},
    "visual_words": {"extractor": "visual_words", "clusters": 16, "nearest": 2},
}


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A processed dataset with features; every second item has a title."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    path = Path(FOLDERS[0]) / "items.parquet"
    titles = [(None, "item of red", None, "item of blue")[i % 4] for i in range(N_ITEMS)]
    write_parquet(pl.read_parquet(path).with_columns(title=pl.Series(titles)), path)
    write_kinds(KINDS)
    return tmp_path


def write_kinds(kinds):
    raw = yaml.safe_load(Path("params.yaml").read_text())
    raw["tokens"] = {"sample": kinds}
    Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def make():
    tokens.main(["sample", *FOLDERS, TOKENS])


def test_every_kind_is_a_column_with_its_provenance(workspace):
    make()

    table = pl.read_parquet(TOKENS)
    assert table.schema == {
        "item": pl.Int32,
        "title_words": pl.List(pl.Int32),
        "visual_words": pl.List(pl.Int32),
    }
    assert table["title_words"].to_list()[:4] == [[], [1, 2, 3], [], [0, 1, 2]]
    described = read_token_metadata(Path(TOKENS))
    assert set(described["visual_words"]) == set(METADATA)
    assert described["title_words"]["read"] == "title"
    assert described["title_words"]["tokens"] == 3 * N_ITEMS // 2
    assert described["visual_words"]["settings"]["clusters"] == 16
    assert described["visual_words"]["vocabulary"] == 16
    assert "scikit-learn" in described["visual_words"]["versions"]


def test_the_same_bytes_again(workspace):
    make()
    first = Path(TOKENS).read_bytes()
    Path(TOKENS).unlink()
    make()

    assert Path(TOKENS).read_bytes() == first


def test_a_dataset_without_tokens_has_a_table_of_items_alone(workspace):
    write_kinds({})
    make()

    assert pl.read_parquet(TOKENS).columns == ["item"]
    assert pl.read_parquet(TOKENS).height == N_ITEMS


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ({"extractor": "words", "field": "brand"}, ParamsError, "columns of text"),
        ({"extractor": "words", "field": "description"}, RawDataError, "'description'"),
        ({"extractor": "visual_words", "clusters": 200}, RawDataError, "lower clusters"),
    ],
)
def test_what_has_no_tokens_is_refused(workspace, kind, error, message):
    write_kinds({"kind": kind})

    with pytest.raises(error, match=message):
        make()


def test_features_of_other_items_are_refused(workspace):
    path = Path(FOLDERS[0]) / "items.parquet"
    write_parquet(pl.read_parquet(path).head(100), path)

    with pytest.raises(SchemaError, match=r"visual\.parquet: expected 100 rows.*got 130"):
        make()


@pytest.mark.parametrize("model", ["mcln_plus", "mhgcf"])
def test_a_model_reads_tokens_through_the_stages_and_knows_them_again(workspace, model):
    make()
    for stage in (train, evaluate, recommend):
        run(stage, model)

    results = Path("results") / model
    _, facts = read_checkpoint(results / "checkpoint.safetensors")
    assert set(facts["inputs"]["tokens"]) == set(KINDS)
    assert 0 < read_json(results / "metrics.json")["sampled"]["hr@10"] < 1

    write_kinds(KINDS | {"visual_words": KINDS["visual_words"] | {"nearest": 3}})
    make()
    with pytest.raises(SchemaError, match=r"data/tokens/sample\.parquet as it is, got one"):
        run(evaluate, model)
    Path(TOKENS).unlink()
    with pytest.raises(SchemaError, match=r"data/tokens/sample\.parquet: no such table"):
        run(train, model)


def test_a_model_without_tokens_does_not_open_them(workspace):
    Path(TOKENS).unlink()

    run(train, "without_tokens")

    _, facts = read_checkpoint(Path("results/without_tokens/checkpoint.safetensors"))
    assert "tokens" not in facts["inputs"]


def test_the_kinds_of_the_sample_fit_its_catalogue(workspace):
    """The settings of params.yaml, on features of random numbers."""
    write_kinds({"visual_words": RAW["tokens"]["sample"]["visual_words"]})
    make()

    pairs = read_tokens(Path(TOKENS), ["visual_words"], N_ITEMS)["visual_words"]
    present, _, _ = read_features(Path(FOLDERS[1]) / "visual.parquet")
    assert (np.bincount(pairs[:, 0], minlength=N_ITEMS) == 3 * present).all()
