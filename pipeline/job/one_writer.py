"""One process at a time does a job: a lock that its holder's death releases.

    .work/locks/<job>.lock    the holder's process, host and command

A job that was left running, such as that of an engine that was killed, is named with its
process. Without the lock it and its second run would write one set of files between them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.job.errors import AlreadyRunning, not_written

FOLDER = Path(".work/locks")
SNAKEMAKE = "snakemake"  # the lock of a running Snakemake
log = logging.getLogger(__name__)
SECONDS = 10.0  # a process that was told to end does so within them


@contextmanager
def only_writer(job: str, folder: Path = FOLDER) -> Iterator[None]:
    """Hold the lock of a job; wait for it for `SECONDS`.

    Args:
        job: names the file of the lock.
        folder: of the locks; it is created.

    Raises:
        AlreadyRunning: another process holds it.
        NotWritten: there can be no lock in the folder.
    """
    path = folder / f"{job}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise not_written(path, error) from error
    try:
        _take(file, path)
        yield
    finally:
        os.close(file)  # a file that is removed would be no lock for who has it open


def _take(file: int, path: Path) -> None:
    start, is_told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - start > SECONDS:
                raise AlreadyRunning(path.stem, holder(path)) from None
            if not is_told:
                log.warning("%s: waiting for %s", path.stem, holder(path))
                is_told = True
            time.sleep(0.05)
        except OSError as error:  # a disk without locks
            raise not_written(path, error) from error
        else:
            break
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    os.ftruncate(file, 0)
    os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}: {command}".encode(), 0)


def is_alive(pid: int) -> bool:
    """Return whether a process of this host runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def holder(path: Path) -> str:
    """Return what a lock's file says of its holder."""
    return path.read_text(encoding="utf-8", errors="replace") or "a process that just began"
