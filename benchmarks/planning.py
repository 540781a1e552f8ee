"""Seconds that either engine takes to find that nothing is to be done, and to plan much.

    PYTHONPATH=. python benchmarks/planning.py

First a tree with `sample` at a tenth of its size and two models, built by Snakemake and made
known to DVC by workflow.sync (minutes): then `dvc repro` and `snakemake evaluate` have nothing
to do. Budget: 5 s each. Then an empty tree with the paper's three datasets and ten models:
`dvc status` and `snakemake --dry-run` go through every job. `dvc repro --dry` would stop at the
first file that is not there. Budget: 30 s each. The median of several calls, each a process of
its own. CPU time and the machine's load are printed too: where other work runs, wall time says
little.
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
PAPER = {
    "datasets": ["beauty", "art", "taobao"],
    "models": [
        "bprmf", "svdpp", "ngcf", "lightgcn", "vbpr", "mmgcn", "mgat", "invrl", "dmrl", "mcln",
    ],
}  # fmt: skip


def tree(folder: Path, **changes: Any) -> Path:
    """Copy the project to `folder`; put `changes` into params.yaml or its sections."""
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    values = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return folder


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
    """Return the CPU time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(what: str, says: str, budget: float, folder: Path, *command: str) -> float:
    """Print and return the median seconds of a command that must say `says`."""
    taken, worked = [], []
    for _ in range(CALLS):
        start, before = time.perf_counter(), cpu_seconds()
        said = call(folder, *command)
        taken.append(time.perf_counter() - start)
        worked.append(cpu_seconds() - before)
        if says not in said:
            raise SystemExit(f"{' '.join(command)}: expected {says!r}, got:\n{said}")
    median = statistics.median(taken)
    verdict = "kept" if median <= budget else "missed"
    print(
        f"{what:<24} {' '.join(command):<38} {median:5.1f} s"
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
        command = ("snakemake", "--dry-run", "evaluate")
        plan = "3 datasets x 10 models"
        smk_plan = measure(plan, "evaluate_model       30", PLAN, large, *command)
        dvc_plan = measure(plan, "compare@taobao", PLAN, large, "dvc", "status")
        print(f"dvc / snakemake: {dvc / smk:.2f} with nothing to do, {dvc_plan / smk_plan:.2f}")


if __name__ == "__main__":
    main()
