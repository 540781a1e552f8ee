"""What all transfers of one download share: connections, speed, disk, and a way to stop them.

A part of `fetch`; used by several threads.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.job.errors import RawDataError
from pipeline.transfer.answers import shown

BLOCK = 512  # bytes in which a file's place on disk is counted (stat(2), st_blocks)


class Stopped(Exception):  # noqa: N818 (asked for, not a fault)
    """Another file cannot be had, or the user has had enough."""


class Traffic:
    """The limits that hold for all transfers together.

    Args:
        connections: at once.
        speed: bytes a second; None for no limit.
    """

    def __init__(self, connections: int = 1, speed: float | None = None) -> None:
        self.connections, self._speed = connections, speed
        self._turns = threading.Semaphore(connections)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._free_at = 0.0  # of time.monotonic: when what has passed was due
        self._claims: dict[Path, int] = {}  # part -> bytes that it will have

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold one of the connections for the block."""
        with self._turns:
            self.check()
            yield

    def passed(self, size: int) -> None:
        """Note bytes that came, and wait where they came too fast.

        Raises:
            Stopped: see `stop`.
        """
        self.check()
        if self._speed:
            with self._lock:
                now = time.monotonic()
                self._free_at = max(self._free_at, now) + size / self._speed
            self.sleep(self._free_at - now)

    def sleep(self, seconds: float) -> None:
        """Wait, or raise Stopped."""
        self._stop.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise Stopped once `stop` was called."""
        if self._stop.is_set():
            raise Stopped

    def stop(self) -> None:
        """Make every transfer raise Stopped soon; what has arrived is kept."""
        self._stop.set()

    @contextmanager
    def room(self, part: Path, size: int | None, url: str) -> Iterator[None]:
        """Claim the disk that a file will need, beside those that are under way.

        Args:
            part: the unfinished file, which may hold a part of it already.
            size: bytes that it will have; None if nobody says.
            url: where it comes from.

        Raises:
            RawDataError: the disk has no room for it.
        """
        with self._lock:
            self._claims[part] = size or 0
            lacking = sum(_lacking(*claim) for claim in self._claims.items())
            free = shutil.disk_usage(part.parent).free
        try:
            if size and lacking > free:
                needed = _lacking(part, size)
                raise RawDataError(
                    f"{shown(url)}: needs {needed:,} bytes in {part.parent}, which has "
                    f"{free:,} free for all that is under way; make room and run again"
                )
            yield
        finally:
            with self._lock:
                del self._claims[part]


def _lacking(part: Path, size: int) -> int:
    """Return the bytes that a file does not occupy yet; it may have holes."""
    try:
        return max(0, size - part.stat().st_blocks * BLOCK)
    except FileNotFoundError:
        return size
