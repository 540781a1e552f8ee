"""What the web answers, and how politely it was asked."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from paths import ROOT
from picture_cases import (
    PAGE,
    RED,
    SETTINGS,
    TABLE,
    delayed,
    moved,
    numbered,
    once,
    run_stage,
    serving,
    trickle,
)

from pipeline.job.errors import RawDataError
from pipeline.params import Images
from pipeline.pictures import connections as picture_connections
from pipeline.pictures import fetch as picture_fetch
from pipeline.pictures import hosts as picture_hosts
from pipeline.pictures import progress as picture_progress
from pipeline.pictures.fetch import fetch, plan_of
from pipeline.pictures.store import Store
from pipeline.tables import pictures


def settings(**changes) -> Images:
    return Images(**(SETTINGS | changes))


def got(folder: Path, addresses: list[str], **changes) -> picture_fetch.Fetched:
    return fetch(addresses, folder / "kept", settings(**changes), len(addresses))


def kept(folder: Path, address: str) -> bytes | None:
    with Store(folder / "kept") as store:
        return None if store.absent([address]) else store.read(address)


@pytest.mark.parametrize(
    ("page", "status", "reason"),
    [
        ("red.png", "ok", ""),
        ("moved.png", "ok", ""),
        ("once.png", "ok", ""),
        ("gone.png", "missing", "HTTP 404: "),
        ("down.png", "missing", "HTTP 503: "),
        ("slow.png", "missing", "no answer (SocketTimeoutError): "),
        ("short.png", "missing", "no answer (ClientPayloadError): "),
        ("reset.png", "missing", "no answer (ClientPayloadError): "),
        ("circle.png", "missing", "more than 5 redirects: "),
        ("file.png", "missing", "not to be fetched (no http address): "),
        ("large.png", "missing", "more than images.max_megabytes = 0.1: "),
        ("page.png", "broken", f"not a picture in {', '.join(pictures.FORMATS)}: "),
        ("empty.png", "broken", "zero bytes: "),
    ],
)
def test_what_the_web_answers(folder, server, page, status, reason):
    place = f"{server.address}/{page}"

    table = run_stage([place])

    assert table["status"].item() == status
    assert table["source"].item() == reason + place
    assert table["bytes"].item() == (RED if status == "ok" else None)


def test_bytes_that_trickle_in_are_given_up(folder, server, monkeypatch):
    monkeypatch.setattr(picture_connections, "TIMEOUTS_PER_PICTURE", 1)
    server.pages["/a.png"] = trickle
    begun = time.monotonic()

    failures, _ = got(folder, [f"{server.address}/a.png"], retries=0)

    assert list(failures.values()) == ["no answer (TimeoutError)"]
    assert time.monotonic() - begun < 1.5
    assert kept(folder, f"{server.address}/a.png") is None


@pytest.mark.parametrize("page", ["reset", "short"])
def test_a_picture_whose_connection_broke_once_is_had(folder, server, page):
    broken = server.pages[f"/{page}.png"]
    server.pages["/a.png"] = lambda handler: (
        broken(handler) if handler.server.asked["/a.png"] == 1 else RED
    )

    assert got(folder, [f"{server.address}/a.png"]).failures == {}
    assert server.asked["/a.png"] == 2


def test_only_what_may_change_is_asked_for_again(folder, server):
    run_stage([f"{server.address}/gone.png", f"{server.address}/down.png"])

    assert server.asked == {"/gone.png": 1, "/down.png": 2}


def test_the_request_names_the_software_and_carries_no_cookie(folder, server):
    cookie = {"Set-Cookie": "a=b"}
    server.pages["/a.png"] = (200, cookie | {"Content-Length": str(len(RED))}, RED)

    got(folder, [f"{server.address}/a.png", f"{server.address}/b.png"], connections_per_host=1)

    assert len(server.log) == 2
    for _, _, headers in server.log:
        assert headers["User-Agent"].startswith("mcln-pipeline (pictures of a catalogue) ")
        assert "Cookie" not in headers


def test_redirects_to_what_is_not_http_are_not_followed(folder, server):
    for number, to in enumerate(
        ["ftp://127.0.0.1/a", "file:///etc/passwd", "data:,a", "http:"]
    ):
        server.pages[f"/{number}.png"] = moved(to)
    addresses = [f"{server.address}/{number}.png" for number in range(4)]

    failures, _ = got(folder, addresses)

    assert set(failures) == set(addresses)
    assert [kept(folder, address) for address in addresses] == [None] * 4


# --- politeness --------------------------------------------------------------------------


def test_a_host_has_a_few_connections_and_all_hosts_together_more(folder, server):
    with serving("127.0.0.2") as other:
        addresses = []
        for one in (server, other):
            one.pages = {f"/{n}.png": delayed(numbered(n), 0.05) for n in range(12)}
            addresses += [f"{one.address}{path}" for path in one.pages]

        assert got(folder, addresses, connections=3, connections_per_host=2).failures == {}

        assert server.most_at_once == 2
        assert other.most_at_once == 2
        both = sorted(time for one in (server, other) for time, *_ in one.log)
        assert all(later - time > 0.04 for time, later in zip(both, both[3:], strict=False))


def test_redirects_count_for_the_host_that_they_lead_to(folder, server):
    addresses = []
    with serving("127.0.0.2") as one, serving("127.0.0.3") as two:
        for number in range(12):
            server.pages[f"/{number}.png"] = delayed(numbered(number), 0.05)
            source = (one, two)[number % 2]
            source.pages[f"/{number}.png"] = moved(f"{server.address}/{number}.png")
            addresses.append(f"{source.address}/{number}.png")

        assert got(folder, addresses, connections=8, connections_per_host=2).failures == {}

    assert server.most_at_once == 2


def test_a_slow_host_does_not_hold_up_another(folder, server):
    with serving("127.0.0.2") as other:
        slow = {f"/{n}.png": delayed(numbered(n), 0.2) for n in range(6)}
        server.pages = slow
        addresses = [f"{server.address}{path}" for path in slow]
        addresses += [f"{other.address}/{n}.png" for n in range(20)]

        got(folder, addresses, connections=3, connections_per_host=2)

        assert other.log[-1][0] < server.log[-1][0]


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_pauses_the_whole_host(folder, server, code):
    """One address is refused; none of the host is asked for until the second is over."""
    server.pages = {f"/{n}.png": delayed(numbered(n), 0.1) for n in range(8)}
    server.pages["/2.png"] = once((code, {"Retry-After": "1"}, b""))
    addresses = [f"{server.address}/{n}.png" for n in range(8)]

    assert got(folder, addresses, connections_per_host=2).failures == {}

    times = [time for time, *_ in server.log]
    pauses = [later - time for time, later in pairwise(times)]
    assert len(times) == 9
    assert [pause > 0.8 for pause in pauses].count(True) == 1
    assert sum(pauses) > 1


def test_a_host_that_asks_to_be_left_alone_is(folder, server):
    server.pages = {"/0.png": (429, {"Retry-After": "86400"}, b"")}
    addresses = [f"{server.address}/{n}.png" for n in range(9)]

    failures, stopped = got(folder, addresses, connections=1)

    assert set(failures.values()) == {
        "its host is left alone: HTTP 429 with Retry-After 86400 s"
    }
    assert set(failures) == set(addresses)
    assert sum(server.asked.values()) == 1
    assert not stopped


def test_a_dead_host_is_given_up_and_the_others_are_not(folder, server, monkeypatch):
    monkeypatch.setattr(picture_hosts, "MAX_SILENT", 3)
    monkeypatch.setattr(picture_hosts, "MAX_SILENT_SECONDS", 0)
    dead = [f"http://127.0.0.9:1/{n}.png" for n in range(9)]
    alive = [f"{server.address}/{n}.png" for n in range(3)]

    failures, _ = got(folder, dead + alive, connections_per_host=1, retries=0)

    assert list(failures) == dead
    assert failures[dead[-1]] == (
        "its host is left alone: 3 requests in a row got no answer (ClientConnectorError)"
    )


def test_no_server_at_all_is_a_reason_and_stops_early(folder, impatient, monkeypatch):
    monkeypatch.setattr(picture_progress, "UNREACHABLE", 3)
    places = [f"http://127.0.0.1:1/{n}.png" for n in range(40)]

    with pytest.raises(
        RawDataError, match=r"got 3 failures so far: 3 x no answer \(ClientConnect"
    ):
        run_stage(places, retries=0, max_failed=0.99, connections=1)
    assert not TABLE.exists()


def test_a_page_in_place_of_a_picture_is_had(folder, server):
    """Whether it is a picture is not for the fetching to say."""
    address = f"{server.address}/page.png"

    got(folder, [address])

    assert kept(folder, address) == PAGE


# --- names, proxies -----------------------------------------------------------------------


def test_a_hosts_name_is_looked_up_once(folder, server, monkeypatch):
    real, names = socket.getaddrinfo, []

    def look_up(name, *arguments, **options):
        names.append(name)
        return real("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    port = server.server_port
    addresses = [f"http://{name}.test:{port}/{n}.png" for name in "ab" for n in range(20)]

    assert got(folder, addresses).failures == {}

    assert sorted(names) == ["a.test", "b.test"]
    assert sum(server.asked.values()) == 40


def test_the_proxy_of_the_environment_is_used(folder, server, monkeypatch):
    """Nothing but the proxy knows a host of this name (RFC 6761)."""
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    address = "http://pictures.invalid/a.png"

    assert got(folder, [address]).failures == {}

    assert server.asked == {address: 1}


@pytest.mark.parametrize(
    ("address", "asked"),
    [("/a%2Bb%27.png?x=%2F", "/a%2Bb%27.png?x=%2F"), ("/a b\r\nX: y.png", "/a%20b")],
)
def test_an_address_is_sent_as_it_stands_or_made_harmless(folder, server, address, asked):
    got(folder, [server.address + address])

    assert [path.startswith(asked) for path in server.asked] == [True]
    assert "X" not in server.log[0][2]


# --- processes ----------------------------------------------------------------------------


def test_hosts_are_dealt_out_by_size():
    sizes = {"a": 50, "b": 30, "c": 15, "d": 10}
    addresses = [f"http://{host}/{n}" for host, size in sizes.items() for n in range(size)]

    assert plan_of(addresses, 2).n == 1  # too few to be worth it

    plan = plan_of(addresses * 20, 2)

    assert plan.n == 2
    assert [plan.owner(host) for host in "abcd"] == [0, 1, 1, 1]
    assert plan.owner("never named") in (0, 1)
    assert plan_of([f"http://a/{n}" for n in range(9000)], 4).n == 1  # a host has one process


@contextmanager
def two_hosts(n: int):
    """Two servers with pictures that differ, and the addresses of all of them."""
    with serving("127.0.0.2") as one, serving("127.0.0.3") as other:
        for server, shift in ((one, 0), (other, n)):
            server.pages = {f"/{k}.png": numbered(k + shift) for k in range(n)}
        addresses = [f"{host.address}/{k}.png" for k in range(n) for host in (one, other)]
        yield one, other, addresses


def test_processes_make_the_same_table(folder, impatient, monkeypatch):
    monkeypatch.setattr(picture_fetch, "PER_PROCESS", 10)
    with two_hosts(20) as (one, other, addresses):
        run_stage(addresses)
        alone = TABLE.read_bytes()
        for path in Path(".work/images/sample").iterdir():
            path.unlink()

        run_stage(addresses, processes=2)

        assert TABLE.read_bytes() == alone
        assert sum(one.asked.values()) == sum(other.asked.values()) == 40
    assert len(list(Path(".work/images/sample").glob("*.pictures"))) == 2


def test_a_redirect_to_another_processes_host_is_followed_by_that_process(
    folder, impatient, monkeypatch
):
    """So that a host's connections are counted in one place."""
    monkeypatch.setattr(picture_fetch, "PER_PROCESS", 10)
    with two_hosts(20) as (one, other, addresses):
        for k in range(20):
            one.pages[f"/{k}.png"] = moved(f"{other.address}/from{k}.png")
            for name in (f"/{k}.png", f"/from{k}.png"):
                other.pages[name] = delayed(numbered(k), 0.02)
        one.pages["/0.png"] = moved(f"{other.address}/back.png")
        other.pages["/back.png"] = moved(f"{one.address}/0.png")

        failures, _ = got(folder, addresses, processes=2, connections_per_host=2)

        assert failures == {f"{one.address}/0.png": "more than 5 redirects"}
        assert other.most_at_once <= 2
        assert kept(folder, f"{one.address}/7.png") == numbered(7)


