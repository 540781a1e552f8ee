"""One process that fetches pictures: the connections to its hosts, and what they bring.

Not a stage: a part of `fetch`. How a single host is spared is in `hosts`. A
host's name is looked up once in five minutes, however many pictures come from it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp

from pipeline.params import Images
from pipeline.pictures.answers import Later, check_status, next_address, read, url
from pipeline.pictures.hosts import Host, Hosts
from pipeline.pictures.progress import Tally
from pipeline.pictures.store import Shard
from pipeline.pictures.table import NotHad
from pipeline.transfer.retry_after import retry_after

USER_AGENT = f"mcln-pipeline (pictures of a catalogue) python-aiohttp/{aiohttp.__version__}"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a retry; doubled each time
TIMEOUTS_PER_PICTURE = 10  # a server that sends a byte now and then is given up after these
HOPS = 5  # redirects in a row
WATCH_SECONDS = 0.2
DNS_SECONDS = 300  # a name's address is taken to be the same for so long
BUSY = {429, 503}  # too many requests, unavailable: said of the host, not of one picture
NO_ADDRESS = "not to be fetched (no http address)"


class _Enough(Exception):  # noqa: N818 (a finding, caught at once)
    """The rest need not be tried."""


class Job(NamedTuple):
    """A picture to be fetched."""

    address: str  # as the items say it
    url: str  # where it was last redirected to
    hops: int  # redirects that may still follow


class Lanes:
    """The connections of one process; used within one event loop.

    Args:
        shard: where the pictures go.
        settings: the section `images` of params.yaml.
        connections: at once, of this process.
        tally: what all processes have done.
        is_ours: whether a host is one of this process.
    """

    def __init__(
        self,
        shard: Shard,
        settings: Images,
        connections: int,
        tally: Tally,
        is_ours: Callable[[str], bool],
    ) -> None:
        self.shard, self.settings, self.tally, self.is_ours = shard, settings, tally, is_ours
        self.connections = connections
        self.hosts = Hosts(connections, settings.connections_per_host)
        self.failures: dict[str, str] = {}
        self.elsewhere: list[Job] = []  # redirected to a host of another process

    async def run(self, jobs: Iterable[Job]) -> None:
        """Fetch all, or until so many failed that it is enough.

        Raises:
            RawDataError: a picture cannot be written.
        """
        async with _session(self.settings, self.connections) as session:
            lanes = [
                asyncio.create_task(self._lane(session, queue)) for queue in self._queues(jobs)
            ]
            watch: asyncio.Future[Any] = asyncio.create_task(self._watch())
            working: asyncio.Future[Any] = asyncio.gather(*lanes)
            try:
                await asyncio.wait([working, watch], return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    with suppress(_Enough):
                        working.result()
            finally:
                for task in (watch, *lanes):
                    task.cancel()
                await asyncio.gather(watch, working, return_exceptions=True)
        self.shard.commit()

    async def _watch(self) -> None:
        """Return when it is enough; end the process when the one that started it was killed."""
        parent = multiprocessing.parent_process()
        while not self.tally.is_enough:
            await asyncio.sleep(WATCH_SECONDS)
            if parent is not None and not parent.is_alive():
                self.shard.commit()
                os._exit(1)

    def _queues(self, jobs: Iterable[Job]) -> Iterator[Iterator[Job]]:
        """Yield each host's jobs, the same iterator once for each of its connections."""
        by_host: dict[str, list[Job]] = defaultdict(list)
        for job in jobs:
            by_host[host_name(job.url)].append(job)
        for queue in by_host.values():
            shared = iter(queue)
            for _ in range(min(len(queue), self.settings.connections_per_host)):
                yield shared

    async def _lane(self, session: aiohttp.ClientSession, queue: Iterator[Job]) -> None:
        for job in queue:
            if self.tally.is_enough:
                return
            try:
                moved = await self._patiently(session, job)
            except NotHad as error:
                self.failures[job.address] = str(error)
                self.shard.fail(job.address, str(error))
                self.tally.failed()
                if self.tally.is_enough:
                    raise _Enough from None
            else:
                self.elsewhere += [moved] if moved else []
                self.tally.done(not moved)

    async def _patiently(self, session: aiohttp.ClientSession, job: Job) -> Job | None:
        """Fetch one picture into the shard, or raise NotHad.

        Returns:
            What is left to do if it is redirected to a host of another process.
        """
        for attempt in range(self.settings.retries):
            with suppress(Later):
                return await self._try(session, job)
            await asyncio.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))
        return await self._try(session, job)

    async def _try(self, session: aiohttp.ClientSession, job: Job) -> Job | None:
        try:
            for _ in range(job.hops + 1):
                if not self.is_ours(host_name(job.url)):
                    return job
                redirected = await self._hop(session, job)
                if redirected is None:
                    return None
                job = Job(job.address, redirected, job.hops - 1)
        except (aiohttp.ClientError, ValueError) as error:
            raise NotHad(f"not to be fetched ({type(error).__name__})") from error
        raise NotHad(f"more than {HOPS} redirects")

    async def _hop(self, session: aiohttp.ClientSession, job: Job) -> str | None:
        """Send one request; keep the answer, or return the address it is redirected to."""
        target = url(job.url)
        if target.scheme not in ("http", "https") or not target.host:
            raise NotHad(NO_ADDRESS)
        host = self.hosts[target.host]
        async with self.hosts.turn(host) as started:
            try:
                async with session.get(target, allow_redirects=False) as response:
                    self.tally.answered()
                    return await self._keep(response, job.address, host, started)
            except aiohttp.InvalidURL:
                raise
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = f"no answer ({type(error).__name__})"
                host.silent(reason)
                raise Later(reason) from error

    async def _keep(
        self, response: aiohttp.ClientResponse, address: str, host: Host, started: float
    ) -> str | None:
        code = response.status
        if code in BUSY:
            asked = retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
            host.busy(f"HTTP {code}", asked, started)
        elif code >= 300:
            host.answers()
        redirected = next_address(response)
        if redirected is not None:
            return str(redirected)
        check_status(code)
        self.shard.add(address, await read(response, self.settings.max_megabytes))
        host.answers()
        return None


def host_name(address: str) -> str:
    """Return the host of an address; '' where it has none."""
    try:
        return url(address).host or ""
    except ValueError:
        return ""  # the request says what is wrong with it


def _session(settings: Images, connections: int) -> aiohttp.ClientSession:
    patience = aiohttp.ClientTimeout(
        total=TIMEOUTS_PER_PICTURE * settings.timeout,
        sock_connect=settings.timeout,
        sock_read=settings.timeout,
    )
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=DNS_SECONDS),
        # Identity: a picture is packed already. No cookies: nobody is logged in.
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=patience,
        auto_decompress=False,
        trust_env=True,  # proxies
    )
