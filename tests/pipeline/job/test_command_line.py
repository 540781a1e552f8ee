import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.job.command_line import duration, last_time, title


def test_a_title_is_the_command_up_to_its_first_path_or_option():
    assert title(["train", "sample", "mcln", "data/processed/sample"]) == "train sample mcln"
    assert title(["explain", "sample", "--user", "3"]) == "explain sample"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (61.6, "1:02"), (3600, "1:00:00"), (86399, "23:59:59")]
)
def test_a_duration_is_in_minutes_and_hours(seconds, text):
    assert duration(seconds) == text


def test_on_a_terminal_a_job_ends_in_a_line_with_its_time(tmp_path):
    """In a file its log has everything, and no such line."""
    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    command = ["pipeline.download", "sample", "data/raw/sample"]
    master, slave = pty.openpty()
    env = os.environ | {"PYTHONPATH": str(Path.cwd())}

    subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, env=env, stderr=slave, check=True
    )
    os.close(slave)
    shown = os.read(master, 1 << 16).decode()
    logged = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, env=env, capture_output=True, check=True
    )

    last = shown.strip().splitlines()[-1].split("\r")[-1]
    assert last.split()[:2] == ["download", "sample"]
    assert last.split()[2].startswith("0:")
    assert "data/raw/sample: " not in shown
    assert "data/raw/sample: " in logged.stderr.decode()
    assert logged.stdout == b""
    seconds = float((tmp_path / ".work/times/download sample.txt").read_text())
    assert 0 < seconds < 100


def test_a_job_that_never_ran_has_no_last_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert last_time("train sample mcln") is None
