"""Per-host limits, back-off and giving up.

A host has a few connections. While it answers 429 or 503 all of them wait together, for as long
as it asks, and then go on with gaps between the requests that grow with each such response and
shrink with each other one.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from pipeline.transfer.status import LONGEST_WAIT, Unavailable

FIRST_GAP, LONGEST_GAP = 0.25, 10.0  # seconds between requests to a busy host
SHRINK, NO_GAP = 0.9, 0.02  # of the gap after each good response; seconds that count as no gap
# A host is given up after so many requests in a row, over so many seconds, without a response.
MAX_SILENT, MAX_SILENT_SECONDS = 20, 60.0
PLAIN = re.compile(r"[!-~]+")  # ASCII without blanks and control characters


class Host:
    """One host; used within one event loop.

    Args:
        connections: requests to it at once.
    """

    def __init__(self, connections: int) -> None:
        self.slots = asyncio.Semaphore(connections)
        self._given_up = ""  # the reason, once it is
        self._next = self._gap = self._slowed = 0.0  # seconds of time.monotonic
        self._n_silent, self._silent_since = 0, 0.0

    def wait(self) -> float:
        """Return the seconds until the next request may start.

        Raises:
            Unavailable: the host is given up for the rest of the run.
        """
        if self._given_up:
            raise Unavailable(f"its host is left alone: {self._given_up}")
        return max(0.0, self._next - time.monotonic())

    def start(self) -> float:
        """Note that a request starts; return when, for `busy`."""
        now = time.monotonic()
        self._next = now + self._gap
        return now

    def responded(self) -> None:
        """Note a response other than `busy`."""
        self._n_silent = 0
        self._gap = self._gap * SHRINK if self._gap > NO_GAP else 0.0

    def busy(self, reason: str, pause: float, started: float) -> None:
        """Note a response 429 or 503.

        Args:
            reason: the status.
            pause: seconds that it asks to wait; 0 if it does not ask.
            started: what `start` returned for the request.
        """
        self._n_silent = 0
        if pause > LONGEST_WAIT:
            self._given_up = f"{reason} with Retry-After {pause:.0f} s"
        # Requests that ran at the same time are one sign, not many.
        if started >= self._slowed:
            self._gap = min(max(2 * self._gap, FIRST_GAP), LONGEST_GAP)
            self._slowed = time.monotonic()
        self._next = max(self._next, time.monotonic() + max(pause, self._gap))

    def silent(self, reason: str) -> None:
        """Note a request without a response."""
        now = time.monotonic()
        self._silent_since = self._silent_since if self._n_silent else now
        self._n_silent += 1
        if self._n_silent >= MAX_SILENT and now - self._silent_since >= MAX_SILENT_SECONDS:
            self._given_up = f"{self._n_silent} requests in a row got {reason}"


class Hosts:
    """All hosts, by name, and the connections that they share.

    Args:
        connections: requests at once, to all together.
        per_host: requests at once, to each.
    """

    def __init__(self, connections: int, per_host: int) -> None:
        self._all = asyncio.Semaphore(connections)
        self._per_host = per_host
        self._hosts: dict[str, Host] = {}

    def __getitem__(self, name: str) -> Host:
        """Return the host of a name, which may be new."""
        if name not in self._hosts:
            self._hosts[name] = Host(self._per_host)
        return self._hosts[name]

    @asynccontextmanager
    async def connection(self, host: Host) -> AsyncIterator[float]:
        """Wait until a request to the host may start; hold the connection for the block.

        While a host has to be waited for, it holds none of the shared connections.

        Yields:
            When it started, for `Host.busy`.

        Raises:
            Unavailable: the host is given up for the rest of the run.
        """
        async with host.slots:
            while True:
                await asyncio.sleep(host.wait())
                async with self._all:
                    if host.wait() == 0:
                        yield host.start()
                        return


def is_address(place: str) -> bool:
    """Whether a place is an http(s) address rather than a path."""
    return place.lower().startswith(("http://", "https://"))


def parse_url(address: str) -> URL:
    """Return an address as a URL.

    Raises:
        ValueError: it is not one.
    """
    # Unchanged, where that can be sent: some servers sign it.
    return URL(address, encoded=PLAIN.fullmatch(address) is not None)


def host_name(address: str) -> str:
    """Return the host of an address; '' if it has none."""
    try:
        return parse_url(address).host or ""
    except ValueError:
        return ""  # the request reports what is wrong with it
