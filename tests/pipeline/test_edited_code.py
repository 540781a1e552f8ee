"""Killed, the code edited, run again: the same bytes as the new code without a kill.

Each case copies the project's code, runs a stage of it, kills it once work is kept, edits a
line, and runs it again beside a run that nothing disturbed.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from paths import ROOT
from picture_cases import ARGUMENTS, delayed, numbered, prepare
from small_dataset import FOLDERS, write

from pipeline.extractors.extraction import BLOCK
from pipeline.tables.io import write_parquet
from pipeline.tables.schema import IMAGES, ITEMS

CELL = "layers-1__lr-0.01__seed-2"
SWEEP = {
    "models": ["lightgcn"],
    "ranges": {"lr": [0.01], "layers": [1]},
    "cells": "all",
    "trials": 0,
    "seeds": [2],
    "budget": {"epochs": 100, "evaluate_every": 5, "patience": 100},
}
ONE_THREAD = ["--device", "cpu", "--threads", "1"]
# In place of the networks: two numbers of each picture, slowly.
ENCODER = """
import time
import numpy as np
from pipeline.extractors.extraction import PictureEncoder
FACTOR = 1
def encoder(settings, seed, machine):
    def encode(pictures):
        for data in pictures:
            time.sleep(0.003)
            yield np.array([len(data), FACTOR * sum(data)], np.float32)
    return PictureEncoder(
        dim=2, weights="", weights_sha256="", preprocessing={}, versions={}, encode=encode
    )
"""


@pytest.fixture
def code(tmp_path):
    """A copy of the project's code."""
    folder = tmp_path / "code"
    for name in ("pipeline", "model"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def edit(code, file, old, new):
    path = code / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def start(code, *command):
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PYTHONPATH": str(code)},
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at(code, command, pattern):
    """Run a command until a file of this pattern is there, and kill it."""
    with start(code, *command) as job:
        deadline = time.monotonic() + 60
        while not list(Path().glob(pattern)):
            assert job.poll() is None, job.communicate()[1]
            assert time.monotonic() < deadline, pattern
            time.sleep(0.005)
        job.kill()


def finish(code, command, output):
    """Run a command to its end; return its output's bytes and its log."""
    with start(code, *command) as job:
        said = job.communicate()[1]
    assert job.returncode == 0, said
    return Path(output).read_bytes(), said


def check(code, command, output, kept, change):
    """Compare the killed run with one from nothing."""
    kill_at(code, command, kept)
    edit(code, *change)
    again, said = finish(code, command, output)
    shutil.rmtree(".work")
    Path(output).unlink()

    new, _ = finish(code, command, output)

    assert again == new
    assert "thrown away: " in said


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("select", marks=pytest.mark.slow),
        "refit",
        pytest.param("cell", marks=pytest.mark.slow),
    ],
)
def test_a_training(code, work, phase):
    write(work)
    raw = yaml.safe_load(Path("params.yaml").read_text()) | {"sweep": SWEEP}
    raw["train"] |= {"epochs": 100, "evaluate_every": 5, "patience": 100}
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    command = ["pipeline.train", "sample", "lightgcn", *FOLDERS, "results"]
    output = "results/checkpoint.safetensors"
    if phase == "cell":
        output = f"results/{CELL}.json"
        command = ["pipeline.experiments.sweep.cell", "sample", "lightgcn", CELL, *FOLDERS]
        command.append(output)

    state = f".work/train/*-{'select' if phase == 'cell' else phase}-*.safetensors"
    change = "model/fit.py", "lr=lr, weight", "lr=2 * lr, weight"
    check(code, [*command, *ONE_THREAD], output, state, change)


def test_features(code, work):
    (code / "pipeline/extractors/networks.py").write_text(ENCODER)
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["features"]["sample"] = {
        "visual": {"extractor": "vgg16", "field": "image", "weights": "seeded"}
    }
    Path("params.yaml").write_text(yaml.safe_dump(raw | {"models": ["lightgcn"]}))
    n = 3 * BLOCK
    items = {name: [None] * n for name in ITEMS}
    items |= {"item": list(range(n)), "raw_id": [str(number) for number in range(n)]}
    write_parquet(pl.DataFrame(items, schema=ITEMS), Path("processed/items.parquet"))
    rows = [(i, "ok", numbered(i), 4, 4, "x") for i in range(n)]
    write_parquet(pl.DataFrame(rows, schema=IMAGES, orient="row"), Path("images.parquet"))
    command = ["pipeline.features", "sample", "visual", "processed", "images.parquet"]

    change = "pipeline/extractors/networks.py", "FACTOR = 1", "FACTOR = 2"
    kept = ".work/features/sample/visual/whole/*/000001.*"
    check(code, [*command, "out.parquet", *ONE_THREAD], "out.parquet", kept, change)


def test_images(code, work, server):
    for number in range(12):
        server.pages[f"/{number}.png"] = delayed(numbered(number), 0.2)
    server.pages["/11.png"] = delayed(numbered(11), 1.5)  # the others are in the ledger
    prepare([f"{server.address}/{n}.png" for n in range(12)], connections=4)
    command = ["pipeline.images", *ARGUMENTS]
    output = ARGUMENTS[-1]
    edited = (
        "pipeline/pictures/connections.py",
        "return bytes(body)",
        'return bytes(body) + b"0"',
    )
    with start(code, *command) as job:
        shard = Path(".work/images/sample/shard-0.pictures")
        while not shard.exists() or shard.stat().st_size < 8 * len(numbered(0)):
            assert job.poll() is None
            time.sleep(0.01)
        time.sleep(1)
        job.kill()
    edit(code, *edited)

    again, said = finish(code, command, output)

    shutil.rmtree(".work")
    Path(output).unlink()
    assert again == finish(code, command, output)[0]
    assert "its pictures were fetched by other code" in said
