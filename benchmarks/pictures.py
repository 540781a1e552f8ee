"""Pictures per second and peak memory of stage `images`, compared with a plain loop.

    PYTHONPATH=. python benchmarks/pictures.py

A server on loopback, in a separate process, answers every address with the same small JPEG
under eight host names, at once or after 20 ms, as a server in the same country would. Timed are
fetching alone, with one process and with two, and the whole stage: fetch, decode, pack. The
loop requests one picture at a time with httpx over a persistent connection, and writes each to
a file. Everything runs in one call, so that other programs slow all alike. Then the peak memory
of the stage at two sizes (Linux).
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from pipeline import images
from pipeline.params import Images
from pipeline.pictures.fetch import fetch

PICTURES, LOOPED, SIZES = 20_000, 500, (20_000, 40_000)
DELAYS = (0, 20)  # milliseconds
HOSTS = [f"127.0.1.{n}" for n in range(1, 9)]
SIDE = 96  # pixels; some 5 kB of noise
HELD_TO = 8  # times the loop, where the server takes its time
MILLION = 1_000_000


class Server(asyncio.Protocol):
    """Answers every request with one picture."""

    answer = b""

    def connection_made(self, transport: Any) -> None:
        """Store the transport."""
        self.transport, self.asked = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        *requests, self.asked = (self.asked + data).split(b"\r\n\r\n")
        for request in requests:
            later = int(request.split(b"/", 2)[1]) / 1000
            if later:
                asyncio.get_running_loop().call_later(later, self.transport.write, self.answer)
            else:
                self.transport.write(self.answer)


def serve(port: Any) -> None:
    """Serve until killed; put the port into `port`."""
    file = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 60).convert("RGB").save(file, "JPEG")
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {file.tell()}\r\n\r\n"
    Server.answer = head.encode() + file.getvalue()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Server, "0.0.0.0", 0, backlog=1024)  # noqa: S104
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def serving() -> Iterator[int]:
    """Yield the port of the server."""
    context = multiprocessing.get_context("spawn")
    port = context.Value("i", 0)
    process = context.Process(target=serve, args=(port,), daemon=True)
    process.start()
    while not port.value:
        time.sleep(0.05)
    yield port.value
    process.kill()


def addresses(n: int, port: int, delay: int) -> list[str]:
    """Return `n` addresses that alternate between hosts, answered after `delay` ms."""
    return [f"http://{HOSTS[k % len(HOSTS)]}:{port}/{delay}/{k}.jpg" for k in range(n)]


def settings(processes: int) -> Images:
    """Return the project's settings with `processes` and eight connections per host."""
    return Images(
        connections=32, connections_per_host=8, processes=processes, retries=3, timeout=30,
        max_megabytes=20, max_failed=0.5, allow_private=True,
    )  # fmt: skip


def loop(names: list[str], folder: Path) -> None:
    """Fetch one at a time, each into a file."""
    with httpx.Client() as client:
        for number, name in enumerate(names):
            (folder / f"{number}.jpg").write_bytes(client.get(name).content)


def rate(
    n: int, function: Callable[..., object], *arguments: object, **options: object
) -> float:
    """Return the pictures per second of one call."""
    begun = time.perf_counter()
    function(*arguments, **options)
    return n / (time.perf_counter() - begun)


def stage(column: list[str], folder: Path) -> None:
    """Fetch, decode and pack."""
    n = len(column)
    counts = images.pack(column, folder, folder / "kept", folder / "out", settings(1))
    if counts != {"ok": n}:
        sys.exit(f"expected {n} pictures, got {counts}")


def temporary(function: Callable[[Path], float]) -> float:
    """Call a function with an empty folder; return its result."""
    with tempfile.TemporaryDirectory() as name:
        return function(Path(name))


def print_memory(port: int) -> None:
    """Print the peak memory of a separate process that runs the stage, for two sizes."""
    for n in SIZES:
        command = [sys.executable, __file__, str(port), str(n)]
        printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        print(f"memory, {n:,} pictures: {float(printed):.0f} MB at most")


def child(port: int, n: int) -> None:
    """Run the stage and print the peak in megabytes."""
    with tempfile.TemporaryDirectory() as name:
        stage(addresses(n, port, 0), Path(name))
    # Not getrusage, whose maximum a process inherits from its parent.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def fetched(names: list[str], processes: int) -> float:
    """Return the pictures per second of fetching alone; print the files it leaves."""

    def run(folder: Path) -> float:
        speed = rate(PICTURES, fetch, names, folder, settings(processes), PICTURES)
        files = list(folder.iterdir())
        size = sum(file.stat().st_size for file in files) / 1e6
        print(
            f"  fetch, processes {processes}: {speed:,.0f}/s; {len(files)} files, {size:.0f} MB"
        )
        return speed

    return temporary(run)


def compare(port: int, delay: int) -> float:
    """Print the rates with answers after `delay` ms; return stage divided by loop."""
    print(f"{PICTURES:,} pictures, each {delay} ms after it is asked for:")
    names = addresses(PICTURES, port, delay)
    one = temporary(lambda folder: rate(LOOPED, loop, names[:LOOPED], folder))
    print(f"  loop, {LOOPED} of them: {one:,.0f}/s")
    fetched(names, 1)
    fetched(names, 2)
    whole = temporary(lambda folder: rate(PICTURES, stage, names, folder))
    print(f"  stage, processes 1: {whole:,.0f}/s, {whole / one:.1f} x the loop")
    minutes = (MILLION / each / 60 for each in (whole, one))
    print("  a million, extrapolated: {:.0f} minutes; by the loop {:.0f}".format(*minutes))
    return whole / one


def main() -> None:
    """Print the rates and the memory; fail below the required rate."""
    with serving() as port:
        times = [compare(port, delay) for delay in DELAYS]
        print_memory(port)
    if times[-1] < HELD_TO:
        sys.exit(f"expected {HELD_TO} times the loop or more")


if __name__ == "__main__":
    if sys.argv[1:]:
        child(*map(int, sys.argv[1:]))
    else:
        main()
