"""One file over several connections, each of which brings ranges of it.

Only where the file's version is known beyond doubt, since ranges of two versions would make a
file that nobody published. A part of `fetch`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from tqdm import tqdm

from pipeline.job.errors import RawDataError
from pipeline.transfer.answers import (
    Changed,
    Interrupted,
    NoRanges,
    Refused,
    check_status,
    not_too_slow,
    strong_tag,
)
from pipeline.transfer.limits import Traffic
from pipeline.transfer.partial_file import Part, Ranges, Span, write_at

RANGE = 8 << 20  # bytes asked for at once; a kill costs as much for each connection
SMALLEST = 4 * RANGE  # bytes; a smaller file comes in one piece


@dataclass(frozen=True, slots=True)
class Origin:
    """A file at an address, of which any range can be had.

    Args:
        url: the address.
        version: what no other content of the file has.
        size: bytes.
        read: (first, end) -> the bytes from first to before end. Raises Refused, Interrupted
            or httpx.RequestError, and nothing else.
    """

    url: str
    version: str
    size: int
    read: Callable[[int, int], Iterator[bytes]]


def offered(response: httpx.Response, size: int | None) -> bool:
    """Tell whether the answer's file may come in ranges, and is worth it."""
    ranges = response.headers.get("Accept-Ranges", "").lower() == "bytes"
    return ranges and strong_tag(response) != "" and size is not None and size >= SMALLEST


def http_origin(
    client: httpx.Client, url: str, version: str, size: int, timeout: float
) -> Origin:
    """Return the file at an http(s) address; `version` is its strong ETag."""

    def read(first: int, end: int) -> Iterator[bytes]:
        headers = {"Accept-Encoding": "identity", "If-Range": version}
        headers["Range"] = f"bytes={first}-{end - 1}"
        with client.stream("GET", url, headers=headers) as response:
            check_status(response)
            if strong_tag(response) not in ("", version):
                raise Changed
            expected = f"bytes {first}-{end - 1}/{size}"
            if response.headers.get("Content-Range") != expected:
                raise NoRanges(f"expected the range {expected}, got none or another")
            yield from not_too_slow(response.iter_raw(), timeout)

    return Origin(url, version, size, read)


def bring(origin: Origin, part: Part, traffic: Traffic, bar: tqdm[Any]) -> bool:
    """Bring a file to `part`; tell whether an earlier run had begun it.

    Raises:
        RawDataError: it cannot be written.
        Refused, Interrupted, httpx.RequestError: some of it did not come; what did is kept.
    """
    ranges = part.ranges
    try:
        ranges.open(origin.url, origin.version, origin.size)
        begun = ranges.had
        bar.update(begun)
        file = os.open(ranges.path, os.O_WRONLY)
        try:
            _Bringing(origin, ranges, traffic, bar, file).run()
        finally:
            os.close(file)
        ranges.finish(part, origin.url, origin.version)
    except (Changed, NoRanges):
        ranges.drop()
        raise
    except OSError as error:  # neither httpx nor an origin raises one
        raise RawDataError(f"{ranges.path}: cannot be written: {error}; run again") from error
    return begun > 0


class _Bringing:
    """One attempt at all that is missing."""

    def __init__(
        self, origin: Origin, ranges: Ranges, traffic: Traffic, bar: tqdm[Any], file: int
    ) -> None:
        self.origin, self.ranges, self.traffic = origin, ranges, traffic
        self.bar, self.file = bar, file
        self.lock = threading.Lock()
        self.spans = ranges.missing(origin.size, RANGE)
        self.left = iter(self.spans)
        self.over = False  # a finding that holds for all connections

    def run(self) -> None:
        n_lanes = min(self.traffic.connections, len(self.spans))
        if n_lanes == 0:
            return
        with ThreadPoolExecutor(n_lanes) as pool:
            lanes = [pool.submit(self._lane) for _ in range(n_lanes)]
        errors = [error for lane in lanes if (error := lane.exception())]
        # A line that dropped has left its ranges to the others, as long as there were others.
        if self.ranges.had < self.origin.size:
            raise min(errors, key=_rank)

    def _lane(self) -> None:
        """Bring range after range, until none is left or the line drops."""
        while span := self._next():
            try:
                with self.traffic.turn():
                    self._span(*span)
            except httpx.RequestError:
                raise
            except BaseException as error:
                self.over = self.over or isinstance(error, Refused | Changed | NoRanges)
                raise

    def _next(self) -> Span | None:
        with self.lock:
            return None if self.over else next(self.left, None)

    def _span(self, first: int, end: int) -> None:
        at = first
        try:
            for chunk in self.origin.read(first, end):
                data = chunk[: end - at]
                write_at(self.file, data, at)
                at += len(data)
                self.bar.update(len(data))
                self.traffic.passed(len(data))
        finally:
            # The bytes first: a power cut must not leave a line about what is not there.
            os.fdatasync(self.file)
            with self.lock:
                self.ranges.add(first, at)
        if at < end:
            raise httpx.RemoteProtocolError(
                f"expected {end - first:,} bytes, got {at - first:,}"
            )


def _rank(error: BaseException) -> int:
    """Return the place of an error among those of several connections; the first counts."""
    kinds: list[type[BaseException] | tuple[type[BaseException], ...]]
    kinds = [httpx.RequestError, Interrupted, Refused, (Changed, NoRanges)]
    return -max((n for n, kind in enumerate(kinds) if isinstance(error, kind)), default=9)
