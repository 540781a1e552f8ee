"""What all transfers of a download share: connections, speed, disk space, and a way to stop."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.job.errors import RawDataError
from pipeline.transfer.status import TemporaryFailure, without_credentials

BLOCK = 512  # bytes; the unit of st_blocks (stat(2))
SLOWEST = 1000  # bytes a second; a slower connection is dropped, and the file resumed


class Stopped(Exception):  # noqa: N818 (on purpose, not a fault)
    """The download is being stopped: another file failed, or the user interrupted."""


class Limits:
    """Limits on all transfers together; several threads may use them.

    Args:
        connections: at once.
        speed: bytes a second; None for no limit.
    """

    def __init__(self, connections: int = 1, speed: float | None = None) -> None:
        self.connections, self._speed = connections, speed
        self._free = threading.Semaphore(connections)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._due = 0.0  # time.monotonic at which all bytes so far may have arrived
        self._claims: dict[Path, int] = {}  # unfinished file -> its final size in bytes

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Hold one of the connections for the block."""
        with self._free:
            self.check()
            yield

    def received(self, size: int) -> None:
        """Count bytes, and wait if they arrived too fast.

        Raises:
            Stopped: see `stop`.
        """
        self.check()
        if self._speed:
            with self._lock:
                now = time.monotonic()
                self._due = max(self._due, now) + size / self._speed
            self.sleep(self._due - now)

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
    def disk_space(self, path: Path, size: int | None, url: str) -> Iterator[None]:
        """Reserve the disk space that a file needs, beside the other transfers.

        Args:
            path: the unfinished file; it may exist already.
            size: its final size in bytes; None if unknown.
            url: where it comes from, for the message.

        Raises:
            RawDataError: the disk has too little space.
        """
        with self._lock:
            self._claims[path] = size or 0
            missing = sum(_missing_bytes(*claim) for claim in self._claims.items())
            free = shutil.disk_usage(path.parent).free
        try:
            if size and missing > free:
                needed = _missing_bytes(path, size)
                raise RawDataError(
                    f"{without_credentials(url)}: needs {needed:,} bytes in {path.parent}, "
                    f"which has {free:,} free for all files in transfer; make room and run "
                    "again"
                )
            yield
        finally:
            with self._lock:
                del self._claims[path]


def _missing_bytes(path: Path, size: int) -> int:
    """Return the bytes that a file does not occupy yet; it may have holes."""
    try:
        return max(0, size - path.stat().st_blocks * BLOCK)
    except FileNotFoundError:
        return size


def fast_enough(chunks: Iterable[bytes], timeout: float) -> Iterator[bytes]:
    """Yield the chunks of a body as long as they arrive at `SLOWEST` or faster.

    Args:
        chunks: of a body.
        timeout: seconds of waiting over which the speed is measured.

    Raises:
        TemporaryFailure: the connection is too slow.
    """
    waited, received, source = 0.0, 0, iter(chunks)
    while True:
        start = time.monotonic()
        chunk = next(source, None)
        waited += time.monotonic() - start
        if chunk is None:
            return
        received += len(chunk)
        yield chunk
        if waited >= timeout:
            if received < SLOWEST * waited:
                raise TemporaryFailure(f"only {received:,} bytes in {waited:.0f} s")
            waited, received = 0.0, 0
