"""A source format, an extractor, a model and a page are added as docs/architecture.md says.

The files and lines are those of the document. They go into a copy of the project, whose stages
then run on a small dataset.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from paths import ROOT
from workflow_tree import copy_tree, edit, planned

from pipeline.tables.features import read_features
from pipeline.tables.io import read_json

HEADINGS = ["a source format", "an extractor", "a model", "a page"]
# `path`, new ...: | `path`, after `line`: | `path`, before `line`; then a code block.
STEP = re.compile(
    r"^\d+\. `(?P<path>[^`]+)`, "
    r"(?:new[^\n:]*|(?P<where>after|before) `(?P<line>[^`]+)`)[^\n]*\n\n"
    r"   ```\w+\n(?P<text>.*?\n)   ```$",
    re.MULTILINE | re.DOTALL,
)
N_USERS, N_ITEMS = 120, 120
STAGES = """
from pipeline import download, evaluate, features, ingest, kcore, recommend, split, train
from pipeline.explore import popular

raw, interim, processed = (f"data/{name}/visits" for name in ("raw", "interim", "processed"))
download.main(["visits", raw])
ingest.main(["visits", raw, interim])
for stage in (kcore, split):
    stage.main(["visits", interim, processed])
vectors = "data/features/visits"
features.main(["visits", "textual", processed, "images.parquet", f"{vectors}/textual.parquet"])
for stage in (train, evaluate, recommend):
    stage.main(["visits", "linear", processed, vectors, "results", "--device", "cpu"])
popular.main(["visits", processed, "popular.html"])
"""


def add(tree: Path, heading: str) -> list[str]:
    """Follow the steps of a section; return the paths of the new files."""
    document = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    section = document.partition(f"\n## To add {heading}\n")[2].partition("\n## ")[0]
    steps = list(STEP.finditer(section))
    assert steps
    assert 2 * len(steps) == section.count("   ```")
    for step in steps:
        block = re.sub("^   ", "", step["text"], flags=re.MULTILINE)
        if step["where"] and block.startswith("class "):
            block += "\n\n"
        insert(tree / step["path"], step["where"], step["line"], block)
    return [step["path"] for step in steps if step["where"] is None]


def insert(path: Path, where: str | None, start: str, block: str) -> None:
    """Write a new file, or insert lines beside the one line that begins with `start`."""
    if where is None:
        assert not path.exists(), path
        path.write_text(block, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [n for n, line in enumerate(lines) if line.strip().startswith(start)]
    assert len(places) == 1, f"{path}: {start!r} begins {len(places)} lines"
    lines.insert(places[0] + (where == "after"), block)
    path.write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project with one of each, after its stages ran on the new format."""
    tree = copy_tree(tmp_path_factory.mktemp("extended") / "tree")
    for heading in HEADINGS:
        add(tree, heading)
    edit(
        tree,
        datasets=["visits"],
        models=["linear"],
        modalities=["textual", "unused"],
        features__visits__unused={"extractor": "length", "field": "raw_id"},
        train__epochs=6,
        train__evaluate_every=2,
        train__batch_size=64,
    )
    lines = [
        f"u{user} {'i' * (1 + (user + step) % N_ITEMS)} {19_000 + step}\n"
        for user in range(N_USERS)
        for step in range(8)
    ]
    (tree / "mirror/visits").mkdir(parents=True)
    (tree / "mirror/visits/pairs.txt").write_text("".join(lines))
    subprocess.run(
        [sys.executable, "-c", STAGES],
        cwd=tree,
        env={"DATA_MIRROR": "mirror", "PATH": "", "OMP_NUM_THREADS": "1"},
        check=True,
    )
    return tree


def test_a_source_format_from_outside_is_downloaded_and_read(tree):
    assert [entry["file"] for entry in read_json(tree / "data/raw/visits/manifest.json")] == [
        "pairs.txt"
    ]
    reviews = pl.read_parquet(tree / "data/interim/visits/reviews.parquet")
    assert reviews.height == N_USERS * 8
    assert reviews.row(0)[:3] == ("u0", "i", 19_000 * 86_400)
    interactions = pl.read_parquet(tree / "data/processed/visits/interactions.parquet")
    assert interactions["item"].n_unique() == N_ITEMS


def test_an_extractor_from_outside_makes_features(tree):
    items = pl.read_parquet(tree / "data/processed/visits/items.parquet").sort("item")

    present, features, metadata = read_features(tree / "data/features/visits/textual.parquet")

    lengths = items["raw_id"].str.len_chars().to_numpy()
    expected = np.stack([lengths, np.ones_like(lengths)], 1)
    np.testing.assert_array_equal(features, expected)
    assert present.all()
    assert metadata["extractor"] == "length"


def test_a_model_from_outside_goes_through_every_stage(tree):
    """It reads one modality; the other one has no file."""
    settings = yaml.safe_load((tree / "params.yaml").read_text())["linear"]["default"]

    metrics = read_json(tree / "results/metrics.json")
    assert metrics["settings"] == settings
    assert 0 < metrics["sampled"]["hr@10"] < 1
    history = pl.read_parquet(tree / "results/history.parquet")
    losses = history.filter(pl.col("phase") == "select")["loss"]
    assert losses[-1] < losses[0]
    lists = pl.read_parquet(tree / "results/recommendations.parquet")
    assert lists["user"].n_unique() == N_USERS


def test_a_page_from_outside_is_rendered(tree):
    page = (tree / "popular.html").read_text(encoding="utf-8")

    assert "<title>Popular in visits</title>" in page
    assert page.count(" users</li>") == 10


def test_the_engine_plans_the_new_jobs_without_a_line_of_its_own(tree):
    jobs = planned(tree)

    assert {"download@visits", "features@visits-textual", "train@visits-linear"} <= jobs
