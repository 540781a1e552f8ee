"""A published benchmark from its files to the report: labels, three modalities, no pictures."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from paths import ROOT

from pipeline import (
    compare,
    download,
    evaluate,
    features,
    ingest,
    kcore,
    params,
    recommend,
    split,
    train,
    validate,
)
from pipeline.job.errors import ParamsError
from pipeline.tables import schema as s
from pipeline.tables.features import read_features
from pipeline.tables.io import read_json

N_USERS, N_ITEMS = 20, 30
MODALITIES = ("textual", "audio", "tags")
FOLDERS = ["processed", "features"]
MODELS = ("popularity", "bprmf", "mcln")


def labelled():
    """Lines of 9 items a user: 6 train, 1 validation, 2 test; user 0 is in test alone."""
    labels = [0] * 6 + [1] + [2] * 2
    return [
        f"{u}\t{(u + 3 * k) % N_ITEMS}\t{label if u else 2}"
        for u in range(N_USERS)
        for k, label in enumerate(labels)
        if u or label == 2
    ]


@pytest.fixture
def benchmark(tmp_path, monkeypatch):
    """The files in a mirror, and params.yaml of three models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))
    folder = Path("mirror/toy")
    folder.mkdir(parents=True)
    text = "\n".join(["userID\titemID\tx_label", *labelled()]) + "\n"
    (folder / "toy.inter").write_text(text)
    generator = np.random.default_rng(0)
    for modality in MODALITIES:
        np.save(folder / f"{modality}.npy", generator.random((N_ITEMS, 5)))  # float64
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    files = [f"{modality}.npy" for modality in MODALITIES]
    raw["sources"]["toy"] = {"format": "inter", "interactions": "toy.inter", "files": files}
    raw["features"]["toy"] = {
        m: {"extractor": "precomputed", "path": f"data/raw/toy/{m}.npy", "rows": "item_id"}
        for m in MODALITIES
    }
    raw |= {"datasets": ["toy"], "models": list(MODELS), "modalities": list(MODALITIES)}
    raw["train"] |= {"datasets": {"toy": {"epochs": 2, "evaluate_every": 1}}}
    raw["evaluate"] |= {"datasets": {"toy": {"candidates": 9}}}
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    return raw


def download_to_features():
    download.main(["toy", "data/raw/toy"])
    ingest.main(["toy", "data/raw/toy", "interim"])
    kcore.main(["toy", "interim", "processed"])
    split.main(["toy", "interim", "processed"])
    validate.main(["toy", "data/raw/toy", "interim", "processed", "results"])
    for modality in MODALITIES:
        path = f"features/{modality}.parquet"
        features.main(["toy", modality, "processed", "no_images.parquet", path])


def test_it_runs_from_its_files_to_the_report(benchmark):
    download_to_features()
    for model in MODELS:
        for stage in (train, evaluate, recommend):
            stage.main(["toy", model, *FOLDERS, f"results/{model}", "--threads", "1"])
    compare.main(["toy", "processed", "no_images.parquet", "results", "--features", "features"])

    parts = [pl.read_parquet(f"processed/{p}.parquet").height for p in ("train", "test")]
    assert parts == [6 * 19, 2 * 20]
    statistics = read_json(Path("processed/statistics.json"))
    assert (statistics["users"], statistics["items"], statistics["core"]) == (20, 30, None)
    test = read_json(Path("results/bprmf/metrics.json"))["split"]["test"]
    assert test == {
        "targets": 38, "users": 19, "users_without_targets": 1, "targets_of_unknown_users": 2,
    }  # fmt: skip
    history = pl.read_parquet("results/bprmf/history.parquet")
    assert history.filter(phase="select")["epoch"].to_list() == [1, 2]
    text = Path("results/comparison.md").read_text()
    assert "as labelled in the file: means over 19 users with 38 test items" in text
    assert "sampled-9:" in text
    page = Path("results/report.html").read_text()
    assert all(f"{modality}: precomputed" in page for modality in MODALITIES)


def test_a_row_of_a_feature_file_is_that_of_its_raw_id(benchmark):
    """Numbers of items follow the raw ids as texts: 0, 1, 10, 11, ..."""
    download_to_features()
    items = pl.read_parquet("processed/items.parquet").sort(s.ITEM)

    present, feature, _ = read_features(Path("features/audio.parquet"))

    rows = np.load("mirror/toy/audio.npy")[items[s.RAW_ID].cast(pl.Int64)]
    assert items[s.RAW_ID].to_list()[:3] == ["0", "1", "10"]
    assert present.all()
    np.testing.assert_array_equal(feature, rows.astype(np.float32))


def test_filters_of_kcore_and_a_split_of_its_own_are_refused(benchmark):
    download.main(["toy", "data/raw/toy"])
    ingest.main(["toy", "data/raw/toy", "interim"])
    benchmark["kcore"]["max_per_user"] = 5
    Path("params.yaml").write_text(yaml.safe_dump(benchmark))

    with pytest.raises(ParamsError, match=r"kcore\.max_per_user: toy is a published split"):
        kcore.main(["toy", "interim", "processed"])
    benchmark["split"]["datasets"] = {"toy": {"method": "time", "quantiles": [0.8, 0.9]}}
    with pytest.raises(ParamsError, match=r"split\.datasets\.toy: expected no entry"):
        params.parse(benchmark)


def test_a_feature_file_that_the_download_does_not_bring_is_refused(benchmark):
    benchmark["sources"]["toy"]["files"].remove("audio.npy")

    with pytest.raises(ParamsError, match=r"features\.toy\.audio\.path: .*got 'audio\.npy'"):
        params.parse(benchmark)