def test_failures_in_all_processes_count_together(folder, impatient, monkeypatch):
    monkeypatch.setattr(picture_fetch, "PER_PROCESS", 10)
    with two_hosts(40) as (one, other, addresses):
        for server in (one, other):
            server.pages = {f"/{k}.png": delayed((404, {}, b""), 0.05) for k in range(40)}

        failures, stopped = got(
            folder, addresses, processes=2, max_failed=0.1, connections_per_host=1
        )

        assert stopped
        assert 9 <= len(failures) < 20
        assert sum(one.asked.values()) + sum(other.asked.values()) < 40


KILLED = """
import sys
from pathlib import Path
from pipeline.params import Images
from pipeline.pictures import fetch as picture_fetch
if __name__ == "__main__":
    picture_fetch.PER_PROCESS = 10
    settings = Images(connections=4, connections_per_host=2, processes=2, retries=1,
                      timeout=5, max_megabytes=1, max_failed=0.5, allow_private=True)
    addresses = Path("addresses.txt").read_text().split()
    picture_fetch.fetch(addresses, Path("kept"), settings, len(addresses))
"""


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_little_and_leave_no_trace(folder, impatient):
    moments = random.Random(1)  # noqa: S311 (no secret)
    Path("killed.py").write_text(KILLED)
    with two_hosts(300) as (one, other, addresses):
        expected = {
            f"{server.address}{path}": page
            for server in (one, other)
            for path, page in server.pages.items()
        }
        for server in (one, other):
            server.pages = {path: delayed(page, 0.03) for path, page in server.pages.items()}
        Path("addresses.txt").write_text("\n".join(addresses))
        for _ in range(10):
            asked = sum(one.asked.values())
            process = subprocess.Popen(
                [sys.executable, "killed.py"], env=os.environ | {"PYTHONPATH": str(ROOT)}
            )
            while sum(one.asked.values()) == asked and process.poll() is None:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 1))
            assert process.poll() in (None, 0)  # it has not failed by itself
            process.kill()
            process.wait()
        assert sum(one.asked.values()) + sum(other.asked.values()) < 2 * 600

        assert got(folder, addresses).failures == {}

        assert {address: kept(folder, address) for address in addresses} == expected
