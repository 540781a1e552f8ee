"""Picture files, a server on loopback where everything goes wrong, a run of stage `images`."""

from __future__ import annotations

import io
import os
import socket
import struct
import threading
import time
import tracemalloc
import zlib
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import yaml
from paths import ROOT
from PIL import Image

from pipeline import images
from pipeline.tables.io import read_parquet
from pipeline.tables.schema import IMAGES, ITEMS

SETTINGS = {
    "connections": 4,
    "connections_per_host": 4,
    "retries": 1,
    "timeout": 0.5,
    "max_megabytes": 0.1,
    "max_failed": 1.0,
    "allow_private": True,  # the servers of the tests are on loopback
}


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def png(width: int, depth: int, colour: int, row: bytes, extra: bytes = b"") -> bytes:
    """A PNG of one row; depth in bits, colour as in the PNG specification, table 11.1."""
    header = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 30000 x 30000 pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


RED = encoded(Image.new("RGB", (8, 6), "red"))
PAGE = b"<html>Please log in</html>"


def numbered(number: int) -> bytes:
    """A picture that is no other number's."""
    return encoded(Image.new("RGB", (4, 4), (number % 256, number // 256, 7)))


@contextmanager
def memory(megabytes: float):
    """Check that the block never holds more than so much of Python's memory at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()


class Pages(BaseHTTPRequestHandler):
    """Answers with `server.pages[path]`, a red picture where there is none.

    A page is a body, or (status, headers, body), or a function of the handler.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        with self.server.lock:
            self.server.asked[self.path] += 1
            self.server.log.append((time.monotonic(), self.path, dict(self.headers)))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            page = self.server.pages.get(self.path, RED)
            page = page(self) if callable(page) else page
            if page is not None:
                self.answer(*(page if isinstance(page, tuple) else (200, {}, page)))
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def delayed(page, seconds=0.5):
    def later(handler):
        time.sleep(seconds)
        return page

    return later


def short(handler):
    """Declare twice as much as is sent, and hang up."""
    handler.close_connection = True
    return 200, {"Content-Length": str(2 * len(RED))}, RED


def reset(handler):
    """Send half and reset the connection: with no time to linger, close sends RST."""
    handler.answer(200, {"Content-Length": str(len(RED))}, RED[: len(RED) // 2])
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())
    handler.close_connection = True


def trickle(handler):
    """Send a byte now and then, each within the time-out."""
    handler.answer(200, {"Content-Length": "1000"}, b"")
    for _ in range(20):
        handler.wfile.write(b".")
        time.sleep(0.1)


def once(page):
    """Answer the first request with `page`, the others with a picture."""
    return lambda handler: page if handler.server.asked[handler.path] == 1 else RED


def moved(to: str):
    return 302, {"Location": to}, b""


PAGES = {
    "/page.png": PAGE,
    "/empty.png": b"",
    "/large.png": b"\0" * 200_000,
    "/gone.png": (404, {}, b""),
    "/down.png": (503, {}, b""),
    "/once.png": once((503, {}, b"")),
    "/slow.png": delayed(RED, 1),
    "/short.png": short,
    "/reset.png": reset,
    "/moved.png": moved("/red.png"),
    "/circle.png": moved("/circle.png"),
    "/file.png": moved("file:///etc/passwd"),
}


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that gave up is what some tests are about."""


@contextmanager
def serving(host: str = "127.0.0.1"):
    with QuietServer((host, 0), Pages) as running:
        running.lock, running.asked, running.log = threading.Lock(), Counter(), []
        running.at_once = running.most_at_once = 0
        running.pages = dict(PAGES)
        running.address = f"http://{host}:{running.server_port}"
        threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
        yield running
        running.shutdown()


def prepare(places: list[str | None], feature: dict | None = None, **settings) -> None:
    """Write params.yaml and items.parquet to the working directory."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["features"]["sample"] = {
        "visual": feature or {"extractor": "vgg16", "field": "image", "weights": "seeded"}
    }
    raw["images"] = SETTINGS | settings
    raw["models"] = ["lightgcn"]
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    columns = {name: [None] * len(places) for name in ITEMS}
    columns |= {"item": list(range(len(places))), "image": places}
    Path("processed").mkdir(exist_ok=True)
    Path("raw").mkdir(exist_ok=True)
    pl.DataFrame(columns, schema=ITEMS).write_parquet("processed/items.parquet")


ARGUMENTS = ["sample", "raw", "processed", "images/sample.parquet"]
TABLE = Path("images/sample.parquet")
LEDGER = Path(".work/images/sample/ledger.csv")


def run_stage(
    places: list[str | None], *, feature: dict | None = None, **settings
) -> pl.DataFrame:
    """Run the stage in the working directory, read the table."""
    prepare(places, feature, **settings)
    images.main(ARGUMENTS)
    return read_parquet(TABLE, IMAGES)
