"""Resumable downloads over unreliable connections.

A file arrives as <work>/<file>.part, beside a note of its address and version. The next
attempt, in this run or a later one, asks for the rest on the condition that the version is
still the same; otherwise it starts again. A large file whose server states its version for
certain comes in ranges, over several connections; see `ranges`.

Proxies are those of the environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from pipeline.job.errors import RawDataError
from pipeline.published.raw_file import RawFile, check
from pipeline.transfer import one_stream, ranges, remote
from pipeline.transfer.limits import Limits
from pipeline.transfer.partial_file import PartialFile, progress_bar
from pipeline.transfer.status import (
    FIRST_PAUSE,
    Refused,
    TemporaryFailure,
    growing_pause,
    reason,
    without_credentials,
)

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0  # seconds; a working server answers within one
PROGRESS = 1 << 20  # bytes; a round that brings as many does not count as failed


@dataclass(slots=True)
class _Address:
    """An address of a file, and how the last attempt there failed."""

    url: str
    failure: str = ""
    is_refused: bool = False
    not_before: float = 0.0  # of time.monotonic
    in_one_piece: bool = False  # its server has turned out to give no ranges

    @property
    def shown(self) -> str:
        """The address without secrets: in messages, and in the notes of what has arrived."""
        return without_credentials(self.url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """How the network is used; several threads may fetch at once.

    Args:
        retries: further rounds over a file's addresses, in a row, that bring next to nothing.
        timeout: seconds without a byte before a connection counts as dropped.
        pause: seconds before the second round; doubled each time.
        limits: shared by all files.
    """

    retries: int
    timeout: float
    pause: float = FIRST_PAUSE
    limits: Limits = field(default_factory=Limits)

    def fetch(self, file: RawFile, work: Path, causes: list[str]) -> Path | None:
        """Transfer a file to `<work>/<name>.part` and check it.

        Args:
            file: what to fetch.
            work: folder of unfinished downloads; made when needed.
            causes: gets a line for each address that failed.

        Returns:
            The checked file, or None if no address gave it.

        Raises:
            RawDataError: the disk has no room for it; or it is optional, and an address that
                may have it did not answer.
            Stopped: `limits` were stopped.
        """
        work.mkdir(parents=True, exist_ok=True)
        part = PartialFile(work / f"{file.name}.part")
        addresses = [_Address(url) for url in file.urls]
        timeout = httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_TIMEOUT))
        with httpx.Client(timeout=timeout, follow_redirects=True) as client:
            if self._retry(client, file, part, addresses):
                return part.path
        causes += [f"  {a.shown}: {a.failure}" for a in addresses]
        if not (file.required or all(address.is_refused for address in addresses)):
            tried = "\n".join(causes)
            raise RawDataError(
                f"{file.name}: may exist, but is unavailable\n{tried}\nRun again to resume"
            )
        return None

    def _retry(
        self, client: httpx.Client, file: RawFile, part: PartialFile, addresses: list[_Address]
    ) -> bool:
        """Try all addresses in rounds; return whether the file is complete."""
        failures = 0  # in a row
        while True:
            before = _received(part)
            if self._round(client, file, part, addresses):
                return True
            times = [address.not_before for address in addresses if not address.is_refused]
            failures = 0 if _received(part) - before >= PROGRESS else failures
            if not times or failures == self.retries:
                return False
            pause = growing_pause(failures, self.pause)
            self.limits.sleep(max(pause, min(times) - time.monotonic()))
            failures += 1

    def _round(
        self, client: httpx.Client, file: RawFile, part: PartialFile, addresses: list[_Address]
    ) -> bool:
        """Try each address once, first the one that the partial file came from."""
        now, begun = time.monotonic(), {part.url, part.ranges.note.get("url", "")}
        ready = [a for a in addresses if not a.is_refused and a.not_before <= now]
        for address in sorted(ready, key=lambda address: address.shown not in begun):
            logger.info("%s: from %s", file.name, address.shown)
            try:
                _check_part(part, file, resumed=self._transfer(client, address, part))
            except (Refused, httpx.TooManyRedirects) as error:
                address.failure, address.is_refused = str(error), True
            except httpx.InvalidURL as error:
                address.failure, address.is_refused = reason(error, address.url), True
            except (TemporaryFailure, httpx.RequestError) as error:
                _note_failure(address, error)
                if _received(part):
                    break  # resume after a pause, rather than begin at another address
            else:
                return True
        return False

    def _transfer(self, client: httpx.Client, address: _Address, part: PartialFile) -> bool:
        """Complete the partial file; return whether an earlier attempt had begun it."""
        url, note = address.url, part.ranges.note
        if remote.is_remote(url):
            with self.limits.connection():
                origin = remote.origin(url)
            return self._in_ranges(origin, part)
        if note.get("url") == address.shown and not address.in_one_piece:
            version, size = note.get("version", ""), note.get("bytes", 0)
            origin = ranges.http_origin(client, url, version, size, self.timeout)
            return self._in_ranges(origin, part)
        split = self.limits.connections > 1 and not address.in_one_piece
        with self.limits.connection():
            result = one_stream.transfer(
                client, url, part, self.limits, self.timeout, split=split
            )
        return result if isinstance(result, bool) else self._in_ranges(result, part)

    def _in_ranges(self, origin: ranges.Origin, part: PartialFile) -> bool:
        path, size = part.ranges.path, origin.size
        with (
            self.limits.disk_space(path, size, origin.url),
            progress_bar(path, 0, size) as bar,
        ):
            return ranges.transfer(origin, part, self.limits, bar)


def _received(part: PartialFile) -> int:
    """Return the bytes that have arrived."""
    return part.size + part.ranges.received


def _note_failure(address: _Address, error: Exception) -> None:
    address.failure = reason(error, address.url)
    if isinstance(error, TemporaryFailure):
        address.failure = f"{type(error).__name__}: {error}"  # the project's own words
        address.not_before = time.monotonic() + error.pause
        address.in_one_piece = address.in_one_piece or isinstance(error, ranges.NoRanges)
    logger.warning("%s: %s", address.shown, address.failure)


def _check_part(part: PartialFile, file: RawFile, *, resumed: bool) -> None:
    try:
        check(part.path, file)
    except RawDataError as error:
        part.remove()
        # What an earlier run left may be wrong: then the whole file may still be right.
        raise (TemporaryFailure if resumed else Refused)(str(error)) from None
