"""Files from the network, for lines that drop and servers that are gone.

A file arrives as <work>/<file>.part, with a note beside it of where it came from and which
version it is. The next attempt, in this run or a later one, asks for the rest on the condition
that the version is still that one; otherwise it starts again. A large file whose server states
its version beyond doubt comes in ranges, over several connections; see `ranges`.

Proxies are those of the environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from pipeline.job.errors import RawDataError
from pipeline.sources.raw import RawFile, check
from pipeline.transfer import one_stream, ranges, remote
from pipeline.transfer.answers import Interrupted, NoRanges, Refused, shown
from pipeline.transfer.limits import Traffic
from pipeline.transfer.partial_file import Part, bar

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds; each pause is twice the one before
CONNECT_TIMEOUT = 10.0  # seconds; a server that is there answers within one
PROGRESS = 1 << 20  # bytes; a round that brings as much does not count as a failed one


@dataclass(slots=True)
class _Address:
    """Where a file may be, and how that went so far."""

    url: str
    failure: str = ""
    refused: bool = False
    not_before: float = 0.0  # of time.monotonic
    in_one_piece: bool = False  # its server has turned out to give no ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """How the network is used; several threads may fetch at once.

    Args:
        retries: further rounds over a file's addresses, in a row, that bring next to nothing.
        timeout: seconds without a byte before a connection counts as dropped.
        pause: seconds before the second round; doubled each time.
        traffic: what all files share.
    """

    retries: int
    timeout: float
    pause: float = FIRST_PAUSE
    traffic: Traffic = field(default_factory=Traffic)

    def fetch(self, file: RawFile, work: Path, causes: list[str]) -> Path | None:
        """Bring a file to `<work>/<name>.part` and check it.

        Args:
            file: what to bring.
            work: folder of unfinished downloads; made when needed.
            causes: gets a line for each address that failed.

        Returns:
            The checked file, or None if no address gave it.

        Raises:
            RawDataError: the disk has no room for it; or it is optional, and an address that
                may have it did not answer.
            Stopped: `traffic` was stopped.
        """
        work.mkdir(parents=True, exist_ok=True)
        part = Part(work / f"{file.name}.part")
        addresses = [_Address(url) for url in file.urls]
        with self._client() as client:
            had = self._patiently(client, file, part, addresses)
        causes += [f"  {shown(one.url)}: {one.failure}" for one in addresses if not had]
        if not (had or file.required or all(one.refused for one in addresses)):
            tried = "\n".join(causes)
            raise RawDataError(
                f"{file.name}: may be there, and could not be had\n{tried}\nRun again to go on"
            )
        return part.path if had else None

    def _client(self) -> httpx.Client:
        limits = httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_TIMEOUT))
        return httpx.Client(timeout=limits, follow_redirects=True)

    def _patiently(
        self, client: httpx.Client, file: RawFile, part: Part, addresses: list[_Address]
    ) -> bool:
        failed = 0  # rounds in a row
        while True:
            before = _had(part)
            if self._round(client, file, part, addresses):
                return True
            left = [one.not_before for one in addresses if not one.refused]
            failed = 0 if _had(part) - before >= PROGRESS else failed
            if not left or failed == self.retries:
                return False
            self.traffic.sleep(max(self._pause(failed), min(left) - time.monotonic()))
            failed += 1

    def _pause(self, failed: int) -> float:
        """Return the seconds to wait after so many rounds in vain and one more."""
        return min(self.pause * 2.0**failed, LONGEST_PAUSE)

    def _round(
        self, client: httpx.Client, file: RawFile, part: Part, addresses: list[_Address]
    ) -> bool:
        """Try each address once, the one that a part came from first."""
        now = time.monotonic()
        ready = [one for one in addresses if not one.refused and one.not_before <= now]
        for address in sorted(ready, key=lambda one: one.url not in _begun(part)):
            logger.info("%s: from %s", file.name, shown(address.url))
            try:
                _check_part(part, file, resumed=self._bring(client, address, part))
            except (Refused, httpx.TooManyRedirects) as error:
                address.failure, address.refused = str(error), True
            except (Interrupted, httpx.RequestError) as error:
                _note(address, error)
                if _had(part):
                    break  # go on from here after a pause, not anew from elsewhere
            else:
                return True
        return False

    def _bring(self, client: httpx.Client, address: _Address, part: Part) -> bool:
        """Bring the part to the file's end; tell whether an earlier attempt had begun it."""
        url, in_ranges = address.url, part.ranges
        if remote.is_remote(url):
            with self.traffic.turn():
                origin = remote.origin(url)
            return self._in_ranges(origin, part)
        if in_ranges.url == url and not address.in_one_piece:
            known = in_ranges.version, in_ranges.size
            return self._in_ranges(ranges.http_origin(client, url, *known, self.timeout), part)
        split = self.traffic.connections > 1 and not address.in_one_piece
        with self.traffic.turn():
            brought = one_stream.bring(
                client, url, part, self.traffic, self.timeout, split=split
            )
        return brought if isinstance(brought, bool) else self._in_ranges(brought, part)

    def _in_ranges(self, origin: ranges.Origin, part: Part) -> bool:
        path = part.ranges.path
        with (
            self.traffic.room(path, origin.size, origin.url),
            bar(path, 0, origin.size) as shown,
        ):
            return ranges.bring(origin, part, self.traffic, shown)


def _begun(part: Part) -> set[str]:
    """Return the addresses that there is something from."""
    return {part.url, part.ranges.url}


def _had(part: Part) -> int:
    """Return the bytes that have arrived."""
    return part.size + part.ranges.had


def _note(address: _Address, error: Exception) -> None:
    """Note what an address said that may give the file later."""
    address.failure = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, Interrupted):
        address.not_before = time.monotonic() + error.pause
        address.in_one_piece = address.in_one_piece or isinstance(error, NoRanges)
    logger.warning("%s: %s", shown(address.url), address.failure)


def _check_part(part: Part, file: RawFile, *, resumed: bool) -> None:
    try:
        check(part.path, file)
    except RawDataError as error:
        part.drop()
        # What an earlier run left may be at fault: then the whole file may yet be right.
        raise (Interrupted if resumed else Refused)(str(error)) from None
