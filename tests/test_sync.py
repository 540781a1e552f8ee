"""After a build by either engine, the other is made to agree, unless something is stale."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from paths import STAGES
from workflow_tree import DVC_ONLY, SIF, copy_tree, edit, made, planned, ran, run

from pipeline.job.errors import Disagreement
from workflow import other_engine, sync

USERS = "data/processed/sample/users.parquet"
STATISTICS = "data/processed/sample/statistics.json"
TABLE = "results/sample/comparison.md"
CODE = "pipeline/comparison/paper_numbers.py"  # DVC names its folder, which compare depends on


# --- trees, built once --------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree that only Snakemake built; the dataset lacks one of the modalities."""
    tree = copy_tree(tmp_path_factory.mktemp("built") / "tree")
    edit(
        tree,
        models=["bprmf"],
        sources__sample__scale=0.1,
        features__sample={"textual": SIF},
        train__epochs=2,
        train__evaluate_every=1,
    )
    run(tree, "snakemake", "--cores", "1", "evaluate")
    return tree


@pytest.fixture(scope="module")
def agreed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same tree with DVC's lock file and cache."""
    tree = copied(built, tmp_path_factory.mktemp("agreed"))
    assert agree(tree, "after-snakemake")
    return tree


@pytest.fixture(scope="module")
def bare(agreed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return it as after a `dvc repro` alone: without records of Snakemake."""
    tree = copied(agreed, tmp_path_factory.mktemp("bare"))
    shutil.rmtree(tree / ".snakemake")
    return tree


def copied(tree: Path, folder: Path) -> Path:
    """Copy a tree with its time stamps, which Snakemake compares."""
    return Path(shutil.copytree(tree, folder / "copy", symlinks=True))


# --- commands ------------------------------------------------------------------------


def agree(tree: Path, built: str) -> bool:
    """Make the engines agree; return whether the last line confirms it."""
    output = run(tree, "workflow.sync", built)
    return output.splitlines()[-1] == "Both engines agree: nothing is to be done."


def refused(tree: Path, built: str) -> str:
    """Return the output of a command that must refuse and change nothing."""
    before = state(tree)
    output = run(tree, "workflow.sync", built, fails=True)
    assert state(tree) == before
    assert "Traceback" not in output
    return output


def state(tree: Path) -> dict[str, tuple[int, str]]:
    """Return time stamp and checksum of each output and record.

    Without the slices of params.yaml, which every start of Snakemake updates.
    """
    roots = [tree / "data", tree / "results", tree / ".snakemake/metadata", tree / ".dvc/cache"]
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    settings = tree / "data/settings"
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in [*files, *tree.glob("dvc.lock")]
        if not path.is_relative_to(settings)
    }


def nothing_is_to_be_done(tree: Path) -> bool:
    return planned(tree) == set() and "up to date" in run(tree, "dvc", "status")


# --- the traps ----------------------------------------------------------------------------


def another_param(tree: Path) -> None:
    edit(tree, compare__k=9)


def other_code(tree: Path) -> None:
    with (tree / CODE).open("a") as file:
        file.write("# another line\n")


def other_code_with_an_old_time_stamp(tree: Path) -> None:
    """As from a copy that keeps times: `cp -p`, `rsync -a`, an archive."""
    other_code(tree)
    os.utime(tree / CODE, (0, 0))


def deleted_output(tree: Path) -> None:
    (tree / USERS).unlink()


def edited_output(tree: Path) -> None:
    with (tree / TABLE).open("a") as file:
        file.write("by hand\n")


def edited_raw_file(tree: Path) -> None:
    (tree / "data/raw/sample/Sample.json.gz").write_bytes(b"")


class Trap(NamedTuple):
    """A change of a built tree, the messages about it, and the fix."""

    change: Callable[[Path], None]
    dvc: str  # what after-dvc names
    snakemake: str  # what after-snakemake names
    is_planned: bool  # whether Snakemake itself would re-run something
    fix: tuple[str, ...] = ("evaluate",)  # arguments of Snakemake


TRAPS = [
    Trap(
        another_param,
        "settings: changed deps: params.yaml (modified)",
        "Updated input files: data/settings/compare/sample.json",
        is_planned=True,
    ),
    Trap(
        other_code,
        "compare@sample: changed deps: pipeline/comparison (modified)",
        f"Updated input files: {CODE}",
        is_planned=True,
    ),
    Trap(
        other_code_with_an_old_time_stamp,
        "compare@sample: changed deps: pipeline/comparison (modified)",
        f"compare: {CODE}: not the content of which results/sample/comparison.json was made",
        is_planned=False,
        fix=("--forcerun", "compare", "--", "evaluate"),
    ),
    Trap(
        deleted_output,
        f"kcore@sample: changed outs: {USERS} (deleted)",
        f"Missing output files: {USERS}",
        is_planned=True,
    ),
    Trap(
        edited_output,
        f"compare@sample: changed outs: {TABLE} (modified)",
        f"compare: {TABLE}: written after its job ended",
        is_planned=False,
        fix=("--forcerun", "compare", "--", "evaluate"),
    ),
    Trap(
        edited_raw_file,
        "download@sample: changed outs: data/raw/sample (modified)",
        "download: data/raw/sample/Sample.json.gz: not as in manifest.json",
        is_planned=False,
        fix=("--forcerun", "download", "ingest", "images", "--", "evaluate"),
    ),
]
each_trap = pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.change.__name__)


@each_trap
def test_after_dvc_refuses(bare, tmp_path, trap):
    tree = copied(bare, tmp_path)
    trap.change(tree)

    assert trap.dvc in refused(tree, "after-dvc")


@each_trap
def test_after_snakemake_refuses_even_if_snakemake_plans_nothing(built, tmp_path, trap):
    tree = copied(built, tmp_path)
    trap.change(tree)

    output = refused(tree, "after-snakemake")

    assert trap.snakemake in output
    assert ("Snakemake's outputs are stale" in output) == trap.is_planned


@pytest.mark.slow
@each_trap
def test_what_the_refusal_proposes_leads_to_agreement(built, bare, tmp_path, trap):
    with_dvc = copied(bare, tmp_path / "dvc")
    trap.change(with_dvc)
    run(with_dvc, "dvc", "repro")
    assert agree(with_dvc, "after-dvc")
    assert nothing_is_to_be_done(with_dvc)

    with_snakemake = copied(built, tmp_path / "snakemake")
    trap.change(with_snakemake)
    run(with_snakemake, "snakemake", "--cores", "1", *trap.fix)
    assert agree(with_snakemake, "after-snakemake")
    assert made(with_snakemake).items() <= made(with_dvc).items()


# --- a tree in order ----------------------------------------------------------------------


def test_after_snakemake_dvc_has_nothing_to_do(agreed, built):
    assert nothing_is_to_be_done(agreed)
    # What DVC alone has: the empty table of a modality that the dataset lacks.
    assert set(made(agreed)) - set(made(built)) == {"data/features/sample/visual.parquet"}
    assert made(built).items() <= made(agreed).items()


@pytest.mark.slow
def test_after_dvc_snakemake_goes_by_content(bare, tmp_path):
    """A touched file counts as unchanged, an edited one does not."""
    tree = copied(bare, tmp_path)
    before = made(tree)
    (tree / USERS).touch()  # without records, a reason to run what reads it

    assert agree(tree, "after-dvc")

    assert made(tree) == before
    (tree / USERS).touch()
    (tree / CODE).touch()
    assert nothing_is_to_be_done(tree)
    other_code(tree)
    assert planned(tree) == {"compare@sample"}


@pytest.mark.slow
def test_a_touched_output_passes_if_it_matches_dvc_lock(bare, tmp_path):
    tree = copied(bare, tmp_path)
    assert agree(tree, "after-dvc")
    (tree / USERS).touch()

    assert agree(tree, "after-snakemake")


@pytest.mark.slow
def test_a_touched_output_is_refused_if_dvc_has_no_record_of_it(built, tmp_path):
    tree = copied(built, tmp_path)
    (tree / TABLE).touch()

    assert f"compare: {TABLE}: written after its job ended" in refused(tree, "after-snakemake")


def test_the_stages_of_dvc_alone_are_the_ones_that_sync_runs():
    """Snakemake itself writes what the stage `settings` makes."""
    assert {"settings", *sync.LAST} == DVC_ONLY


# --- plans ---------------------------------------------------------------------------------


def plans(tree: Path) -> list[dict[str, str]]:
    """Return `{job: time and reason}` of Snakemake's plan and of DVC's."""
    output = run(tree, "workflow.plan")
    assert max(map(len, output.splitlines())) < 120
    return [
        {line[:36].strip(): line[36:].strip() for line in part.splitlines() if line[:2] == "  "}
        for part in output.split("\ndvc repro: ")
    ]


def test_without_an_edit_both_plans_are_empty(agreed, tmp_path):
    assert plans(copied(agreed, tmp_path)) == [{}, {}]


def test_both_plans_say_what_an_edited_extractor_re_runs_and_how_long_it_took(agreed, tmp_path):
    """`dvc repro --dry` alone would call the feature unchanged."""
    tree = copied(agreed, tmp_path)
    edit(tree, features__sample__textual=SIF | {"epochs": 3})

    by_snakemake, by_dvc = plans(tree)

    # bprmf reads no feature; the items of its lists are compared by all of them.
    after = {"evaluate sample bprmf", "compare sample", "curves sample"}
    assert set(by_snakemake) == {"features sample textual"} | after
    time, reason = by_snakemake["features sample textual"].split("  ", 1)
    assert re.fullmatch(r"0:\d\d", time)
    assert reason.startswith("Updated input files: data/settings/features/sample/textual.json")
    assert set(by_dvc) >= set(by_snakemake)
    # It reads no feature, which DVC knows once it has the checksums of those that it reads.
    _, reason = by_dvc["train sample bprmf"].split("  ", 1)
    assert reason == "if the output of fingerprint training sample bprmf changes"
    _, reason = by_dvc["features sample textual"].split("  ", 1)
    assert "data/settings/features/sample/textual.json (modified)" in reason


def test_a_plan_of_a_tree_without_outputs_has_every_stage(tmp_path):
    by_snakemake, by_dvc = plans(copy_tree(tmp_path / "tree"))

    assert {job.partition(" ")[0] for job in by_snakemake} == set(STAGES)
    assert by_snakemake.keys() < by_dvc.keys()


# --- the other engine's tree --------------------------------------------------------------


def test_dvc_does_not_start_over_where_snakemake_built(built, tmp_path):
    tree = copied(built, tmp_path)
    before = made(tree)

    output = run(tree, "dvc", "repro", fails=True)

    assert "error: Snakemake made data/" in output
    assert "Run `make after-snakemake` first" in output
    assert ran(output) == set()
    assert made(tree) == before


def test_dvc_does_not_start_over_what_snakemake_made_after_the_lock(agreed, tmp_path):
    tree = copied(agreed, tmp_path)
    another_param(tree)
    run(tree, "snakemake", "--cores", "1", "evaluate")

    output = run(tree, "dvc", "repro", fails=True)

    assert "error: Snakemake made results/sample/comparison.json" in output


def test_plots_from_git_are_no_work_of_dvc(bare, tmp_path, monkeypatch):
    """A clone has them and dvc.lock, and no records: Snakemake may make them again."""
    monkeypatch.chdir(copied(bare, tmp_path))

    other_engine.before_snakemake(["plots/cutoffs/sample.csv", "data/absent"])

    with pytest.raises(Disagreement, match=USERS):
        other_engine.before_snakemake([USERS])


def test_snakemake_does_not_start_over_where_dvc_built(bare, tmp_path):
    tree = copied(bare, tmp_path)
    before = made(tree)
    (tree / USERS).touch()  # without records, a reason to run what reads it

    output = run(tree, "snakemake", "--cores", "1", "evaluate", fails=True)

    assert "DVC made " in output
    assert "Run `make after-dvc` first" in output
    assert made(tree) == before
    assert agree(tree, "after-dvc")
    assert "Nothing to be done" in run(tree, "snakemake", "--cores", "1", "evaluate")


@pytest.mark.parametrize("stage", ["train", "recommend", "curves"])
def test_snakemake_makes_a_deleted_output_again(built, tmp_path, stage):
    names = {
        "train": "results/sample/bprmf/checkpoint.safetensors",
        "recommend": "results/sample/bprmf/recommendations.parquet",
        "curves": "plots/cutoffs/sample.csv",
    }
    tree = copied(built, tmp_path)
    (tree / names[stage]).unlink()

    assert {job.partition("@")[0] for job in planned(tree)} >= {stage}


def test_a_damaged_checkpoint_is_named(built, tmp_path):
    tree = copied(built, tmp_path)
    checkpoint = "results/sample/bprmf/checkpoint.safetensors"
    (tree / checkpoint).write_bytes(b"x")

    output = run(tree, "snakemake", "--cores", "1", "evaluate", fails=True)

    last = output.strip().splitlines()[-1]
    assert last.startswith(f"error: {checkpoint}: expected a checkpoint as its stage wrote")
    assert "Traceback" not in output
    assert "RuleException" not in output


# --- traps that take a run ----------------------------------------------------------------


def test_a_bare_repro_leaves_snakemake_without_records(bare, tmp_path):
    """Its plan would be empty, and `dvc commit -f` would record anything."""
    tree = copied(bare, tmp_path)
    other_code_with_an_old_time_stamp(tree)

    output = refused(tree, "after-snakemake")

    assert "Snakemake's outputs are stale" not in output
    assert f"kcore: {USERS}: no record of the job that made it" in output
    assert "`python -m workflow.sync after-dvc`" in output


@pytest.mark.slow
def test_an_output_edited_by_hand_is_detected_after_snakemake_has_used_it(built, tmp_path):
    tree = copied(built, tmp_path)
    with (tree / STATISTICS).open("a") as file:
        file.write("\n")
    output = run(tree, "snakemake", "--cores", "1", "evaluate")
    assert "compare sample" in output
    assert "kcore sample" not in output

    output = refused(tree, "after-snakemake")

    assert f"kcore: {STATISTICS}: written after its job ended" in output


@pytest.mark.slow
def test_a_run_of_snakemake_that_was_killed(built, tmp_path):
    tree = copied(built, tmp_path)
    another_param(tree)
    kill_in_the_first_job(tree)

    output = refused(tree, "after-snakemake")
    assert "running in this tree, or was killed" in output
    assert "`snakemake --unlock`" in output
    run(tree, "snakemake", "--cores", "1", "--unlock")

    assert f"compare: results/sample/comparison.json, {TABLE}" in refused(
        tree, "after-snakemake"
    )


def kill_in_the_first_job(tree: Path) -> None:
    """Start Snakemake; kill it and its job as soon as it has recorded the job's start."""
    folder = str(Path(sys.executable).parent)
    running = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "evaluate"],
        cwd=tree,
        env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list((tree / ".snakemake/incomplete").iterdir()):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


