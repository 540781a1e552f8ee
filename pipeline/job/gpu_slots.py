"""Share the GPUs of one machine between jobs that run at the same time.

An engine counts GPUs but does not number them: two jobs that ask for `cuda` would both get the
first. With `GPU_SLOTS=0,1` in the environment, a job takes the first free slot, waits if there
is none, and holds it until its process ends or is killed. List a device twice to let two jobs
share it. Without `GPU_SLOTS` nothing is locked; a cluster that gives each job its own devices
does not need it.

    GPU_SLOTS=0,1 snakemake --cores 16 --resources gpu=2 --set-threads train=8 -- evaluate
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.job.errors import ParamsError

VARIABLE = "GPU_SLOTS"
FOLDER = Path(".work/gpu_slots")
WAIT = 1.0  # seconds until the next try when all slots are taken
log = logging.getLogger(__name__)
_held: list[FileLock] = []  # a lock without references would be released


@functools.cache
def cuda_name(n_devices: int) -> str:
    """Return `cuda`, or `cuda:N` for the slot that this process takes and keeps.

    Args:
        n_devices: number of visible devices, which CUDA_VISIBLE_DEVICES may limit.

    Raises:
        ParamsError: GPU_SLOTS is not a list of device numbers.
    """
    slots = os.environ.get(VARIABLE)
    return "cuda" if slots is None else f"cuda:{take(parse(slots, n_devices))}"


def parse(slots: str, n_devices: int) -> list[int]:
    """Return the device of each slot, in order, or raise ParamsError."""
    numbers = [number.strip() for number in slots.split(",")]
    if not {str(device) for device in range(n_devices)}.issuperset(numbers):
        raise ParamsError(
            f"environment variable {VARIABLE}: expected numbers of the {n_devices} visible "
            f"devices, from 0, separated by commas, got {slots!r}"
        )
    return [int(number) for number in numbers]


def take(devices: Sequence[int], folder: Path = FOLDER) -> int:
    """Wait for a free slot, hold it until this process ends, return its device.

    The kernel releases a lock when its holder dies, so there are no stale locks.

    Args:
        devices: the device of each slot.
        folder: of the lock files; it is created.
    """
    slots = _locks(devices, folder)
    device = _take_free(slots)
    if device is None:
        log.info("all slots of the GPUs %s are taken: waiting", list(devices))
    while device is None:
        time.sleep(WAIT)
        device = _take_free(slots)
    log.info("took GPU %d, one of %s", device, list(devices))
    return device


def _take_free(slots: Sequence[tuple[int, FileLock]]) -> int | None:
    """Take the first free slot and return its device; None if all are taken."""
    for device, lock in slots:
        with suppress(Timeout):
            lock.acquire(blocking=False)
            _held.append(lock)
            return device
    return None


def _locks(devices: Sequence[int], folder: Path) -> list[tuple[int, FileLock]]:
    """Return the device and lock of each slot; lock files are separate per host."""
    folder.mkdir(parents=True, exist_ok=True)
    locks = []
    for at, device in enumerate(devices):
        nth = devices[:at].count(device)
        path = folder / f"{socket.gethostname()}-{device}-{nth}.lock"
        locks.append((device, FileLock(path, thread_local=False)))
    return locks
