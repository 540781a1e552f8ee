"""Fetch many pictures at once, each into a file of its own, patiently and within limits.

Not a stage: what `images` does before it packs. A file has its final name only when it is
whole, so a run that was stopped goes on where it was. How a single host is spared is in
`picture_hosts`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tqdm import tqdm

from pipeline.params import Images
from pipeline.picture_answers import Later, check_status, save
from pipeline.picture_hosts import Host, Hosts
from pipeline.picture_table import NotHad, not_written
from pipeline.retry_after import retry_after

USER_AGENT = f"mcln-pipeline (pictures of a catalogue) python-httpx/{httpx.__version__}"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a retry; doubled each time
TIMEOUTS_PER_PICTURE = 10  # a server that sends a byte now and then is given up after these
REDIRECTS = 5  # in a row
BUSY = {429, 503}  # too many requests, unavailable: said of the host, not of one picture
UNREACHABLE = 50  # pictures without an answer, and none with: there is no network


class Fetched(NamedTuple):
    """What `fetch` could not have."""

    failures: dict[str, str]  # address -> reason
    stopped: bool  # so many failed, or no server answers at all, that the rest was not tried


class _Enough(Exception):  # noqa: N818 (a finding, caught at once)
    """The rest need not be tried."""


def is_address(place: str) -> bool:
    """Tell an http(s) address from a path."""
    return place.lower().startswith(("http://", "https://"))


def kept_file(folder: Path, address: str) -> Path:
    """Return where the file fetched from an address is kept."""
    return folder / hashlib.sha256(address.encode()).hexdigest()


def fetch(addresses: Iterable[str], folder: Path, settings: Images, n_named: int) -> Fetched:
    """Fetch every address that is not in the folder yet.

    Args:
        addresses: http(s), each once.
        folder: where the files are kept, see `kept_file`.
        settings: the section `images` of params.yaml.
        n_named: items that name a picture, of which `max_failed` is a share.

    Returns:
        The reason for each address that could not be had.

    Raises:
        RawDataError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error) from error
    wanted = [address for address in addresses if not kept_file(folder, address).exists()]
    return asyncio.run(_Fetching(folder, settings, n_named).run(wanted))


class _Fetching:
    """One run: the hosts, and what failed so far."""

    def __init__(self, folder: Path, settings: Images, n_named: int) -> None:
        self.folder, self.settings, self.n_named = folder, settings, n_named
        self.hosts = Hosts(settings.connections, settings.connections_per_host)
        self.failures: dict[str, str] = {}
        self.answered = False  # by any server

    async def run(self, addresses: Sequence[str]) -> Fetched:
        # Names are looked up in these threads.
        threads = ThreadPoolExecutor(self.settings.connections)
        asyncio.get_running_loop().set_default_executor(threads)
        bar = tqdm(total=len(addresses), unit="image", desc="fetch", mininterval=1)
        async with _client(self.settings) as client:
            with bar:
                lanes = [
                    asyncio.create_task(self._lane(client, queue, bar))
                    for queue in self._queues(addresses)
                ]
                return Fetched(self.failures, await _end(lanes))

    def _queues(self, addresses: Iterable[str]) -> Iterator[Iterator[str]]:
        """Yield each host's addresses, the same iterator once for each of its connections."""
        by_host: dict[str, list[str]] = {}
        for address in addresses:
            by_host.setdefault(_host_name(address), []).append(address)
        for queue in by_host.values():
            shared = iter(queue)
            for _ in range(min(len(queue), self.settings.connections_per_host)):
                yield shared

    async def _lane(
        self, client: httpx.AsyncClient, queue: Iterator[str], bar: tqdm[Any]
    ) -> None:
        for address in queue:
            try:
                await self._patiently(client, address)
            except NotHad as error:
                self.failures[address] = str(error)
                if self._has_enough():
                    raise _Enough from None
            bar.update()

    def _has_enough(self) -> bool:
        most, failed = self.settings.max_failed, len(self.failures)
        no_network = most < 1 and not self.answered and failed >= UNREACHABLE
        return no_network or failed > most * self.n_named

    async def _patiently(self, client: httpx.AsyncClient, address: str) -> None:
        """Fetch one address into the folder, or raise NotHad."""
        for attempt in range(self.settings.retries):
            try:
                return await self._try(client, address)
            except Later:
                await asyncio.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))
        return await self._try(client, address)

    async def _try(self, client: httpx.AsyncClient, address: str) -> None:
        target = kept_file(self.folder, address)
        try:
            request = client.build_request("GET", address)
            for _ in range(REDIRECTS + 1):
                redirected = await self._hop(client, request, target)
                if redirected is None:
                    return
                request = redirected
        except (httpx.RequestError, httpx.InvalidURL, ValueError) as error:
            raise NotHad(f"not to be fetched ({type(error).__name__})") from error
        raise NotHad(f"more than {REDIRECTS} redirects")

    async def _hop(
        self, client: httpx.AsyncClient, request: httpx.Request, target: Path
    ) -> httpx.Request | None:
        """Send one request; keep the answer, or return the request it is redirected to."""
        if request.url.scheme not in ("http", "https") or not request.url.host:
            raise NotHad("not to be fetched (no http address)")
        host = self.hosts[request.url.host]
        async with self.hosts.turn(host) as started:
            try:
                async with asyncio.timeout(TIMEOUTS_PER_PICTURE * self.settings.timeout):
                    response = await client.send(request, stream=True)
                    try:
                        self.answered = True
                        return await self._keep(response, target, host, started)
                    finally:
                        await response.aclose()
            except (httpx.TransportError, TimeoutError) as error:
                reason = f"no answer ({type(error).__name__})"
                host.silent(reason)
                raise Later(reason) from error

    async def _keep(
        self, response: httpx.Response, target: Path, host: Host, started: float
    ) -> httpx.Request | None:
        code = response.status_code
        if code in BUSY:
            asked = retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
            host.busy(f"HTTP {code}", asked, started)
        elif not response.is_success:
            host.answers()
        if response.next_request is None:
            check_status(code)
            await save(response, target, self.settings.max_megabytes)
            host.answers()
        return response.next_request


async def _end(lanes: list[asyncio.Task[None]]) -> bool:
    """Wait for all lanes, or until one has had enough; tell which."""
    try:
        await asyncio.gather(*lanes)
    except _Enough:
        return True
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
    return False


def _client(settings: Images) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        # Identity: a picture is packed already. No cookies: nobody is logged in.
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=settings.timeout,
        limits=httpx.Limits(max_connections=settings.connections),
    )


def _host_name(address: str) -> str:
    try:
        return httpx.URL(address).host
    except (httpx.InvalidURL, ValueError):
        return ""  # the request says what is wrong with it
