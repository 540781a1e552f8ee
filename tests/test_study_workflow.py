"""The paper's study as jobs: what is planned, what is made, and made again."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_workflow import (
    assert_lists_what_it_imports,
    comment,
    of_stage,
    pretend,
    snakemake_jobs,
)
from workflow_tree import SIF, copy_tree, edit, made, run

BUDGET = {"epochs": 4, "evaluate_every": 2, "patience": 2, "seeds": [1]}
STUDY: dict[str, Any] = {
    "tables": ["first"],
    "grids": {"figure4": {"models": ["mcln"], "setting": "layers", "values": [3, 4]}},
    "budget": "small",
    "budgets": {"small": BUDGET | {"search": False}, "large": BUDGET | {"search": True}},
}
CELLS = ["bprmf__seed-1", "mcln__layers-3__seed-1", "mcln__seed-1"]
STAGES = ["cell", "tables", "lists", "page", "times"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return declared(copy_tree(tmp_path / "tree"))


def declared(tree: Path) -> Path:
    models = ["bprmf", "mcln"]
    edit(tree, study=STUDY, factors={"items": 6}, tables={"first": models}, models=models)
    return tree


def planned(tree: Path) -> str:
    """Return what Snakemake would run now."""
    return run(tree, "snakemake", "--dry-run", "--printshellcmds", "study")


def cells(tree: Path) -> list[str]:
    """Return the trainings that Snakemake would run now."""
    return sorted(
        re.findall(r"pipeline\.experiments\.study\.cell sample (\S+) ", planned(tree))
    )


def modules(tree: Path) -> set[str]:
    """Return the modules of pipeline/ that Snakemake would run now."""
    return set(re.findall(r"python -m pipeline\.(\S+) ", planned(tree)))


def test_the_study_is_a_job_per_training_and_a_page_per_dataset(tree):
    edit(tree, datasets=["sample", "gift_cards"])

    jobs = snakemake_jobs(tree, "study")

    trained = [path.split("/")[3] for path in of_stage(jobs, "experiments.study.cell")]
    assert trained == 2 * CELLS
    pages = [job for job in jobs if "pipeline.experiments.study.page " in job.command]
    assert ["--factors" in job.command for job in sorted(pages)] == [False, True]
    for stage in STAGES:
        for job in jobs:
            if f"pipeline.experiments.study.{stage} " in job.command:
                module = f"pipeline/experiments/study/{stage}.py"
                assert_lists_what_it_imports(job, module)
    (cell,) = [job for job in jobs if "study.cell sample bprmf" in job.command]
    assert not [name for name in cell.inputs if name.startswith("data/features")]


def test_a_benchmark_trains_what_the_study_has_not_and_waits_for_its_cells(tree):
    """Seed 1 is the study's; an unknown name of published numbers is refused."""
    budget = {key: value for key, value in BUDGET.items() if key != "seeds"}
    section = {"models": ["bprmf", "mcln"], "seeds": [1, 2], "budget": budget}
    edit(tree, benchmark=section)

    jobs = snakemake_jobs(tree, "benchmark")

    trained = [path.split("/")[3] for path in of_stage(jobs, "experiments.study.cell")]
    assert trained == [f"{m}__seed-{seed}" for m in ("bprmf", "mcln") for seed in (1, 2)]
    (table,) = [job for job in jobs if "pipeline.experiments.benchmark.table " in job.command]
    assert_lists_what_it_imports(table, "pipeline/experiments/benchmark/table.py")
    assert {f"results/sample/study/{c}/metrics.json" for c in trained} <= table.inputs
    of_study = [path.split("/")[3] for path in of_stage(
        snakemake_jobs(tree, "study"), "experiments.study.cell")]  # fmt: skip
    assert of_study == CELLS
    edit(tree, benchmark=section | {"published": {"sample": "amazon_cars"}})
    said = run(tree, "snakemake", "--dry-run", "benchmark", fails=True)
    assert "params.yaml: benchmark.published.sample: expected one of ['amazon_baby'" in said
    assert "most recent call last" not in said


