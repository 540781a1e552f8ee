"""Fetch many pictures at once, patiently and within limits: processes x connections.

Each host belongs to one process, which alone knows how it is to be spared; a picture that is
redirected to a host of another process is handed over. What has come is kept in the shards of
`store`, so a run that was stopped goes on where it was. Not a stage: what `images` does
before it packs.
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

from tqdm import tqdm

from pipeline.job.errors import RawDataError
from pipeline.params import Images
from pipeline.pictures.connections import HOPS, Job, Lanes, host_name
from pipeline.pictures.progress import Tally
from pipeline.pictures.store import Kept, Shard

PER_PROCESS = 1000  # pictures; for fewer another process is not worth its start
BAR_SECONDS = 0.5


class Fetched(NamedTuple):
    """What `fetch` could not have."""

    failures: dict[str, str]  # address -> reason
    stopped: bool  # so many failed, or no server answers at all, that the rest was not tried


class _Plan(NamedTuple):
    """Which process a host belongs to."""

    n: int  # processes
    of_host: Mapping[str, int]

    def owner(self, host: str) -> int:
        """Return the process of a host, which may be one that nobody named before."""
        return self.of_host.get(host, zlib.crc32(host.encode()) % self.n)


def is_address(place: str) -> bool:
    """Tell an http(s) address from a path."""
    return place.lower().startswith(("http://", "https://"))


def fetch(addresses: Iterable[str], folder: Path, settings: Images, n_named: int) -> Fetched:
    """Fetch every address that is not in the folder yet.

    Args:
        addresses: http(s), each once.
        folder: where the pictures are kept, see `store`.
        settings: the section `images` of params.yaml.
        n_named: items that name a picture, of which `max_failed` is a share.

    Returns:
        The reason for each address that could not be had.

    Raises:
        RawDataError: a picture cannot be written, or another run is writing.
    """
    with Kept(folder) as kept:
        wanted = kept.absent(addresses)
    if not wanted:
        return Fetched({}, False)
    plan = plan_of(wanted, settings.processes)
    failures: dict[str, str] = {}
    with _workers(plan, folder, settings, n_named) as (workers, tally), _bar(wanted) as bar:
        jobs = [Job(address, address, HOPS) for address in wanted]
        while jobs and not tally.is_enough:
            jobs = _wave(workers, plan, jobs, tally, bar, failures)
        stopped = tally.is_enough
    return Fetched(failures, stopped)


def plan_of(addresses: Sequence[str], processes: int) -> _Plan:
    """Deal the hosts out, the largest first, each to the process that has least to do.

    Args:
        addresses: of all pictures.
        processes: at most.
    """
    sizes = Counter(host_name(address) for address in addresses)
    n = max(1, min(processes, len(sizes), len(addresses) // PER_PROCESS))
    load, of_host = [(0, process) for process in range(n)], {}
    for host, size in sizes.most_common():
        busy, process = heapq.heappop(load)
        of_host[host] = process
        heapq.heappush(load, (busy + size, process))
    return _Plan(n, of_host)


def _wave(
    workers: Sequence[Executor],
    plan: _Plan,
    jobs: Iterable[Job],
    tally: Tally,
    bar: tqdm[Any],
    failures: dict[str, str],
) -> list[Job]:
    """Have every job done by its host's process; return those that have moved elsewhere."""
    shares: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        shares[plan.owner(host_name(job.url))].append(job)
    running = {workers[process].submit(_work, share) for process, share in shares.items()}
    left: list[Job] = []
    while running:
        done, running = wait(running, BAR_SECONDS)
        bar.update(tally.counts[0] - bar.n)
        for one in done:
            failed, moved = one.result()
            failures |= failed
            left += moved
    return left


@contextmanager
def _bar(wanted: Sequence[str]) -> Iterator[tqdm[Any]]:
    with tqdm(total=len(wanted), unit="image", desc="fetch", mininterval=1) as bar:
        yield bar


@contextmanager
def _workers(
    plan: _Plan, folder: Path, settings: Images, n_named: int
) -> Iterator[tuple[list[Executor], Tally]]:
    """Start the processes; a single one is a thread of this. End them with the block."""
    context = multiprocessing.get_context("spawn")  # not forked: there are threads
    here = plan.n == 1
    counts: Any = [0] * 4 if here else context.Array("q", 4, lock=False)
    tally = Tally(counts, threading.Lock() if here else context.Lock(), settings, n_named)
    with ExitStack() as stack:
        workers: list[Executor] = []
        for number in range(plan.n):
            own = (number, plan, folder, settings, tally)
            executor: Executor = (
                ThreadPoolExecutor(1, initializer=_begin, initargs=own)
                if here
                else ProcessPoolExecutor(1, context, initializer=_begin, initargs=own)
            )
            workers.append(stack.enter_context(executor))
        try:
            yield workers, tally
        except BrokenProcessPool as error:
            raise RawDataError(
                "images: a process that fetched pictures was killed; run the stage again (what "
                "was fetched is kept)"
            ) from error
        finally:
            tally.stop()  # where the block raised, others are still at work
            for worker in workers:
                with suppress(BrokenProcessPool):
                    worker.submit(_end)


class _Fetching:
    """What one process keeps from wave to wave."""

    def __init__(
        self, number: int, plan: _Plan, folder: Path, settings: Images, tally: Tally
    ) -> None:
        self.runner = asyncio.Runner()  # its hosts belong to one event loop
        self.lanes: Lanes | None = None
        self.number, self.plan, self.folder = number, plan, folder
        self.settings, self.tally = settings, tally

    def run(self, jobs: Sequence[Job]) -> tuple[dict[str, str], list[Job]]:
        lanes = self.lanes = self.lanes or self._open()
        lanes.failures, lanes.elsewhere = {}, []
        self.runner.run(lanes.run(jobs))
        return lanes.failures, lanes.elsewhere

    def _open(self) -> Lanes:
        connections = max(1, self.settings.connections // self.plan.n)
        # Names are looked up in these threads.
        self.runner.get_loop().set_default_executor(ThreadPoolExecutor(connections))
        shard = Shard(self.folder, self.number)
        return Lanes(shard, self.settings, connections, self.tally, self._is_ours)

    def _is_ours(self, host: str) -> bool:
        return self.plan.owner(host) == self.number

    def close(self) -> None:
        if self.lanes:
            self.lanes.shard.close()
        self.runner.close()


_own = threading.local()


def _begin(*arguments: Any) -> None:
    _own.fetching = _Fetching(*arguments)


def _work(jobs: Sequence[Job]) -> tuple[dict[str, str], list[Job]]:
    return _own.fetching.run(jobs)  # type: ignore[no-any-return]


def _end() -> None:
    _own.fetching.close()