@pytest.mark.slow
def test_a_run_of_dvc_that_stopped_half_way(bare, tmp_path):
    tree = copied(bare, tmp_path)
    edit(tree, kcore__k=4)
    assert "kcore@sample" in ran(run(tree, "dvc", "repro", "kcore@sample"))

    assert "split@sample: changed deps: " in refused(tree, "after-dvc")


@pytest.mark.slow
def test_an_older_revision(agreed, tmp_path):
    """`git checkout` restores params.yaml and dvc.lock, but no data."""
    tree = copied(agreed, tmp_path)
    first = made(tree)
    commit(tree)
    another_param(tree)
    run(tree, "dvc", "repro")
    assert agree(tree, "after-dvc")
    assert made(tree) != first

    git(tree, "checkout", "--quiet", ".")

    assert "compare@sample: " in refused(tree, "after-dvc")
    assert "compare: results/" in refused(tree, "after-snakemake")
    run(tree, "dvc", "checkout")
    assert ran(run(tree, "dvc", "repro")) == set()
    assert agree(tree, "after-dvc")
    assert made(tree) == first
    assert nothing_is_to_be_done(tree)


def commit(tree: Path) -> None:
    git(tree, "init", "--quiet")
    git(tree, "add", "params.yaml", "dvc.lock")
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    git(tree, *who, "commit", "--quiet", "--message", "first")


