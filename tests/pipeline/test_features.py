from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from paths import ROOT
from PIL import Image

from pipeline import features
from pipeline.extractors.extraction import (
    BLOCK,
    Extractor,
    Machine,
    PictureEncoder,
    torch_device,
)
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import ParamsError, RawDataError, SchemaError
from pipeline.params import load
from pipeline.params.features import family
from pipeline.tables.features import METADATA, read_features
from pipeline.tables.io import write_parquet
from pipeline.tables.pictures import spread
from pipeline.tables.schema import IMAGES, ITEMS

SIF = {"extractor": "sif", "field": "title", "dim": 6, "epochs": 2}
VGG16 = {"extractor": "vgg16", "field": "image", "weights": "seeded"}
ONE_THREAD = ["--device", "cpu", "--threads", "1"]
TITLES = ["red shirt", None, "blue shirt", "blue jeans"]


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Four items with titles, three with pictures, of which two are the same."""
    monkeypatch.chdir(tmp_path)
    columns = {name: [None] * 4 for name in ITEMS}
    columns |= {"item": [0, 1, 2, 3], "raw_id": list("abcd"), "title": TITLES}
    items = pl.DataFrame(columns, schema=ITEMS).with_columns(
        words=pl.Series([["7", "8"], [], ["8"], None], dtype=pl.List(pl.String)),
        price=pl.lit(1.0),
    )
    write_parquet(items, Path("processed/items.parquet"))
    write_images([png("red"), None, png("blue"), png("red")])
    write_params({"visual": VGG16, "textual": SIF})
    return tmp_path


def write_images(files: list[bytes | None]) -> None:
    rows = [
        (
            n,
            "ok" if data else "missing",
            data,
            4 if data else None,
            4 if data else None,
            "somewhere",
        )
        for n, data in enumerate(files)
    ]
    write_parquet(pl.DataFrame(rows, schema=IMAGES, orient="row"), Path("images.parquet"))


def write_params(feature: dict) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["features"]["sample"] = feature
    raw |= {"models": ["lightgcn"], "modalities": ["visual", "textual", "sound"]}
    Path("params.yaml").write_text(yaml.safe_dump(raw))


def run_stage(modality: str):
    features.main(["sample", modality, "processed", "images.parquet", "out.parquet"])
    return read_features(Path("out.parquet"))


def brightness(settings, seed, machine) -> PictureEncoder:
    """An extractor of two numbers; `seen` collects its pictures."""

    def encode(pictures):
        for data in pictures:
            brightness.seen.append(data)
            colour = Image.open(io.BytesIO(data)).getpixel((0, 0))
            yield np.array([colour[0], seed], np.float32)

    return PictureEncoder(
        dim=2, weights="none", weights_sha256="", preprocessing={}, versions={}, encode=encode
    )


@pytest.fixture
def fake_vgg16(monkeypatch):
    brightness.seen = []
    monkeypatch.setitem(EXTRACTORS, "vgg16", Extractor(pictures=brightness))


def test_every_extractor_of_params_is_registered():
    used = {
        family(section.extractor)
        for dataset in load(ROOT / "params.yaml").features.values()
        for section in dataset.values()
    }

    assert used <= set(EXTRACTORS)


def test_text_features_with_their_metadata(workspace):
    present, feature, metadata = run_stage("textual")

    assert present.tolist() == [True, False, True, True]
    assert feature.shape == (4, 6)
    assert feature[present].any(axis=1).all()
    assert not feature[1].any()
    assert set(metadata) == set(METADATA)
    assert {key: metadata[key] for key in ("extractor", "weights", "field", "dim")} == {
        "extractor": "sif",
        "weights": "trained",
        "field": "title",
        "dim": "6",
    }
    assert len(metadata["weights_sha256"]) == 64
    assert "gensim" in json.loads(metadata["versions"])
    assert "lower-cased" in json.loads(metadata["preprocessing"])["tokens"]


def test_a_list_column_is_read_as_tokens(workspace):
    write_params({"textual": SIF | {"field": "words"}})

    present, _, metadata = run_stage("textual")

    assert present.tolist() == [True, False, True, False]
    assert json.loads(metadata["preprocessing"])["tokens"] == "as given"


def test_the_same_bytes_when_run_again(workspace):
    run_stage("textual")
    first = Path("out.parquet").read_bytes()
    run_stage("textual")

    assert Path("out.parquet").read_bytes() == first


def test_real_vgg16_through_the_stage(workspace):
    present, feature, metadata = run_stage("visual")

    assert present.tolist() == [True, False, True, True]
    assert feature.shape == (4, 4096)
    assert np.array_equal(feature[0], feature[3])
    assert not np.array_equal(feature[0], feature[2])
    assert not feature[1].any()
    assert metadata["weights"] == "seeded (untrained)"
    assert metadata["dim"] == "4096"
    assert all(metadata[key] for key in METADATA)


def test_equal_pictures_are_encoded_once(workspace, fake_vgg16):
    present, feature, _ = run_stage("visual")

    assert brightness.seen == [png("red"), png("blue")]
    assert present.tolist() == [True, False, True, True]
    assert feature.tolist() == [[255, 2023], [0, 0], [0, 2023], [255, 2023]]


def test_spread_keeps_only_vectors_that_recur():
    a, b, c = (np.full(1, n, np.float32) for n in range(3))

    vectors = list(spread([a, b, c], [b"a", b"b", None, b"a", b"c", b"a"]))

    assert vectors == [a, b, None, a, c, a]


def test_shards_gather_to_the_same_bytes(workspace, fake_vgg16):
    """A block is more pictures than there are, so that all but one shard are empty."""
    colours = [png(f"#{number:06x}") for number in range(3 * BLOCK)]
    titles = pl.DataFrame({"item": range(len(colours))}, schema={"item": pl.Int32})
    items = titles.with_columns(pl.lit("a").alias(name) for name in ITEMS if name != "item")
    items = items.with_columns(raw_id=pl.col("item").cast(pl.String))
    write_parquet(items.cast(dict(ITEMS)), Path("processed/items.parquet"))
    write_images(colours)
    run_stage("visual")
    whole = Path("out.parquet").read_bytes()
    shards = [f"shards/{number}-of-4.parquet" for number in (1, 2, 3, 4)]
    brightness.seen.clear()

    for path in shards:
        arguments = ["sample", "visual", "processed", "images.parquet", path]
        features.main([*arguments, "--shard", Path(path).stem])
    arguments = ["sample", "visual", "processed", "images.parquet", "out.parquet"]
    features.main([*arguments, "--shards", *shards])

    assert Path("out.parquet").read_bytes() == whole
    assert brightness.seen == colours


def test_an_extractor_that_does_not_read_the_field(workspace):
    write_params({"textual": SIF | {"field": "image"}})
    with pytest.raises(ParamsError, match=r"textual.field: expected a column of text, .* sif"):
        run_stage("textual")


def test_no_blocks_are_left_once_the_features_are_written(workspace, fake_vgg16):
    run_stage("visual")

    assert not list(Path(".work").rglob("*.float32"))


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_in_the_same_bytes(workspace):
    """kill -9, ten times, at moments drawn from a seed, then once to the end."""
    colours = [png(f"#{number * 4001:06x}") for number in range(4 * BLOCK + 5)]
    rows = pl.DataFrame({"item": range(len(colours))}, schema={"item": pl.Int32})
    items = rows.with_columns(pl.lit("a").alias(name) for name in ITEMS if name != "item")
    items = items.with_columns(raw_id=pl.col("item").cast(pl.String))
    write_parquet(items.cast(dict(ITEMS)), Path("processed/items.parquet"))
    write_images(colours)
    write_params({"visual": VGG16 | {"extractor": "resnet50"}})
    command = [sys.executable, "-m", "pipeline.features", "sample", "visual", "processed"]
    subprocess.run([*command, "images.parquet", "whole.parquet", *ONE_THREAD], check=True)
    draw = np.random.default_rng(7)
    survived = 0

    for _ in range(10):
        process = subprocess.Popen([*command, "images.parquet", "out.parquet", *ONE_THREAD])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(2, 9))
            survived += 1
        process.kill()
        process.wait()
        assert not Path("out.parquet").exists() or survived
    subprocess.run([*command, "images.parquet", "out.parquet", *ONE_THREAD], check=True)

    assert survived < 10
    assert Path("out.parquet").read_bytes() == Path("whole.parquet").read_bytes()


def test_swapping_the_extractor_is_an_edit_of_params(workspace, fake_vgg16):
    write_params({"visual": SIF | {"field": "words"}})

    assert run_stage("visual")[2]["extractor"] == "sif"
    assert not brightness.seen


def test_a_modality_of_other_datasets_is_an_empty_table(workspace, caplog):
    with caplog.at_level("INFO"):
        present, feature, metadata = run_stage("sound")

    assert present.shape == (0,)
    assert feature.shape == (0, 1)
    assert (metadata["extractor"], metadata["dim"]) == ("none", "0")
    assert "sample has no modality sound" in caplog.text


def test_unknown_names_are_params_errors(workspace):
    with pytest.raises(ParamsError, match="no modality 'smell'; expected one of"):
        run_stage("smell")
    with pytest.raises(ParamsError, match="no dataset 'nowhere'"):
        features.main(["nowhere", "sound", "processed", "images.parquet", "out.parquet"])


@pytest.mark.parametrize("field", ["colour", "price"])
def test_a_field_without_text_is_an_error_that_lists_the_columns(workspace, field):
    write_params({"textual": SIF | {"field": field}})

    message = rf"features\.sample\.textual\.field: .*'title', 'words'.* got '{field}'"
    with pytest.raises(ParamsError, match=message):
        run_stage("textual")
    assert not Path("out.parquet").exists()


def test_a_field_that_is_empty_everywhere_is_an_error(workspace):
    write_params({"textual": SIF | {"field": "description"}})

    with pytest.raises(RawDataError, match="field 'description': expected text, got 4 items"):
        run_stage("textual")


def test_pictures_that_do_not_match_the_items(workspace, fake_vgg16):
    write_images([png("red")])
    with pytest.raises(SchemaError, match="one row for each of 4 items, got 1"):
        run_stage("visual")
    write_images([None] * 4)
    with pytest.raises(RawDataError, match="expected pictures, got none for 4 items"):
        run_stage("visual")
    Path("images.parquet").unlink()
    with pytest.raises(SchemaError, match="run the stage `images` first"):
        run_stage("visual")


def test_devices():
    assert torch_device(Machine(device="cpu")).type == "cpu"
    with pytest.raises(ParamsError, match="--device tpu: not on this machine"):
        torch_device(Machine(device="tpu"))
