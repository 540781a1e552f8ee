"""One engine at a time in one tree, and no second job beside one that a kill left running."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workflow_tree import copy_tree, run
from zc.lockfile import LockFile

from pipeline.job import one_writer
from pipeline.job.errors import AlreadyRunning
from workflow import engines, other_engine

RUNNING = "already running"
RAW = "data/raw/sample/manifest.json"


@pytest.fixture
def tree(tmp_path):
    """A tree whose first stage takes minutes, and whose locks are waited for briefly."""
    folder = copy_tree(tmp_path / "tree")
    read = "    settings = params.load()"
    for file, old, new in (
        ("pipeline/download.py", read, f"    import time; time.sleep(600)\n{read}"),
        ("pipeline/job/one_writer.py", "SECONDS = 10.0", "SECONDS = 1.0"),
    ):
        text = (folder / file).read_text()
        assert text.count(old) == 1
        (folder / file).write_text(text.replace(old, new))
    return folder


def begin(tree, *command):
    """Start an engine, and return it once its first job is at work."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    engine = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=os.environ | {"PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (holders := list(tree.glob(".work/locks/download sample *.lock"))):
        assert engine.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.2)
    return engine, int(re.match(r"process (\d+)", one_writer.holder(holders[0]))[1])


@pytest.mark.slow
def test_dvc_is_refused_beside_snakemake_and_a_job_that_a_kill_left_is_named(tree):
    engine, job = begin(tree, "snakemake", "--cores", "1", RAW)
    said = run(tree, "dvc", "repro", "download", fails=True)
    assert f"snakemake: already running: process {engine.pid}" in said
    assert "Traceback" not in said

    engine.kill()
    engine.wait()
    run(tree, "snakemake", "--unlock")
    said = run(tree, "snakemake", "--cores", "1", RAW, fails=True)

    assert re.search(rf"error: download sample .*got one: process {job} on .*end it", said)
    os.kill(job, 9)


@pytest.mark.slow
def test_snakemake_is_refused_beside_dvc(tree):
    engine, job = begin(tree, "dvc", "repro", "download")

    said = run(tree, "snakemake", "--cores", "1", RAW, fails=True)

    assert f"snakemake: already running: process {engine.pid}" in said
    assert "Traceback" not in said
    os.kill(job, 9)
    engine.wait()


# --- what tells that an engine is at work -------------------------------------------------


@pytest.fixture
def dvc_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(one_writer, "SECONDS", 0.1)
    folder = tmp_path / engines.DVC_TMP
    folder.mkdir(parents=True)
    return folder


def dead_process():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_stage_of_dvc_is_at_work_while_its_process_lives(dvc_tmp, kind):
    def lock(pid):
        entry = {"pid": pid, "cmd": "dvc repro"}
        locked = {kind: {"data/raw": [entry] if kind == "read" else entry}}
        (dvc_tmp / "rwlock").write_text(json.dumps(locked))

    lock(dead_process())
    assert engines.dvc_at_work() == ""
    lock(os.getpid())
    assert engines.dvc_at_work() == f"process {os.getpid()}: dvc repro"
    with pytest.raises(
        AlreadyRunning, match=f"process {os.getpid()}: dvc repro. Wait until it ends"
    ):
        other_engine.wait_for_dvc()


def test_dvc_is_at_work_while_it_holds_its_lock(dvc_tmp):
    assert engines.dvc_at_work() == ""
    held = LockFile(str(dvc_tmp / "lock"))
    assert engines.dvc_at_work() == f"process {os.getpid()}: dvc"
    held.close()
    assert engines.dvc_at_work() == ""


def test_half_a_file_of_dvc_is_no_process(dvc_tmp):
    (dvc_tmp / "rwlock").write_text('{"read": {')
    assert engines.dvc_at_work() == ""
