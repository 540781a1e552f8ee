"""How one host is treated when many pictures come from it: in turns, at its pace, not for ever.

Not a stage: what `fetch` asks before each request. A host has a few connections; while
it answers 429 or 503 all of them wait together, for as long as it asks, and then go on with
gaps between the requests that grow with each such answer and shrink with each other one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipeline.pictures.table import NotHad
from pipeline.transfer.retry_after import LONGEST_WAIT

FIRST_GAP, LONGEST_GAP = 0.25, 10.0  # seconds between requests of a host that is too busy
SHRINK, NO_GAP = 0.9, 0.02  # the gap after each good answer; seconds below which there is none
# A host is given up after so many requests in a row, over so many seconds, without an answer.
IN_VAIN, IN_VAIN_SECONDS = 20, 60.0


class Host:
    """One host; used within one event loop.

    Args:
        connections: requests to it at once.
    """

    def __init__(self, connections: int) -> None:
        self.slots = asyncio.Semaphore(connections)
        self._left_alone = ""  # the reason, once it is
        self._next = self._gap = self._slowed = 0.0  # seconds of time.monotonic
        self._in_vain, self._since = 0, 0.0

    def wait(self) -> float:
        """Return the seconds until the next request may start.

        Raises:
            NotHad: the host is left alone for the rest of the run.
        """
        if self._left_alone:
            raise NotHad(f"its host is left alone: {self._left_alone}")
        return max(0.0, self._next - time.monotonic())

    def start(self) -> float:
        """Note that a request starts; return when, for `busy`."""
        now = time.monotonic()
        self._next = now + self._gap
        return now

    def answers(self) -> None:
        """Note an answer other than `busy`."""
        self._in_vain = 0
        self._gap = self._gap * SHRINK if self._gap > NO_GAP else 0.0

    def busy(self, reason: str, pause: float, started: float) -> None:
        """Note an answer 429 or 503.

        Args:
            reason: the status.
            pause: seconds that it asks for; 0 if it does not say.
            started: what `start` returned for the request.
        """
        self._in_vain = 0
        if pause > LONGEST_WAIT:
            self._left_alone = f"{reason} with Retry-After {pause:.0f} s"
        # Requests that were under way together are one sign, not many.
        if started >= self._slowed:
            self._gap = min(max(2 * self._gap, FIRST_GAP), LONGEST_GAP)
            self._slowed = time.monotonic()
        self._next = max(self._next, time.monotonic() + max(pause, self._gap))

    def silent(self, reason: str) -> None:
        """Note a request without an answer."""
        now = time.monotonic()
        self._since = self._since if self._in_vain else now
        self._in_vain += 1
        if self._in_vain >= IN_VAIN and now - self._since >= IN_VAIN_SECONDS:
            self._left_alone = f"{self._in_vain} requests in a row got {reason}"


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
    async def turn(self, host: Host) -> AsyncIterator[float]:
        """Wait until a request to the host may start; hold the connection for the block.

        A host that makes us wait holds none of the shared connections meanwhile.

        Yields:
            When it started, for `Host.busy`.

        Raises:
            NotHad: the host is left alone for the rest of the run.
        """
        async with host.slots:
            while True:
                await asyncio.sleep(host.wait())
                async with self._all:
                    if host.wait() == 0:
                        yield host.start()
                        return
