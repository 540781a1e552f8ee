"""Jobs at once get different devices, wait, and go on when one is free. No GPU is used."""

import select
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from paths import ROOT

from pipeline.extractors.extraction import Machine, torch_device
from pipeline.job import devices, gpu_slots
from pipeline.job.errors import ParamsError

# A job: says its device, then works until its input ends.
JOB = """
import sys
from pipeline.job.gpu_slots import cuda_name
print(cuda_name(2), flush=True)
sys.stdin.read()
"""


class Job:
    """A process that asks for a device, as a stage does."""

    def __init__(self, folder: Path, slots: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "GPU_SLOTS": slots},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def device(self) -> str:
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path):
    jobs = []

    def started(slots: str) -> Job:
        jobs.append(Job(tmp_path, slots))
        return jobs[-1]

    yield started
    for job in jobs:
        job.kill()


def test_jobs_at_once_get_different_devices(start):
    first, second = start("0,1"), start("0,1")

    assert {first.device(), second.device()} == {"cuda:0", "cuda:1"}


def test_the_first_free_slot_of_the_list_is_taken(start):
    first = start("1,0")
    assert first.device() == "cuda:1"

    assert start("1,0").device() == "cuda:0"


def test_a_device_that_stands_twice_is_for_two_jobs(start):
    first, second = start("0,0"), start("0,0")

    assert [first.device(), second.device()] == ["cuda:0", "cuda:0"]


def test_a_job_too_many_waits_until_another_is_gone(start):
    """Killed, not ended: nothing is cleaned up, and the slot is free all the same."""
    first = start("0")
    assert first.device() == "cuda:0"
    second = start("0")
    ready, _, _ = select.select([second.process.stdout], [], [], 1.5)
    assert not ready

    first.kill()

    assert second.device() == "cuda:0"


def test_both_choosers_of_a_device_agree_within_one_process(tmp_path, monkeypatch):
    """`study` runs extractors and models in one process, which must not wait for itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPU_SLOTS", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    current = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    gpu_slots.cuda_name.cache_clear()
    try:
        chosen = devices.choose("auto"), torch_device(Machine(device="cuda"))
    finally:
        gpu_slots.cuda_name.cache_clear()
        gpu_slots._held.clear()

    assert chosen == (torch.device("cuda", 1), torch.device("cuda", 1))
    assert set(current) == {torch.device("cuda", 1)}
    assert devices.choose("cpu") == torch.device("cpu")


def test_without_slots_nothing_is_locked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPU_SLOTS", raising=False)

    assert gpu_slots.cuda_name.__wrapped__(2) == "cuda"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("listed", ["", "2", "0,", "all", "-1", "0;1", "00"])
def test_slots_that_are_no_devices_are_refused(listed):
    with pytest.raises(ParamsError, match="GPU_SLOTS: expected numbers of the 2 devices"):
        gpu_slots.parse(listed, 2)


@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ParamsError, match=rf"--device {name}: not on this machine; .*'cpu'"):
        devices.choose(name)
