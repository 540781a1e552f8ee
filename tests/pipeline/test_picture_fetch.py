"""What the web answers, and how politely it was asked."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
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

from pipeline import picture_fetch, picture_hosts, picture_lanes, pictures
from pipeline.errors import RawDataError
from pipeline.params import Images
from pipeline.picture_fetch import fetch
from pipeline.picture_store import Kept


def settings(**changes) -> Images:
    return Images(**(SETTINGS | changes))


def got(folder: Path, addresses: list[str], **changes) -> picture_fetch.Fetched:
    return fetch(addresses, folder / "kept", settings(**changes), len(addresses))


def kept(folder: Path, address: str) -> bytes | None:
    with Kept(folder / "kept") as store:
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
    monkeypatch.setattr(picture_lanes, "TIMEOUTS_PER_PICTURE", 1)
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
    monkeypatch.setattr(picture_hosts, "IN_VAIN", 3)
    monkeypatch.setattr(picture_hosts, "IN_VAIN_SECONDS", 0)
    dead = [f"http://127.0.0.9:1/{n}.png" for n in range(9)]
    alive = [f"{server.address}/{n}.png" for n in range(3)]

    failures, _ = got(folder, dead + alive, connections_per_host=1, retries=0)

    assert list(failures) == dead
    assert failures[dead[-1]] == (
        "its host is left alone: 3 requests in a row got no answer (ClientConnectorError)"
    )


def test_no_server_at_all_is_a_reason_and_stops_early(folder, impatient, monkeypatch):
    monkeypatch.setattr(picture_lanes, "UNREACHABLE", 3)
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
