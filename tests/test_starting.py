"""Commands that cannot work say so at once: another directory, or another Python."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import ROOT

BIN = Path(sys.executable).parent
TRAIN = ["pipeline.train", "sample", "mcln", "processed", "features", "results"]


def start(folder, *words, python=(sys.executable,), **environment):
    """Run `python -m WORDS` with the project on the path; return (status, error output)."""
    done = subprocess.run(
        [*python, "-m", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "words", [TRAIN, ["pipeline.explore.explorer"], ["workflow.sync", "after-dvc"]]
)
def test_another_directory_is_refused_before_the_heavy_imports(tmp_path, words):
    begin = time.process_time() + sum(os.times()[2:4])

    status, said = start(tmp_path, *words)

    seconds = time.process_time() + sum(os.times()[2:4]) - begin  # of CPU, the command's too
    assert said == (
        f"error: params.yaml: no such file in {tmp_path}; start from the project's root: "
        f"cd {ROOT}\n"
    )
    assert status == 1
    assert seconds < 1


@pytest.mark.parametrize("module", ["pipeline.ingest", "pipeline.interactions.drift"])
def test_help_works_in_every_directory(tmp_path, module):
    assert start(tmp_path, module, "--help") == (0, "")


def test_a_command_that_needs_no_params_runs_in_every_directory(tmp_path):
    status, said = start(tmp_path, "pipeline.params.json_schema", "schema.json")

    assert (status, said) == (0, "")
    assert (tmp_path / "schema.json").exists()


@pytest.mark.parametrize("words", [TRAIN, ["workflow.settings", "slices", "links"]])
def test_a_python_without_the_packages_is_told_to_activate_the_environment(words):
    bare = [sys.executable, "-S"]  # without site-packages

    status, said = start(ROOT, *words, python=bare)

    assert status == 1
    assert said.startswith(f"error: {sys.executable}: expected Python 3.11 or later with")
    assert "without polars, pydantic, torch; activate the environment: " in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "engine", ["dvc repro settings", "snakemake --cores 1 data/raw/sample/manifest.json"]
)
def test_the_engines_show_the_hint_if_their_jobs_get_another_python(tmp_path, engine):
    """The environment is not active, and `python` is one without its packages."""
    tree, other = tmp_path / "tree", tmp_path / "bin"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("model", "pipeline", "workflow", ".dvc"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("dvc.yaml", "params.yaml", "Snakefile", ".dvcignore", "profiles"):
        shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    other.mkdir()
    (other / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (other / "python").chmod(0o755)
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)

    program, *options = engine.split()
    done = subprocess.run(
        [BIN / program, *options],
        cwd=tree,
        env={"PATH": f"{other}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "activate the environment: `make run` creates it in .venv" in done.stderr
