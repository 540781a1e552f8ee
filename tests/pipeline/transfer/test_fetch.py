"""What the network does to a file that comes over one connection."""

import datetime
import gzip
import http.server
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest
from paths import ROOT
from web_cases import CONTENT, a_file, fetch, serving

from pipeline.job.errors import RawDataError
from pipeline.published.raw_file import RawFile
from pipeline.transfer.fetch import Fetcher
from pipeline.transfer.limits import Limits


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        yield running


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
    assert causes[0] == f"  {server.url('gone')}: HTTP 404"
    assert causes[1].startswith(f"  {dead}: ConnectError")


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(server, tmp_path):
    server.told_length = 1 << 60

    with pytest.raises(RawDataError, match=r"needs 1,152,921,504,606,846,976 bytes .* free"):
        fetch(a_file(server.url()), tmp_path)

    assert (tmp_path / "file.bin.part").exists() is False


# --- what asks for patience ---------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_is_left_alone_for_as_long_as_it_asks(server, tmp_path, status):
    server.statuses, server.answer_headers = [status], {"Retry-After": "1"}

    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT

    assert [later - time > 0.9 for time, later in pairwise(server.times)] == [True]


def test_a_date_to_come_back_at_is_heeded(server, tmp_path):
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    date = then.strftime("%a, %d %b %Y %H:%M:%S GMT")  # cuts up to a second
    server.statuses, server.answer_headers = [503], {"Retry-After": date}

    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT

    assert server.times[1] - server.times[0] > 0.8


def test_a_server_that_asks_for_a_day_is_not_waited_for(server, tmp_path):
    server.statuses, server.answer_headers = [429], {"Retry-After": "86400"}
    causes = []

    assert fetch(a_file(server.url()), tmp_path, causes) is None

    assert causes == [f"  {server.url()}: HTTP 429 with Retry-After 86400 s"]
    assert len(server.requests) == 1


def test_another_address_is_asked_meanwhile(server, tmp_path):
    server.statuses, server.answer_headers = [429], {"Retry-After": "60"}

    part = fetch(a_file(server.url("busy"), server.url("here")), tmp_path)

    assert part.read_bytes() == CONTENT


def test_a_redirect_loop_is_final(server, tmp_path):
    server.moved, causes = True, []

    assert fetch(a_file(server.url()), tmp_path, causes) is None

    assert causes == [f"  {server.url()}: Exceeded maximum allowed redirects."]
    assert len(server.requests) == 21  # of one round


def test_a_server_that_drips_is_dropped_and_gone_on_with(server, tmp_path, monkeypatch):
    """At 100 bytes a second the file would take an hour and a half."""
    server.pace, server.piece, causes = 0.1, 10, []
    fetcher = Fetcher(retries=0, timeout=0.5, pause=0.01)

    assert fetcher.fetch(a_file(server.url()), tmp_path, causes) is None

    assert "TemporaryFailure: only " in causes[0]
    left = (tmp_path / "file.bin.part").stat().st_size
    server.pace, server.piece = 0, 8192
    assert fetch(a_file(server.url()), tmp_path).read_bytes() == CONTENT
    assert server.asked()[-1] == f"bytes={left}-"


def test_a_server_that_goes_silent_is_dropped(server, tmp_path):
    server.pace = 1.5
    fetcher = Fetcher(retries=0, timeout=0.2)
    causes = []

    assert fetcher.fetch(a_file(server.url()), tmp_path, causes) is None

    assert causes[0].startswith(f"  {server.url()}: ReadTimeout")
    assert (tmp_path / "file.bin.part").stat().st_size > 0


def test_rounds_that_bring_something_do_not_count(server, tmp_path, monkeypatch):
    """A line that drops every so often must not end the download of a large file."""
    monkeypatch.setattr("pipeline.transfer.fetch.PROGRESS", 30_000)
    server.drops = [30_000] * 17

    assert fetch(a_file(server.url()), tmp_path, retries=1).read_bytes() == CONTENT


def test_a_server_that_promises_more_than_it_has_is_asked_for_the_rest(server, tmp_path):
    server.told_length = len(CONTENT) + 5

    assert fetch(a_file(server.url()), tmp_path, retries=1).read_bytes() == CONTENT

    assert server.asked() == [None, f"bytes={len(CONTENT)}-"]


def test_a_server_that_promises_less_than_it_has_gives_no_file(server, tmp_path):
    server.content, causes = gzip.compress(os.urandom(50_000)), []
    server.told_length = len(server.content) - 5

    assert fetch(RawFile(name="a.gz", urls=(server.url(),)), tmp_path, causes) is None

    assert "expected a whole gzip file, got a damaged one" in causes[0]
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_gzip_file_is_refused_and_leaves_nothing(server, tmp_path):
    good = gzip.compress(os.urandom(50_000))
    server.content, causes = good[:20_000] + b"\0\0\0" + good[20_003:], []

    part = fetch(RawFile(name="a.json.gz", urls=(server.url(),)), tmp_path, causes)

    assert part is None
    assert "expected a whole gzip file, got a damaged one" in causes[0]
    assert list(tmp_path.iterdir()) == []


