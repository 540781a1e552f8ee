"""Two processes of one job: the second waits or is refused, and the first is named."""

import contextlib
import os
import subprocess
import sys
import threading
import time

import numpy as np
import polars as pl
import pytest
import yaml
from paths import ROOT

from pipeline.job import one_writer
from pipeline.job.errors import AlreadyRunning, NotWritten
from pipeline.tables.io import write_json, write_parquet
from pipeline.tables.schema import RAW_ITEMS, REVIEWS

KCORE = ["-m", "pipeline.kcore", "sample", "interim", "processed"]
HOLDER = """
import sys, time
from pipeline.job.one_writer import only_writer
with only_writer("train sample mcln"):
    print("holds", flush=True)
    time.sleep(60)
"""


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def held(folder):
    """Another process that does the job, as one that was left by a killed engine."""
    with start(folder, "-c", HOLDER) as job:
        assert job.stdout.readline() == "holds\n"
        yield job
        job.kill()


def test_another_process_at_the_job_is_named_and_its_death_frees_the_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(one_writer, "SECONDS", 0.2)
    with held(tmp_path) as job:
        message = rf"train sample mcln: already running: process {job.pid} on .*run again"
        with (
            pytest.raises(AlreadyRunning, match=message),
            one_writer.only_writer("train sample mcln"),
        ):
            pass
        with one_writer.only_writer("train sample lightgcn"):
            pass
    with one_writer.only_writer("train sample mcln"):
        pass


def test_the_second_waits_for_one_that_ends(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with held(tmp_path) as job:
        threading.Timer(0.3, job.kill).start()
        with one_writer.only_writer("train sample mcln"):
            assert job.wait() == -9
    assert f"waiting for process {job.pid}" in caplog.text


def test_a_place_without_locks_is_named(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(NotWritten, match=r"file/job\.lock: cannot be written"),
        one_writer.only_writer("job", tmp_path / "file"),
    ):
        pass


# --- two processes of one stage -----------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """Reviews of 40 people about 40 items; what the core is depends on params.yaml."""
    rows = [
        (f"u{u}", f"i{(u + k * k) % 40}", 10**9 + 40 * u + k, None, None)
        for u in range(40)
        for k in range(3 + u % 8)
    ]
    table = pl.DataFrame(rows, schema=REVIEWS, orient="row")
    write_parquet(table, tmp_path / "interim/reviews.parquet")
    columns = {name: [f"i{n}" for n in range(40)] for name in list(RAW_ITEMS)[:1]}
    items = pl.DataFrame(columns)
    for name, dtype in list(RAW_ITEMS.items())[1:]:
        items = items.with_columns(pl.lit(None, dtype).alias(name))
    write_parquet(items, tmp_path / "interim/items.parquet")
    write_json({}, tmp_path / "interim/bad_lines.json")
    set_core(tmp_path, 3)
    return tmp_path


def set_core(folder, k):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["kcore"] |= {"k_user": k, "k_item": 3}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "processed").iterdir()}


def check_two_starts(project, n_starts):
    """The first with old settings, the second with new ones, at random moments."""
    whole = {}
    for k in (3, 5):
        set_core(project, k)
        job = start(project, *KCORE)
        said = job.communicate()[1]
        assert job.returncode == 0, said
        whole[k] = files(project)
    assert whole[3] != whole[5]
    draw = np.random.default_rng(16)
    for _ in range(n_starts):
        for path in (project / "processed").iterdir():
            path.unlink()
        set_core(project, 3)
        first = start(project, *KCORE)
        time.sleep(draw.uniform(0, 1.5))
        set_core(project, 5)
        second = start(project, *KCORE)
        said = [job.communicate()[1] for job in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], said
        assert files(project) in (whole[3], whole[5])


def test_two_processes_of_a_stage_leave_the_files_of_one(project):
    check_two_starts(project, 1)


@pytest.mark.slow
def test_two_processes_of_a_stage_leave_the_files_of_one_at_a_hundred_starts(project):
    check_two_starts(project, 100)
