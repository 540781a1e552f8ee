"""Fetch many pictures at once, within limits: processes x connections.

Each host belongs to one process, which alone limits the requests to it; a picture that is
redirected to a host of another process is handed over. What has arrived is kept in the shards
of `store`, so a run that was stopped is resumed.
"""

from __future__ import annotations

import asyncio
import heapq
import multiprocessing
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.job.errors import RawDataError
from pipeline.job.progress import Bar
from pipeline.params import Images
from pipeline.pictures.connections import HOPS, Connections, Job
from pipeline.pictures.hosts import host_name
from pipeline.pictures.progress import Progress
from pipeline.pictures.store import Shard, Store

PER_PROCESS = 1000  # pictures; fewer are not worth the start of another process
BAR_SECONDS = 0.5


class Fetched(NamedTuple):
    """The outcome of `fetch`."""

    failures: dict[str, str]  # address -> reason
    is_stopped: bool  # continuing was pointless, and the rest was not tried


class _Plan(NamedTuple):
    """Which process a host belongs to."""

    n: int  # processes
    of_host: Mapping[str, int]

    def owner(self, host: str) -> int:
        """Return the process of a host, which may be one that no address named."""
        return self.of_host.get(host, zlib.crc32(host.encode()) % self.n)


def fetch(addresses: Iterable[str], folder: Path, settings: Images, n_named: int) -> Fetched:
    """Fetch every address that is not in the folder yet.

    Args:
        addresses: http(s), each once.
        folder: where the pictures are kept, see `store`.
        settings: the section `images` of params.yaml.
        n_named: items that name a picture, of which `max_failed` is a share.

    Returns:
        The reason for each address that is unavailable.

    Raises:
        NotWritten: a picture cannot be written.
        RawDataError: another run is writing.
    """
    with Store(folder) as store:
        wanted = store.absent(addresses)
    if not wanted:
        return Fetched({}, False)
    plan = plan_of(wanted, settings.processes)
    failures: dict[str, str] = {}
    with (
        _workers(plan, folder, settings, n_named) as (workers, progress),
        Bar(total=len(wanted), unit="image", desc="fetch") as bar,
    ):
        jobs = [Job(address, address, HOPS) for address in wanted]
        while jobs and not progress.is_stopped:
            jobs = _wave(workers, plan, jobs, progress, bar, failures)
        return Fetched(failures, progress.is_stopped)


def plan_of(addresses: Sequence[str], processes: int) -> _Plan:
    """Assign the hosts, the largest first, each to the process with the least work.

    Args:
        addresses: of all pictures.
        processes: at most.
    """
    sizes = Counter(host_name(address) for address in addresses)
    n = max(1, min(processes, len(sizes), len(addresses) // PER_PROCESS))
    loads, of_host = [(0, process) for process in range(n)], {}
    for host, size in sizes.most_common():
        load, process = heapq.heappop(loads)
        of_host[host] = process
        heapq.heappush(loads, (load + size, process))
    return _Plan(n, of_host)


def _wave(
    workers: Sequence[Executor],
    plan: _Plan,
    jobs: Iterable[Job],
    progress: Progress,
    bar: Bar,
    failures: dict[str, str],
) -> list[Job]:
    """Have every job done by its host's process; return those that have moved elsewhere."""
    shares: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        shares[plan.owner(host_name(job.url))].append(job)
    running = {workers[process].submit(_work, share) for process, share in shares.items()}
    moved: list[Job] = []
    while running:
        done, running = wait(running, BAR_SECONDS)
        bar.update(progress.counts[0] - bar.n)
        for share in done:
            share_failures, share_moved = share.result()
            failures |= share_failures
            moved += share_moved
    return moved


@contextmanager
def _workers(
    plan: _Plan, folder: Path, settings: Images, n_named: int
) -> Iterator[tuple[list[Executor], Progress]]:
    """Start the processes, and end them with the block; a single one is a thread instead."""
    context = multiprocessing.get_context("spawn")  # not forked: there are threads
    in_thread = plan.n == 1
    counts: Any = [0] * 4 if in_thread else context.Array("q", 4, lock=False)
    lock = threading.Lock() if in_thread else context.Lock()
    progress = Progress(counts, lock, settings, n_named)
    with ExitStack() as stack:
        workers: list[Executor] = []
        for number in range(plan.n):
            arguments = (number, plan, folder, settings, progress)
            executor: Executor = (
                ThreadPoolExecutor(1, initializer=_begin, initargs=arguments)
                if in_thread
                else ProcessPoolExecutor(1, context, initializer=_begin, initargs=arguments)
            )
            workers.append(stack.enter_context(executor))
        try:
            yield workers, progress
        except BrokenProcessPool as error:
            raise RawDataError(
                "images: a process that fetched pictures was killed; run the stage again (what "
                "was fetched is kept)"
            ) from error
        finally:
            progress.stop()  # if the block raised, others are still working
            for worker in workers:
                with suppress(BrokenProcessPool):
                    worker.submit(_end)


class _Worker:
    """What one process keeps from wave to wave."""

    def __init__(
        self, number: int, plan: _Plan, folder: Path, settings: Images, progress: Progress
    ) -> None:
        self.runner = asyncio.Runner()  # its hosts belong to one event loop
        self.connections: Connections | None = None
        self.number, self.plan, self.folder = number, plan, folder
        self.settings, self.progress = settings, progress

    def run(self, jobs: Sequence[Job]) -> tuple[dict[str, str], list[Job]]:
        connections = self.connections = self.connections or self._open()
        connections.failures, connections.elsewhere = {}, []
        self.runner.run(connections.run(jobs))
        return connections.failures, connections.elsewhere

    def _open(self) -> Connections:
        n_connections = max(1, self.settings.connections // self.plan.n)
        # The names of hosts are looked up in these threads.
        self.runner.get_loop().set_default_executor(ThreadPoolExecutor(n_connections))
        shard = Shard(self.folder, self.number)
        return Connections(shard, self.settings, n_connections, self.progress, self._is_ours)

    def _is_ours(self, host: str) -> bool:
        return self.plan.owner(host) == self.number

    def close(self) -> None:
        if self.connections:
            self.connections.shard.close()
        self.runner.close()


_local = threading.local()


def _begin(*arguments: Any) -> None:
    _local.worker = _Worker(*arguments)


def _work(jobs: Sequence[Job]) -> tuple[dict[str, str], list[Job]]:
    return _local.worker.run(jobs)  # type: ignore[no-any-return]


def _end() -> None:
    _local.worker.close()
