"""One file over several connections, each of which brings ranges of it.

Only where the version of the file is certain: ranges of two versions would make a file that was
never published.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from pipeline.job.errors import RawDataError
from pipeline.job.progress import Bar
from pipeline.transfer.limits import Limits, fast_enough
from pipeline.transfer.partial_file import PartialFile, Ranges, Span, write_at
from pipeline.transfer.status import Refused, TemporaryFailure, check_status, requested_pause

RANGE = 8 << 20  # bytes per request; a kill loses at most as much for each connection
SMALLEST = 4 * RANGE  # bytes; a smaller file comes in one piece


class Changed(TemporaryFailure):
    """The file there is not the one that was begun."""

    def __init__(self) -> None:
        super().__init__("the file on the server is not the one that was begun")


class NoRanges(TemporaryFailure):
    """The server gives the file in one piece only, whatever it announced."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A file at an address that gives any range of it.

    Args:
        url: the address.
        version: identifies the content.
        size: bytes.
        read: (first, end) -> the bytes from first to before end. Raises Refused,
            TemporaryFailure or httpx.RequestError, and nothing else.
    """

    url: str
    version: str
    size: int
    read: Callable[[int, int], Iterator[bytes]]


def strong_tag(response: httpx.Response) -> str:
    """Return the ETag if it promises the same bytes, else '' (RFC 9110, 8.8.3)."""
    tag = str(response.headers.get("ETag", ""))
    return tag if tag.startswith('"') else ""


def gives_ranges(response: httpx.Response, size: int) -> bool:
    """Whether the file may come in ranges, and is large enough for it."""
    announced = response.headers.get("Accept-Ranges", "").lower() == "bytes"
    return announced and strong_tag(response) != "" and size >= SMALLEST


def check_response(response: httpx.Response) -> None:
    """Raise Refused or TemporaryFailure unless the response is a success."""
    check_status(response.status_code, requested_pause(response.headers))


def http_origin(
    client: httpx.Client, url: str, version: str, size: int, timeout: float
) -> Origin:
    """Return the file at an http(s) address; `version` is its strong ETag."""

    def read(first: int, end: int) -> Iterator[bytes]:
        headers = {"Accept-Encoding": "identity", "If-Range": version}
        headers["Range"] = f"bytes={first}-{end - 1}"
        with client.stream("GET", url, headers=headers) as response:
            check_response(response)
            if strong_tag(response) not in ("", version):
                raise Changed
            expected = f"bytes {first}-{end - 1}/{size}"
            if response.headers.get("Content-Range") != expected:
                raise NoRanges(f"expected the range {expected}, got none or another")
            yield from fast_enough(response.iter_raw(), timeout)

    return Origin(url, version, size, read)


def transfer(origin: Origin, part: PartialFile, limits: Limits, bar: Bar) -> bool:
    """Transfer a file to `part`; return whether an earlier run had begun it.

    Raises:
        RawDataError: it cannot be written.
        Refused, TemporaryFailure, httpx.RequestError: some of it is missing; what has arrived
            is kept.
    """
    ranges = part.ranges
    try:
        ranges.open(origin.url, origin.version, origin.size)
        received = ranges.received
        bar.update(received)
        file = os.open(ranges.path, os.O_WRONLY)
        try:
            _Attempt(origin, ranges, limits, bar, file).run()
        finally:
            os.close(file)
        ranges.finish(part, origin.url, origin.version)
    except (Changed, NoRanges):
        ranges.remove()
        raise
    except OSError as error:  # neither httpx nor an origin raises one
        raise RawDataError(f"{ranges.path}: cannot be written: {error}; run again") from error
    return received > 0


class _Attempt:
    """One attempt at all missing ranges, over several connections."""

    def __init__(
        self, origin: Origin, ranges: Ranges, limits: Limits, bar: Bar, file: int
    ) -> None:
        self.origin, self.ranges, self.limits = origin, ranges, limits
        self.bar, self.file = bar, file
        self.lock = threading.Lock()
        self.spans = ranges.missing(origin.size, RANGE)
        self.remaining = iter(self.spans)
        self.is_over = False  # an error that concerns all connections

    def run(self) -> None:
        n_connections = min(self.limits.connections, len(self.spans))
        if n_connections == 0:
            return
        with ThreadPoolExecutor(n_connections) as pool:
            jobs = [pool.submit(self._transfer_ranges) for _ in range(n_connections)]
        errors = [error for job in jobs if (error := job.exception())]
        # The ranges of a dropped connection were left to the others, while there were others.
        if self.ranges.received < self.origin.size:
            raise min(errors, key=_priority)

    def _transfer_ranges(self) -> None:
        """Transfer range after range, until none remains or the connection drops."""
        while span := self._next():
            try:
                with self.limits.connection():
                    self._transfer_range(*span)
            except httpx.RequestError:
                raise
            except BaseException as error:
                self.is_over |= isinstance(error, Refused | Changed | NoRanges)
                raise

    def _next(self) -> Span | None:
        with self.lock:
            return None if self.is_over else next(self.remaining, None)

    def _transfer_range(self, first: int, end: int) -> None:
        at = first
        try:
            for chunk in self.origin.read(first, end):
                data = chunk[: end - at]
                write_at(self.file, data, at)
                at += len(data)
                self.bar.update(len(data))
                self.limits.received(len(data))
        finally:
            # The bytes first: after a power cut no line may name bytes that are not there.
            os.fdatasync(self.file)
            with self.lock:
                self.ranges.add(first, at)
        if at < end:
            raise httpx.RemoteProtocolError(
                f"expected {end - first:,} bytes, got {at - first:,}"
            )


def _priority(error: BaseException) -> int:
    """Return the place of an error among those of several connections; the lowest is raised."""
    kinds: list[type[BaseException] | tuple[type[BaseException], ...]]
    kinds = [httpx.RequestError, TemporaryFailure, Refused, (Changed, NoRanges)]
    return -max((n for n, kind in enumerate(kinds) if isinstance(error, kind)), default=9)
