"""Which GPU a job takes when several jobs run on one machine at once.

An engine counts GPUs and does not number them: two jobs that each ask for `cuda` would both
get the first. With `GPU_SLOTS=0,1` in the environment a job takes the first device whose slot
is free, waits while none is, and holds it until its process ends, however that ends. A number
that stands twice is a device for two jobs. Without `GPU_SLOTS` nothing is locked; on a cluster
that gives each job its own devices there is no need to.

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
WAIT = 1.0  # seconds between two looks at slots that are all taken
log = logging.getLogger(__name__)
_held: list[FileLock] = []  # a lock that nothing refers to would be released


@functools.cache
def cuda_name(n_devices: int) -> str:
    """Return `cuda`, or `cuda:N` for the slot that this process holds from now on.

    Args:
        n_devices: how many devices the process sees, which CUDA_VISIBLE_DEVICES may limit.

    Raises:
        ParamsError: GPU_SLOTS is no list of numbers of such devices.
    """
    listed = os.environ.get(VARIABLE)
    return "cuda" if listed is None else f"cuda:{take(parse(listed, n_devices))}"


def parse(listed: str, n_devices: int) -> list[int]:
    """Return the devices of the slots, in their order, or raise ParamsError."""
    numbers = [part.strip() for part in listed.split(",")]
    known = {str(number) for number in range(n_devices)}
    if not known.issuperset(numbers):
        raise ParamsError(
            f"environment variable {VARIABLE}: expected numbers of the {n_devices} devices "
            f"that this process sees, from 0, with commas between, got {listed!r}"
        )
    return [int(number) for number in numbers]


def take(devices: Sequence[int], folder: Path = FOLDER) -> int:
    """Wait for the first free slot, hold it until this process ends, return its device.

    The kernel gives a lock back when its holder dies, so that no stale one is ever in the way.

    Args:
        devices: the device of each slot.
        folder: where the locks are; made if need be.
    """
    slots = _locks(devices, folder)
    device = _take_free(slots)
    if device is None:
        log.info("every slot of the GPUs %s is taken: waiting", list(devices))
    while device is None:
        time.sleep(WAIT)
        device = _take_free(slots)
    log.info("took GPU %d, one of %s", device, list(devices))
    return device


def _take_free(slots: Sequence[tuple[int, FileLock]]) -> int | None:
    """Return the device of the first slot that nobody holds, and hold it; None if all are."""
    for device, lock in slots:
        with suppress(Timeout):
            lock.acquire(blocking=False)
            _held.append(lock)
            return device
    return None


def _locks(devices: Sequence[int], folder: Path) -> list[tuple[int, FileLock]]:
    """Return each slot's device and lock; machines that share the folder have their own."""
    folder.mkdir(parents=True, exist_ok=True)
    locks = []
    for at, device in enumerate(devices):
        nth = devices[:at].count(device)
        path = folder / f"{socket.gethostname()}-{device}-{nth}.lock"
        locks.append((device, FileLock(path, thread_local=False)))
    return locks
