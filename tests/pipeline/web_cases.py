"""A web server on loopback that serves one content and misbehaves as told."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline.published.raw_file import RawFile
from pipeline.transfer.fetch import Fetcher
from pipeline.transfer.limits import Limits

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes


class Server(ThreadingHTTPServer):
    daemon_threads = True
    content = CONTENT
    tag = '"v1"'
    drops: list[int]  # for each request to come: close the line after so many bytes
    statuses: list[int]  # for each request to come: answer with this status instead
    answer_headers: dict[str, str]  # of those
    pace = 0.0  # seconds between pieces of `piece` bytes
    piece = 8192
    ranges = True  # honoured
    tells_ranges = False  # in Accept-Ranges
    honours_if_range = True
    told_length: int | None = None  # negative: none is told
    breaks_after: int | None = None  # requests; all later ones are answered with 500
    only_one = False  # of several ranges asked for at once; the others are answered with 429
    moved = False  # every request, to itself

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.drops, self.statuses, self.requests, self.answer_headers = [], [], [], {}
        self.times, self.lock = [], threading.Lock()
        self.at_once = self.most_at_once = 0
        self.turn, self.turned_away = threading.Lock(), 0

    def handle_error(self, request, client_address):
        """A client that was killed is what some tests are about."""

    def url(self, name="file.bin"):
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def asked(self):
        """Return the ranges that were asked for."""
        return [request.get("Range") for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        with server.lock:
            server.requests.append({"": self.path} | dict(self.headers))
            server.times.append(time.monotonic())
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self._answer()
        finally:
            with server.lock:
                server.at_once -= 1

    def _answer(self):
        server = self.server
        if server.moved:
            return self._empty(302, {"Location": self.path})
        if server.breaks_after is not None and len(server.requests) > server.breaks_after:
            return self._empty(500, {})
        if server.statuses:
            return self._empty(server.statuses.pop(0), server.answer_headers)
        first, end = self._span()
        if first >= len(server.content) and first:
            return self._empty(416, {"Content-Range": f"bytes */{len(server.content)}"})
        if not (server.only_one and (first or end)):
            return self._send(first, end)
        if not server.turn.acquire(blocking=False):
            with server.lock:
                server.turned_away += 1
            return self._empty(429, {})
        try:
            return self._send(first, end)
        finally:
            server.turn.release()

    def _empty(self, status, headers):
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def _span(self):
        server, asked = self.server, self.headers.get("Range")
        same = self.headers.get("If-Range") == server.tag or not server.honours_if_range
        if not (asked and same and server.ranges):
            return 0, None
        first, end = re.fullmatch(r"bytes=(\d+)-(\d*)", asked).groups()
        return int(first), int(end) + 1 if end else None

    def _send(self, first, end):
        server = self.server
        body, total = server.content[first:end], len(server.content)
        is_part = bool(first or end)
        self.send_response(206 if is_part else 200)
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.tells_ranges:
            self.send_header("Accept-Ranges", "bytes")
        if is_part:
            self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{total}")
        length = len(body) if server.told_length is None else server.told_length
        if length >= 0:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        body = body[: server.drops.pop(0)] if server.drops else body
        for start in range(0, len(body), server.piece):
            time.sleep(server.pace if start else 0)  # with the last byte it is done
            self.wfile.write(body[start : start + server.piece])
        self.close_connection = len(body) < length or length < 0


@contextmanager
def serving():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def a_file(*urls, name="file.bin", content=CONTENT):
    return RawFile(name=name, urls=urls, sha256=hashlib.sha256(content).hexdigest()[:16])


def fetch(file, work, causes=None, retries=3, connections=1, speed=None):
    limits = Limits(connections, speed)
    fetcher = Fetcher(retries=retries, timeout=5, pause=0.01, limits=limits)
    return fetcher.fetch(file, work, [] if causes is None else causes)