def test_a_gzip_file_that_was_published_cut_short_is_refused(server, tmp_path):
    server.content, causes = gzip.compress(os.urandom(50_000))[:-9], []

    assert fetch(RawFile(name="a.gz", urls=(server.url(),)), tmp_path, causes) is None
    assert "end-of-stream marker" in causes[0]


def test_a_web_page_is_no_zip_file(server, tmp_path):
    server.content, causes = b"<html>moved", []

    assert fetch(RawFile(name="a.zip", urls=(server.url(),)), tmp_path, causes) is None
    assert "expected a zip file, got one that starts with b'<html>moved'" in causes[0]


def test_an_optional_file_that_may_be_there_is_not_left_out(server, tmp_path):
    server.statuses = [500, 500]
    file = RawFile(name="a.txt", urls=(server.url(),), required=False)

    with pytest.raises(RawDataError, match=r"a\.txt: may exist.*\n.*HTTP 500\nRun"):
        fetch(file, tmp_path, retries=1)


def test_an_optional_file_that_is_not_there_is_left_out(server, tmp_path):
    server.statuses = [404]

    file = RawFile(name="a.txt", urls=(server.url(),), required=False)

    assert fetch(file, tmp_path) is None


# --- speed, proxies -----------------------------------------------------------------------


def test_all_files_together_stay_below_the_speed(server, tmp_path):
    limits = Limits(2, speed=len(CONTENT))
    fetcher = Fetcher(retries=0, timeout=5, limits=limits)
    files = [a_file(server.url(name), name=name) for name in ("a", "b")]
    begun = time.monotonic()
    threads = [threading.Thread(target=fetcher.fetch, args=(f, tmp_path, [])) for f in files]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1.8 < time.monotonic() - begun < 4
    assert (tmp_path / "a.part").read_bytes() == (tmp_path / "b.part").read_bytes() == CONTENT


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers for any host, since it alone knows where that is."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy(monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as running:
        running.asked = []
        threading.Thread(target=running.serve_forever, args=[0.02], daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{running.server_port}")
        yield running
        running.shutdown()


def test_the_proxy_of_the_environment_is_used(proxy, tmp_path):
    """Nothing but the proxy knows a host of this name (RFC 6761)."""
    address = "http://files.invalid/file.bin"

    assert fetch(a_file(address), tmp_path).read_bytes() == CONTENT
    assert proxy.asked == [address]


# --- kills, a full disk -------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from pipeline.transfer import ranges
from pipeline.transfer.fetch import Fetcher
from pipeline.published.raw_file import RawFile
from pipeline.transfer.limits import Limits
ranges.RANGE, ranges.SMALLEST = 1 << 14, 1 << 16
limits = Limits(int(sys.argv[3]))
file = RawFile(name="file.bin", urls=(sys.argv[1],))
Fetcher(retries=0, timeout=5, limits=limits).fetch(file, Path(sys.argv[2]), [])
"""


def start(server, folder, connections=1, **options):
    command = [sys.executable, "-c", SCRIPT, server.url(), str(folder), str(connections)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, **options)


def test_a_killed_download_is_continued_by_the_next_run(server, tmp_path):
    server.pace = 0.05
    part = tmp_path / "file.bin.part"
    process = start(server, tmp_path)
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


@pytest.mark.slow
@pytest.mark.parametrize("connections", [1, 4])
def test_ten_kills_at_random_moments_leave_no_trace(server, tmp_path, connections):
    server.pace, server.piece, server.tells_ranges = 0.02, 4096, True
    moments = random.Random(connections)  # noqa: S311 (no secret)
    for _ in range(10):
        asked = len(server.requests)
        process = start(server, tmp_path, connections)
        while len(server.requests) == asked and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.25))
        process.kill()
        process.wait()
    server.pace = 0

    arrived = fetch(a_file(server.url()), tmp_path, connections=connections)

    assert arrived.read_bytes() == CONTENT
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"file.bin.part", "file.bin.part.json"}


def may_mount():
    try:
        return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def no_file_beyond(size):
    """The kernel refuses to make a file larger, as it does on a full disk (EFBIG)."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("connections", [1, 4])
def test_no_room_is_said_and_the_next_run_goes_on(server, tmp_path, connections):
    server.tells_ranges = True
    process = start(
        server,
        tmp_path,
        connections,
        stderr=subprocess.PIPE,
        preexec_fn=no_file_beyond(200_000),
    )

    assert (
        b"cannot be written: [Errno 27] File too large; run again" in process.communicate()[1]
    )

    assert (
        fetch(a_file(server.url()), tmp_path, connections=connections).read_bytes() == CONTENT
    )


@pytest.mark.skipif(not may_mount(), reason="this system lets us mount no disk of our own")
@pytest.mark.parametrize(
    ("tells_length", "message"),
    [
        (
            True,
            b"needs 512,000 bytes in full, which has ",
        ),
        (False, b"file.bin.part: cannot be written: [Errno 28] No space left on device"),
    ],
    ids=["before", "meanwhile"],
)
def test_a_disk_that_is_too_small(server, tmp_path, tells_length, message):
    """A disk of 256 KiB, mounted where no other process sees it."""
    server.told_length = None if tells_length else -1
    (tmp_path / "full").mkdir()
    mount = 'mount -t tmpfs -o size=256k none full && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, "-c", SCRIPT]

    done = subprocess.run(
        [*command, server.url(), "full", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )

    assert message in done.stderr
