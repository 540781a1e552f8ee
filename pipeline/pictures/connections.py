"""One process that fetches pictures: its connections, and reading the responses.

`hosts` limits the requests to each host. A host's name is looked up once in five minutes,
however many pictures come from it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp

from pipeline.params import Images
from pipeline.pictures.hosts import Host, Hosts, host_name, parse_url
from pipeline.pictures.progress import Progress
from pipeline.pictures.store import Shard
from pipeline.pictures.table import too_large
from pipeline.pictures.targets import Targets
from pipeline.transfer import status
from pipeline.transfer.status import TemporaryFailure, Unavailable

USER_AGENT = f"mcln-pipeline (pictures of a catalogue) python-aiohttp/{aiohttp.__version__}"
TIMEOUTS_PER_PICTURE = 10  # a response that trickles in is given up after so many
HOPS = 5  # redirects in a row
REDIRECTS = {301, 302, 303, 307, 308}
WATCH_SECONDS = 0.2
DNS_SECONDS = 300  # a host's address is reused for so long
GZIP = 16 + zlib.MAX_WBITS  # zlib's number for the format
NO_ADDRESS = "not to be fetched (no http address)"


class _Stopped(Exception):  # noqa: N818 (caught at once)
    """The remaining pictures need not be tried."""


class Job(NamedTuple):
    """A picture to be fetched."""

    address: str  # as the item names it
    url: str  # where it was last redirected to
    hops: int  # redirects that may still follow


class Connections:
    """The connections of one process; used within one event loop.

    Args:
        shard: where the pictures go.
        settings: the section `images` of params.yaml.
        n_connections: at once, of this process.
        progress: of all processes.
        is_ours: whether this process fetches from a host.
    """

    def __init__(
        self,
        shard: Shard,
        settings: Images,
        n_connections: int,
        progress: Progress,
        is_ours: Callable[[str], bool],
    ) -> None:
        self.shard, self.settings, self.progress = shard, settings, progress
        self.is_ours, self.n_connections = is_ours, n_connections
        self.hosts = Hosts(n_connections, settings.connections_per_host)
        self.targets = Targets(settings.allow_private)
        self.failures: dict[str, str] = {}
        self.elsewhere: list[Job] = []  # redirected to a host of another process

    async def run(self, jobs: Iterable[Job]) -> None:
        """Fetch all, or until so many failed that continuing is pointless.

        Raises:
            NotWritten: a picture cannot be written.
        """
        async with self._session() as session:
            workers = [
                asyncio.create_task(self._work(session, queue)) for queue in self._queues(jobs)
            ]
            watch: asyncio.Future[Any] = asyncio.create_task(self._watch())
            working: asyncio.Future[Any] = asyncio.gather(*workers)
            try:
                await asyncio.wait([working, watch], return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    with suppress(_Stopped):
                        working.result()
            finally:
                for task in (watch, *workers):
                    task.cancel()
                await asyncio.gather(watch, working, return_exceptions=True)
        self.shard.commit()

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(
            total=TIMEOUTS_PER_PICTURE * self.settings.timeout,
            sock_connect=self.settings.timeout,
            sock_read=self.settings.timeout,
        )
        connector = aiohttp.TCPConnector(
            limit=self.n_connections,
            ttl_dns_cache=DNS_SECONDS,
            resolver=self.targets.resolver(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            # Identity: a picture is compressed already. No cookies: there is no log-in.
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            auto_decompress=False,
            trust_env=False,  # it would send the passwords of ~/.netrc
        )

    async def _watch(self) -> None:
        """Return when stopped; end the process if the one that started it was killed."""
        parent = multiprocessing.parent_process()
        while not self.progress.is_stopped:
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

    async def _work(self, session: aiohttp.ClientSession, queue: Iterator[Job]) -> None:
        for job in queue:
            if self.progress.is_stopped:
                return
            try:
                moved = await self._retry(session, job)
            except Unavailable as error:
                self.failures[job.address] = str(error)
                self.shard.fail(job.address, str(error))
                self.progress.add_failed()
                if self.progress.is_stopped:
                    raise _Stopped from None
            else:
                self.elsewhere += [moved] if moved else []
                self.progress.add_done(not moved)

    async def _retry(self, session: aiohttp.ClientSession, job: Job) -> Job | None:
        """Fetch one picture into the shard, or raise Unavailable.

        Returns:
            What is left to do if it is redirected to a host of another process.
        """
        for failures in range(self.settings.retries):
            with suppress(TemporaryFailure):
                return await self._follow(session, job)
            await asyncio.sleep(status.growing_pause(failures, status.FIRST_PAUSE))
        return await self._follow(session, job)

    async def _follow(self, session: aiohttp.ClientSession, job: Job) -> Job | None:
        """Fetch one picture, through redirects."""
        try:
            for _ in range(job.hops + 1):
                if not self.is_ours(host_name(job.url)):
                    return job
                redirected = await self._request(session, job)
                if redirected is None:
                    return None
                job = Job(job.address, redirected, job.hops - 1)
        except (aiohttp.ClientError, ValueError) as error:
            raise Unavailable(f"not to be fetched ({type(error).__name__})") from error
        raise Unavailable(f"more than {HOPS} redirects")

    async def _request(self, session: aiohttp.ClientSession, job: Job) -> str | None:
        """Send one request; save the body, or return the address it is redirected to."""
        target = parse_url(job.url)
        if target.scheme not in ("http", "https") or not target.host:
            raise Unavailable(NO_ADDRESS)
        proxy = self.targets.proxy(target)
        host = self.hosts[target.host]
        async with self.hosts.connection(host) as started:
            try:
                async with session.get(target, proxy=proxy, allow_redirects=False) as response:
                    self.progress.add_response()
                    return await self._save(response, job.address, host, started)
            except aiohttp.InvalidURL:
                raise
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = f"no answer ({type(error).__name__})"
                host.silent(reason)
                raise TemporaryFailure(reason) from error

    async def _save(
        self, response: aiohttp.ClientResponse, address: str, host: Host, started: float
    ) -> str | None:
        code = response.status
        if code in status.BUSY:
            host.busy(f"HTTP {code}", status.requested_pause(response.headers), started)
        elif code >= 300:
            host.responded()
        if code in REDIRECTS and "Location" in response.headers:
            return str(response.url.join(parse_url(response.headers["Location"])))
        status.check_status(code)  # the host waits, not this picture alone
        self.shard.add(address, await read_body(response, self.settings.max_megabytes))
        host.responded()
        return None


async def read_body(response: aiohttp.ClientResponse, max_megabytes: float) -> bytes:
    """Return a response's body; read and unpack no more than is allowed.

    Args:
        response: a success whose body was not read yet.
        max_megabytes: of the body, unpacked.

    Raises:
        Unavailable: it is larger, or compressed in an unsupported way.
        aiohttp.ClientError, TimeoutError: the body ends early, or no more of it comes.
    """
    most, body = int(max_megabytes * 1e6), bytearray()
    unpack = _unpacker(response.headers.get("Content-Encoding", "identity").lower())
    async for chunk in response.content.iter_any():
        body += unpack(chunk, most + 1 - len(body))
        if len(body) > most:
            raise Unavailable(too_large(max_megabytes))
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Return a function from a chunk and a limit to at most so many unpacked bytes of it.

    Compression was not asked for, but some servers store pictures that way.
    """
    if encoding in ("", "identity"):
        return lambda chunk, _: chunk
    if encoding not in ("gzip", "x-gzip"):
        raise Unavailable(f"sent as {encoding}, though unpacked was asked for")
    gzip = zlib.decompressobj(GZIP)

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            return gzip.decompress(chunk, most)
        except zlib.error as error:
            raise Unavailable("sent as gzip, and is not") from error

    return unpack
