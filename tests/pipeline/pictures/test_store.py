"""Fetched pictures in a few large files."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from paths import ROOT

from pipeline.job.errors import RawDataError
from pipeline.pictures import store as picture_store
from pipeline.pictures.store import Shard, Store
from pipeline.transfer.status import Unavailable


def filled(folder: Path, number: int = 0, **pictures: bytes) -> None:
    shard = Shard(folder, number)
    for address, data in pictures.items():
        shard.add(address, data)
    shard.close()


def found(folder: Path, *addresses: str) -> dict[str, bytes]:
    with Store(folder) as kept:
        absent = kept.absent(addresses)
        return {address: kept.read(address) for address in addresses if address not in absent}


def test_what_was_added_is_there_for_the_next_run_and_more_is_appended(tmp_path):
    filled(tmp_path, a=b"one", b=b"")
    filled(tmp_path, c=b"three")

    assert found(tmp_path, "a", "b", "c", "d") == {"a": b"one", "b": b"", "c": b"three"}
    assert {path.name for path in tmp_path.iterdir()} == {"shard-0.pictures", "shard-0.sqlite"}


def test_every_shard_is_looked_through(tmp_path):
    """A later run may have fewer processes."""
    filled(tmp_path, 0, a=b"0")
    filled(tmp_path, 3, b=b"3")

    assert found(tmp_path, "a", "b") == {"a": b"0", "b": b"3"}


def test_no_folder_holds_nothing(tmp_path):
    assert found(tmp_path / "none", "a") == {}


def test_a_failure_is_no_picture_and_may_become_one(tmp_path):
    shard = Shard(tmp_path, 0)
    shard.fail("a", "HTTP 404")
    shard.fail("b", "HTTP 404")
    shard.add("b", b"two")
    shard.close()

    assert found(tmp_path, "a", "b") == {"b": b"two"}
    with Store(tmp_path) as kept, pytest.raises(Unavailable, match="not fetched"):
        kept.read("a")


def test_what_is_forgotten_is_fetched_again(tmp_path):
    filled(tmp_path, a=b"page", b=b"two")

    with Store(tmp_path) as kept:
        kept.forget(["a", "never there"])

    assert found(tmp_path, "a", "b") == {"b": b"two"}
    filled(tmp_path, a=b"picture")
    assert found(tmp_path, "a", "b") == {"a": b"picture", "b": b"two"}


def test_a_kill_cuts_off_what_is_not_in_the_ledger_and_no_more(tmp_path):
    script = """
import os, sys
from pathlib import Path
from pipeline.pictures.store import Shard
shard = Shard(Path(sys.argv[1]), 0)
shard.add("a", b"one")
shard.commit()
shard.add("b", b"two")
os.kill(os.getpid(), 9)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False)
    assert (tmp_path / "shard-0.pictures").read_bytes() == b"onetwo"

    filled(tmp_path, c=b"three")

    assert found(tmp_path, "a", "b", "c") == {"a": b"one", "c": b"three"}
    assert (tmp_path / "shard-0.pictures").read_bytes() == b"onethree"


def test_a_ledger_ahead_of_the_bytes_is_cut_back(tmp_path):
    """As after a power cut, when the two reach the disk in any order."""
    filled(tmp_path, a=b"one", b=b"two")
    os.truncate(tmp_path / "shard-0.pictures", 4)

    filled(tmp_path, c=b"three")

    assert found(tmp_path, "a", "b", "c") == {"a": b"one", "c": b"three"}


def test_bytes_that_are_gone_while_read_are_said_to_be(tmp_path):
    filled(tmp_path, a=b"one")
    os.truncate(tmp_path / "shard-0.pictures", 2)

    with (
        Store(tmp_path) as kept,
        pytest.raises(RawDataError, match="damaged where it was kept"),
    ):
        kept.read("a")


def test_two_runs_do_not_write_one_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_store, "LOCK_SECONDS", 0.2)
    first = Shard(tmp_path, 0)

    with pytest.raises(RawDataError, match=r"shard-0\.pictures: expected no other run"):
        Shard(tmp_path, 0)

    first.close()
    Shard(tmp_path, 0).close()


def test_several_threads_may_read(tmp_path):
    pictures = {f"p{n}": os.urandom(1000 + n) for n in range(200)}
    filled(tmp_path, **pictures)

    with Store(tmp_path) as kept, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(kept.read, pictures)) == list(pictures.values())


@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_picture_with_a_flipped_byte_is_fetched_again(tmp_path, caplog, at):
    filled(tmp_path, a=b"one", b=b"two")
    path = tmp_path / "shard-0.pictures"
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    damaged = "ab"[at // 3]

    with Store(tmp_path) as kept:
        assert kept.absent(["a", "b"]) == [damaged]
    assert f"{path}: thrown away: {damaged}, damaged where it was kept" in caplog.text
    filled(tmp_path, **{damaged: b"new"})
    assert found(tmp_path, damaged) == {damaged: b"new"}


@pytest.mark.parametrize(("first", "end"), [(0, 0), (0, 100), (0, 5000), (0, 13), (17, None)])
def test_a_ledger_that_was_cut_is_thrown_away(tmp_path, caplog, first, end):
    filled(tmp_path, **{f"a{n}": b"%d" % n for n in range(300)})
    path = tmp_path / "shard-0.sqlite"
    path.write_bytes(path.read_bytes()[first:end])

    filled(tmp_path, b=b"two")

    assert f"{path}: thrown away: " in caplog.text
    assert found(tmp_path, "a1", "b") == {"b": b"two"}


def test_pictures_that_other_code_fetched_are_fetched_again(tmp_path, monkeypatch, caplog):
    filled(tmp_path, a=b"one")
    monkeypatch.setattr(picture_store, "CODE", picture_store.CODE ^ 1)

    assert found(tmp_path, "a") == {}
    assert "its pictures were fetched by other code" in caplog.text
    filled(tmp_path, a=b"new")
    assert found(tmp_path, "a") == {"a": b"new"}
    assert (tmp_path / "shard-0.pictures").read_bytes() == b"new"
