"""A copy of the project in which both engines run, for the tests that compare them."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from paths import ROOT

TREE = ["Snakefile", "dvc.yaml", "params.yaml", ".dvcignore", "pipeline", "model", "workflow"]
DVC_ONLY = {"settings", "inputs", "token_inputs", "results"}
SIF = {"extractor": "sif", "field": "description", "epochs": 2}
VGG16 = {"extractor": "vgg16", "field": "image", "weights": "seeded"}


class Job(NamedTuple):
    """One command with the files it names as inputs and outputs."""

    command: str
    inputs: frozenset[str]
    outputs: frozenset[str]


def copy_tree(folder: Path) -> Path:
    folder.mkdir()
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy2(source, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    (folder / ".dvc").mkdir()
    shutil.copy2(ROOT / ".dvc/config", folder / ".dvc/config")
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    return folder


def edit(tree: Path, **changes: Any) -> None:
    """Set values of params.yaml by their full key, dots written as two underscores."""
    path = tree / "params.yaml"
    values = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    path.write_text(yaml.safe_dump(values, sort_keys=False))


def run(tree: Path, *command: str, fails: bool = False) -> str:
    """Run a Python module of the environment in `tree`; return both streams."""
    bin_folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def made(tree: Path) -> dict[str, str]:
    """Return the sha256 of every file that a stage made."""
    folders = ["raw", "interim", "processed", "images", "features", "tokens"]
    roots = [*(tree / "data" / name for name in folders), tree / "results"]
    files = sorted(path for root in roots for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if ".snakemake" not in path.name
    }


def ran(said: str) -> set[str]:
    """Return the stages that `dvc repro` ran, DVC's own left out."""
    names = set(re.findall(r"Running stage '([^']+)'", said))
    return {name for name in names if name.partition("@")[0] not in DVC_ONLY}


def planned(tree: Path, target: str = "evaluate") -> set[str]:
    """Return what Snakemake would run now, by DVC's names."""
    said = run(tree, "snakemake", "--dry-run", "--printshellcmds", target)
    commands = re.findall(r"python -m pipeline\.(\w+) (\S+) (\S+)", said)
    per_dataset = {"download", "ingest", "kcore", "split", "validate", "images"}
    per_dataset |= {"tokens", "compare", "curves"}
    return {
        f"{stage}@{dataset}" if stage in per_dataset else f"{stage}@{dataset}-{which}"
        for stage, dataset, which in commands
    }


def snakemake_jobs(tree: Path, target: str = "evaluate", *options: str) -> set[Job]:
    """Return what Snakemake plans, from nothing, without the target rules."""
    options = ("--dry-run", "--forceall", "--printshellcmds", *options)
    plan = run(tree, "snakemake", *options, "--", target)
    found = set()
    for text in re.split(r"^\[.*\d{4}\]$", plan, flags=re.MULTILINE):
        files = {
            kind: frozenset(names.split(", "))
            for kind, names in re.findall(r"^    (input|output): (.*)$", text, re.MULTILINE)
        }
        command = re.search(r"python -m pipeline\..*", text)
        if command and "output" in files:
            plain = re.sub(r" 2> logs/\S+$", "", command[0].strip())
            found.add(Job(plain, files["input"], files["output"]))
    return found


def pretend(tree: Path, target: str) -> None:
    """Make empty outputs, and records as if Snakemake had made them."""
    for job in snakemake_jobs(tree, target):
        for name in job.outputs:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).touch()
    run(tree, "snakemake", "--cores", "1", "--touch", "--forceall", "--no-hooks", target)