@pytest.mark.slow
def test_an_edit_plans_what_it_concerns(tree):
    pretend(tree, "study")
    assert cells(tree) == []

    edit(tree, study__grids__figure4__values=[3, 4, 5])
    assert cells(tree) == ["mcln__layers-5__seed-1"]
    edit(tree, study=STUDY, bprmf__default__l2=0.5)
    assert cells(tree) == ["bprmf__seed-1"]
    edit(tree, bprmf__default__l2=0.01, study__budgets__small__seeds=[1, 2])
    assert cells(tree) == [name.replace("seed-1", "seed-2") for name in CELLS]


@pytest.mark.slow
def test_an_edit_of_the_page_or_the_tables_trains_nothing_again(tree):
    """Edits are of code; each one follows those before it."""
    pretend(tree, "study")
    study = "pipeline/experiments/study"

    comment(tree, f"{study}/page.py")
    assert modules(tree) == {"experiments.study.page"}
    comment(tree, f"{study}/sections/opening.py")
    assert modules(tree) == {"experiments.study.page"}
    comment(tree, f"{study}/tables.py")
    assert modules(tree) == {"experiments.study.tables", "experiments.study.page"}
    comment(tree, f"{study}/cell.py")
    assert cells(tree) == CELLS


def test_a_study_of_a_table_that_is_not_there_is_refused_and_nothing_else_is(tree):
    edit(tree, tables={"other": ["bprmf"]})

    said = run(tree, "snakemake", "--dry-run", "study", fails=True)

    assert "params.yaml: study.tables: no table 'first'; expected some of ['other']" in said
    assert "most recent call last" not in said
    run(tree, "snakemake", "--dry-run", "evaluate")


def test_with_a_search_a_training_waits_for_its_models_sweep(tree):
    edit(tree, study__budget="large", sweep__models=["bprmf", "mcln"])

    jobs = snakemake_jobs(tree, "study")

    for job in jobs:
        if "pipeline.experiments.study.cell " in job.command:
            model = re.search(r"study\.cell sample ([a-z]+)__", job.command)[1]
            assert f" --sweep results/sample/{model}/sweep.json" in job.command
            assert f"results/sample/{model}/sweep.json" in job.inputs
    assert len(of_stage(jobs, "experiments.sweep.table")) == 2


@pytest.mark.slow
def test_the_study_ends_in_the_same_bytes_killed_or_not_and_a_second_run_does_nothing(tmp_path):
    whole, killed = small(tmp_path / "whole"), small(tmp_path / "killed")
    target = ["snakemake", "--cores", "2", "study"]
    run(whole, *target)
    assert cells(whole) == []
    assert "Nothing to be done" in run(whole, "snakemake", "--dry-run", "study")

    kill_when(killed, target, killed / "results/sample/study/bprmf__seed-1/metrics.json")
    assert not (killed / "results/sample/study/report.html").exists()
    run(killed, *target, "--rerun-incomplete")

    files = comparable(whole)
    assert comparable(killed) == files
    named = {Path(name).name for name in files if "/study/" in name}
    assert {"tables.json", "tables.tex", "report.html", "report.md", "figure4.png"} <= named


def small(folder: Path) -> Path:
    """Return a tree whose whole study takes seconds of computing."""
    tree = declared(copy_tree(folder))
    edit(
        tree,
        sources__sample__scale=0.1,
        features__sample__visual=SIF,
        train__epochs=4,
        train__evaluate_every=2,
        compare__users=3,
    )
    return tree


def comparable(tree: Path) -> dict[str, str]:
    """Return the files that a stage made but for times.txt, which no two runs share."""
    return {name: sum_ for name, sum_ in made(tree).items() if not name.endswith("times.txt")}


def kill_when(tree: Path, command: list[str], path: Path) -> None:
    """Start Snakemake, and kill it with all its jobs when a file is there."""
    folder = str(Path(sys.executable).parent)
    env = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    with (tree / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=tree,
            env=env,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        while not path.exists():
            assert process.poll() is None, (tree / "said.txt").read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run(tree, "snakemake", "--unlock", "study")
