"""The sample's whole graph through a real Slurm of one node, started for it."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from workflow_tree import ROOT, SIF, copy_tree, edit, made, run

SCRIPT = ROOT / "workflow/slurm_here.sh"
CONF = Path("/etc/slurm/slurm.conf")
# The node is this machine: fewer CPUs than the profile asks for, and no accounting.
HERE = [
    *("--profile", "workflow/profiles/slurm", "--max-threads", str(os.cpu_count())),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "8"),
]


def why_not() -> str | None:
    """Return why this machine cannot start a Slurm, or None."""
    absent = [name for name in ("munged", "slurmctld", "slurmd") if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "not installed: snakemake-executor-plugin-slurm (extra `slurm`)"
    if os.geteuid() != 0:
        return "not root, which the daemons need"
    # A link is of an earlier run; the script refuses if that one is still there.
    own = CONF.exists() and not CONF.is_symlink()
    return f"{CONF} is there: this machine has a Slurm already" if own else None


@pytest.fixture
def slurm(tmp_path_factory):
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")  # short: a socket's path has at most 107 bytes
    subprocess.run([SCRIPT, "start", folder], check=True)
    yield folder
    subprocess.run([SCRIPT, "stop", folder], check=True)


@pytest.mark.slow
def test_slurm_makes_the_same_bytes_and_names_the_log_of_a_job_that_failed(slurm, tmp_path):
    trees = local, on_slurm = copy_tree(tmp_path / "local"), copy_tree(tmp_path / "on_slurm")
    for tree in trees:
        edit(
            tree,
            models=["bprmf"],
            sources__sample__scale=0.1,
            features__sample={"visual": SIF, "textual": SIF | {"field": "title"}},
            train__epochs=2,
            train__evaluate_every=1,
        )
    told = run(local, "snakemake", "--cores", "2", "evaluate")
    jobs = re.findall(r"^\[.*\] (\w+) sample", told, re.MULTILINE)

    said = run(on_slurm, "snakemake", *HERE, "evaluate")

    assert said.count("has been submitted with SLURM jobid") == len(jobs) > 10
    assert made(on_slurm) == made(local)
    assert len(made(on_slurm)) > 30
    assert "Nothing to be done" in run(on_slurm, "snakemake", "--dry-run", "evaluate")

    edit(on_slurm, kcore__k=900)
    said = run(on_slurm, "snakemake", *HERE, "evaluate", fails=True)

    assert "kcore sample failed; its log is logs/kcore/sample.log" in said
    assert "error: kcore: the 900-core is empty" in said