def git(tree: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=tree, check=True)


# --- what cannot be seen ------------------------------------------------------------------


@pytest.mark.slow
def test_an_edit_whose_time_stamp_was_put_back_is_not_seen_if_nothing_reads_the_file(
    built, tmp_path
):
    """Snakemake keeps no checksum of a job's outputs; see workflow/README.md."""
    tree = copied(built, tmp_path)
    before = (tree / TABLE).stat()
    edited_output(tree)
    os.utime(tree / TABLE, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert agree(tree, "after-snakemake")

    assert "by hand" in (tree / TABLE).read_text()


@pytest.mark.slow
def test_an_edit_whose_time_stamp_was_put_back_is_seen_if_a_job_reads_the_file(built, tmp_path):
    tree = copied(built, tmp_path)
    before = (tree / STATISTICS).stat()
    with (tree / STATISTICS).open("a") as file:
        file.write("\n")
    os.utime(tree / STATISTICS, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert f"compare: {STATISTICS}: not the content" in refused(tree, "after-snakemake")


# --- both engines from nothing ------------------------------------------------------------


@pytest.mark.slow
def test_the_engines_can_alternate(built, tmp_path):
    """DVC builds, Snakemake continues, DVC continues; a table of Snakemake alone stays."""
    tree = copied(built, tmp_path)
    for name in ("data", "results", ".snakemake"):
        shutil.rmtree(tree / name)
    edit(tree, tables={"small": ["bprmf"]})
    run(tree, "dvc", "repro")
    assert not (tree / ".snakemake").exists()
    assert agree(tree, "after-dvc")

    another_param(tree)
    run(tree, "snakemake", "--cores", "1", "evaluate", "tables")
    assert agree(tree, "after-snakemake")

    edit(tree, train__epochs=3)
    assert "train@sample-bprmf" in ran(run(tree, "dvc", "repro"))
    assert agree(tree, "after-dvc")
    # The table's inputs are other ones now, which Snakemake has to see.
    output = run(tree, "snakemake", "--dry-run", "tables")
    assert "\ncompare sample: " in output
    assert "\ntrain " not in output
