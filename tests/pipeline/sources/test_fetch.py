import gzip
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.errors import RawDataError
from pipeline.sources.fetch import Fetcher
from pipeline.sources.raw import RawFile

ROOT = Path(__file__).parents[3]
CONTENT = bytes(range(256)) * 2000  # 512,000 bytes


class Server(ThreadingHTTPServer):
    """Serves one content, and misbehaves as told."""

    daemon_threads = True
    content = CONTENT
    tag = '"v1"'
    drops: list[int]  # for each request to come: close the line after so many bytes
    statuses: list[int]  # for each request to come: answer with this status instead
    pace = 0.0  # seconds between pieces of 8 KiB
    ranges = True
    honours_if_range = True
    told_length: int | None = None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.drops, self.statuses, self.requests = [], [], []

    def handle_error(self, request, client_address):
        """A client that was killed is what some tests are about."""

    def url(self, name="file.bin"):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        if server.statuses:
            self.send_response(server.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = self._first()
        if first >= len(server.content) and first:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(first)

    def _first(self):
        server, asked = self.server, self.headers.get("Range")
        same = self.headers.get("If-Range") == server.tag or not server.honours_if_range
        return int(asked[len("bytes=") : -1]) if asked and same and server.ranges else 0

    def _send(self, first):
        server = self.server
        body, total = server.content[first:], len(server.content)
        self.send_response(206 if first else 200)
        if server.tag:
            self.send_header("ETag", server.tag)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        length = len(body) if server.told_length is None else server.told_length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        body = body[: server.drops.pop(0)] if server.drops else body
        for start in range(0, len(body), 8192):
            self.wfile.write(body[start : start + 8192])
            time.sleep(server.pace)
        self.close_connection = len(body) < length


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def a_file(*urls, name="file.bin", content=CONTENT):
    return RawFile(name=name, urls=urls, sha256=hashlib.sha256(content).hexdigest()[:16])


def fetch(file, work, causes=None, retries=3):
    fetcher = Fetcher(retries=retries, timeout=5, pause=0.01)
    return fetcher.fetch(file, work, [] if causes is None else causes)


def test_a_file_arrives_byte_for_byte(server, tmp_path):
    part = fetch(a_file(server.url()), tmp_path)

    assert part.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_dropped_line_is_resumed_where_it_broke(server, tmp_path):
    server.drops = [100_000, 50_000]

    part = fetch(a_file(server.url()), tmp_path)

    assert part.read_bytes() == CONTENT
    assert [r.get("Range") for r in server.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert server.requests[1]["If-Range"] == '"v1"'


def test_a_later_run_resumes_what_an_earlier_one_left(server, tmp_path):
    server.drops = [100_000]
    assert fetch(a_file(server.url()), tmp_path, retries=0) is None

    part = fetch(a_file(server.url()), tmp_path, retries=0)

    assert part.read_bytes() == CONTENT
    assert server.requests[1]["Range"] == "bytes=100000-"


@pytest.mark.parametrize("honours", [True, False], ids=["If-Range", "ETag of the answer"])
def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server, tmp_path, honours):
    server.drops = [100_000]
    fetch(a_file(server.url()), tmp_path, retries=0)
    server.content, server.tag, server.honours_if_range = b"new" + CONTENT, '"v2"', honours

    part = fetch(a_file(server.url(), content=server.content), tmp_path)

    assert part.read_bytes() == b"new" + CONTENT


def test_without_a_version_nothing_is_resumed(server, tmp_path):
    """Two halves of two versions would make a file that nobody published."""
    server.drops, server.tag = [100_000], ""

    part = fetch(a_file(server.url()), tmp_path)

    assert part.read_bytes() == CONTENT
    assert "Range" not in server.requests[1]


def test_a_server_without_ranges_sends_the_whole_file_again(server, tmp_path):
    server.drops, server.ranges = [100_000], False

    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_already_whole_costs_one_request(server, tmp_path):
    fetch(a_file(server.url()), tmp_path)

    part = fetch(a_file(server.url()), tmp_path)

    assert part.read_bytes() == CONTENT
    assert server.requests[1]["Range"] == f"bytes={len(CONTENT)}-"


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    fetch(a_file(server.url()), tmp_path)
    with (tmp_path / "file.bin.part").open("ab") as part:
        part.write(b"more")

    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT


def test_a_part_from_another_address_is_not_continued(server, tmp_path):
    server.drops = [100_000]
    fetch(a_file(server.url("old.bin")), tmp_path, retries=0)

    assert fetch(a_file(server.url("new.bin")), tmp_path).read_bytes() == CONTENT
    assert "Range" not in server.requests[1]


def test_a_damaged_part_is_replaced_by_the_whole_file(server, tmp_path):
    server.drops = [100_000]
    fetch(a_file(server.url()), tmp_path, retries=0)
    (tmp_path / "file.bin.part").write_bytes(bytes(100_000))

    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT


def test_a_half_written_note_does_no_harm(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"??")
    (tmp_path / "file.bin.part.json").write_text('{"url": "http')

    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_busy_server_is_asked_again(server, tmp_path, status):
    server.statuses = [status, status]

    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_final_and_the_next_address_is_tried(server, tmp_path, status):
    server.statuses = [status]
    causes = []

    part = fetch(a_file(server.url("gone"), server.url("here")), tmp_path, causes)

    assert part.read_bytes() == CONTENT
    assert len(server.requests) == 2
    assert causes == []


def test_a_dead_address_does_not_keep_the_others_waiting(server, tmp_path):
    """The next address comes before any pause."""
    dead = "http://127.0.0.1:1/file.bin"
    fetcher = Fetcher(retries=5, timeout=5, pause=30)

    part = fetcher.fetch(a_file(dead, server.url()), tmp_path, [])

    assert part.read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_leave_nothing(server, tmp_path):
    causes = []

    part = fetch(a_file(server.url(), content=b"other"), tmp_path, causes)

    assert part is None
    assert len(server.requests) == 1
    assert "expected sha256 d9298a10d1b07358..., got" in causes[0]
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_is_no_gzip_file(server, tmp_path):
    server.content, causes = b"<html>moved", []

    part = fetch(RawFile(name="a.json.gz", urls=(server.url(),)), tmp_path, causes)

    assert part is None
    assert "expected a gzip file, got one that starts with b'<html>moved'" in causes[0]


def test_a_gzip_file_stays_packed(server, tmp_path):
    server.content = gzip.compress(b"{}")

    part = fetch(RawFile(name="a.json.gz", urls=(server.url(),)), tmp_path)

    assert part.read_bytes() == server.content


def test_every_address_is_named_with_its_cause(server, tmp_path):
    server.statuses = [404]
    dead, causes = "http://127.0.0.1:1/file.bin", []

    part = fetch(a_file(server.url("gone"), dead), tmp_path, causes, retries=1)

    assert part is None
    assert causes[0] == f"  {server.url('gone')}: HTTP status 404"
    assert causes[1].startswith(f"  {dead}: ConnectError")


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(server, tmp_path):
    server.told_length = 1 << 60

    with pytest.raises(RawDataError, match=r"needs 1,152,921,504,606,846,976 bytes .* free"):
        fetch(a_file(server.url()), tmp_path)

    assert (tmp_path / "file.bin.part").exists() is False


def test_pauses_double_and_are_bounded():
    fetcher = Fetcher(retries=9, timeout=1)
    pauses = [fetcher._pause(failed) for failed in range(9)]

    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_killed_download_is_continued_by_the_next_run(server, tmp_path):
    server.pace = 0.05
    script = (
        "import sys; from pathlib import Path; from pipeline.sources.fetch import Fetcher; "
        "from pipeline.sources.raw import RawFile; "
        "file = RawFile(name='file.bin', urls=(sys.argv[1],)); "
        "Fetcher(retries=0, timeout=5).fetch(file, Path(sys.argv[2]), [])"
    )
    part = tmp_path / "file.bin.part"
    process = subprocess.Popen(
        [sys.executable, "-c", script, server.url(), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = part.stat().st_size
    server.pace = 0

    arrived = fetch(a_file(server.url()), tmp_path)

    assert 0 < left < len(CONTENT)
    assert arrived.read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == f"bytes={left}-"
