"""Files that are whole or absent, whoever else writes them and whatever the disk says."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from paths import ROOT

from pipeline.job.errors import NotWritten
from pipeline.tables import io
from pipeline.tables.features import METADATA, write_features
from pipeline.tables.replacing import replacing

ROWS = 300_000
# Writes a table of its own number many times over.
WRITER = f"""
import sys, time
from pathlib import Path
import polars as pl
from pipeline.tables.io import write_parquet
table = pl.DataFrame({{"n": [int(sys.argv[1])] * {ROWS // 10}}})
time.sleep(float(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    write_parquet(table, Path("t.parquet"))
"""
# Dies while it writes, and leaves what it has written.
KILLED = """
import os, sys
from pathlib import Path
from pipeline.tables.replacing import replacing
with replacing(Path("t")) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), 9)
"""


def start(folder, script, *words):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_two_writers(folder, n_starts):
    """Two processes write one file; at any time it is what one of them wrote."""
    draw, path = np.random.default_rng(16), folder / "t.parquet"
    for _ in range(n_starts):
        delays = draw.uniform(0, 0.05, size=2)
        jobs = [start(folder, WRITER, n, delay, 20) for n, delay in enumerate(delays)]
        while any(job.poll() is None for job in jobs):
            if path.exists():
                column = pl.read_parquet(path)["n"]
                assert column.len() == ROWS // 10
                assert column.n_unique() == 1
        assert [job.communicate() for job in jobs] == [("", "")] * 2
        assert [job.returncode for job in jobs] == [0, 0]
        assert [file.name for file in folder.iterdir()] == ["t.parquet"]


def test_of_two_writers_one_wins_and_no_file_is_mixed(tmp_path):
    check_two_writers(tmp_path, 2)


@pytest.mark.slow
def test_of_two_writers_one_wins_at_a_hundred_starts(tmp_path):
    check_two_writers(tmp_path, 100)


def test_what_a_killed_writer_left_is_removed_and_named_and_a_living_ones_is_not(
    tmp_path, caplog
):
    with start(tmp_path, KILLED) as killed:
        assert killed.wait() == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    living = left.with_name(left.name.replace(f"-{killed.pid}-", f"-{os.getppid()}-"))
    host = left.name.split(".")[2].split("-")[0]
    elsewhere = left.with_name(left.name.replace(host, "00000000"))  # maybe alive there
    for path in (living, elsewhere):
        path.write_text("half")

    io.write_text("whole", tmp_path / "t")

    assert {path.name for path in tmp_path.iterdir()} == {"t", living.name, elsewhere.name}
    assert f"{left}: removed, left by process {killed.pid}, which was killed" in caplog.text


def rows_of_features(path):
    metadata = dict.fromkeys(METADATA, "x") | {"dim": "512"}
    vectors = iter(np.random.default_rng(0).random((2000, 512), dtype=np.float32))
    write_features(vectors, path, dim=512, metadata=metadata)


@pytest.fixture
def small_files():
    """Let no file grow beyond 64 KiB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: io.write_parquet(
            pl.DataFrame({"n": np.random.default_rng(0).random(ROWS)}), path
        ),
        lambda path: io.write_json("x" * 100_000, path),
        rows_of_features,
    ],
)
def test_a_full_disk_is_one_line_with_the_mend_and_leaves_no_file(tmp_path, small_files, write):
    with pytest.raises(NotWritten, match=r"new/t: cannot be written: .*too large\. Make room"):
        write(tmp_path / "new" / "t")

    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("place", "mend"),
    [
        ("/proc/t", "cannot be written: .*No such file"),
        ("/sys/t", "cannot be written: .*(Give this user access|Make the place writable)"),
        ("file/t", "cannot be written: .*Remove what is in the way and run the stage again"),
        ("folder", "cannot be written: .*Remove what is in the way"),
    ],
)
def test_a_place_that_takes_no_file_is_one_line_with_the_mend(tmp_path, place, mend):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    with pytest.raises(NotWritten, match=mend):
        io.write_text("x", tmp_path / place)


def test_an_input_that_is_absent_is_not_taken_for_the_output(tmp_path):
    for read in (Path.read_bytes, pq.read_table):
        with pytest.raises(FileNotFoundError, match="lost"), replacing(tmp_path / "t"):
            read(tmp_path / "lost")


def test_names_of_any_length(tmp_path):
    path = tmp_path / ("ä" * 127)

    io.write_text("x", path)

    assert Path(path).read_text() == "x"
