"""Seconds that each engine needs to find nothing to do, and to plan many jobs.

    PYTHONPATH=. python benchmarks/planning.py

First a tree with `sample` at a tenth of its size and two models, built by Snakemake and
recorded for DVC by workflow.sync (minutes): `dvc repro` and `snakemake evaluate` have nothing
to do. Budget: 5 s each. Then an empty tree with the paper's three datasets, ten models and
three seeds, for which every job is planned. Budget: 30 s each. For Snakemake a seed is one of
the cells of `sweep`, so `snakemake --dry-run evaluate sweep` has 30 trainings and 90 cells. For
DVC, whose matrix is datasets x models, it is an experiment (`dvc exp run -S seed=1`): `dvc
status` checks every stage three times, once for each seed in params.yaml. `dvc repro --dry`
would stop at the first missing file. Each figure is the median of several calls, each in a
separate process. CPU time and the machine's load are printed too: on a busy machine wall time
is unreliable.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["Snakefile", "dvc.yaml", "params.yaml", ".dvcignore", "pipeline", "model", "workflow"]
CALLS = 5
NOTHING, PLAN = 5.0, 30.0  # seconds
SIF = {"extractor": "sif", "field": "title", "epochs": 2}
SMALL: dict[str, Any] = {
    "models": ["bprmf", "mcln"],
    "sources": {"sample": {"format": "sample", "scale": 0.1}},
    "features": {"sample": {"visual": SIF | {"field": "description"}, "textual": SIF}},
    "train": {"epochs": 2, "evaluate_every": 1},
}
SEEDS = [1, 2, 3]
MODELS = [
    "bprmf", "svdpp", "ngcf", "lightgcn", "vbpr", "mmgcn", "mgat", "invrl", "dmrl", "mcln",
]  # fmt: skip
PAPER: dict[str, Any] = {
    "datasets": ["beauty", "art", "taobao"],
    "models": MODELS,
    "sweep": {
        "models": MODELS,
        "ranges": {"lr": [0.001]},
        "cells": "all",
        "trials": 0,
        "seeds": SEEDS,
        "budget": {"epochs": 100, "evaluate_every": 5, "patience": 4},
    },
}


def tree(folder: Path, **changes: Any) -> Path:
    """Copy the project to `folder`; apply `changes` to params.yaml or its sections."""
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    edit(folder, **changes)
    return folder


def edit(folder: Path, **changes: Any) -> None:
    """Apply `changes` to params.yaml or its sections."""
    values = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def call(folder: Path, *command: str) -> str:
    """Run a module of this Python in `folder`; return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(folder)},
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def cpu_seconds() -> float:
    """Return the CPU time of all finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(
    what: str,
    says: str,
    budget: float,
    folder: Path,
    *command: str,
    seeds: Sequence[int] = (2023,),
) -> float:
    """Print and return the median seconds of a command that must print `says`."""
    taken, worked = [], []
    for _ in range(CALLS):
        seconds, before = 0.0, cpu_seconds()
        for seed in seeds:
            edit(folder, seed=seed)
            start = time.perf_counter()
            said = call(folder, *command)
            seconds += time.perf_counter() - start
            if says not in said:
                raise SystemExit(f"{' '.join(command)}: expected {says!r}, got:\n{said}")
        taken.append(seconds)
        worked.append(cpu_seconds() - before)
    median = statistics.median(taken)
    verdict = "kept" if median <= budget else "missed"
    print(
        f"{what:<32} {' '.join(command):<38} {median:5.1f} s"
        f" ({statistics.median(worked):.1f} s of CPU)  budget {budget:g} s {verdict}"
    )
    return median


def main() -> None:
    """Build, plan, print."""
    with tempfile.TemporaryDirectory() as folder:
        small = tree(Path(folder) / "small", **SMALL)
        call(small, "snakemake", "--cores", "1", "evaluate")
        call(small, "workflow.sync", "after-snakemake")
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        nothing = "nothing to do"
        dvc = measure(nothing, "up to date", NOTHING, small, "dvc", "repro")
        command = ("snakemake", "--cores", "1", "evaluate")
        smk = measure(nothing, "Nothing to be done", NOTHING, small, *command)

        large = tree(Path(folder) / "large", **PAPER)
        plan = "3 datasets x 10 models x 3 seeds"
        command = ("snakemake", "--dry-run", "evaluate", "sweep")
        smk_plan = measure(plan, "sweep_cell           90", PLAN, large, *command)
        command = ("dvc", "status")
        dvc_plan = measure(plan, "compare@taobao", PLAN, large, *command, seeds=SEEDS)
        print(f"dvc / snakemake: {dvc / smk:.2f} with nothing to do, {dvc_plan / smk_plan:.2f}")


if __name__ == "__main__":
    main()
