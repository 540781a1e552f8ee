"""How one host is treated."""

import asyncio
import time

import pytest

from pipeline.pictures import hosts as picture_hosts
from pipeline.pictures.hosts import Host, Hosts
from pipeline.transfer.status import Unavailable


def test_a_host_waits_for_as_long_as_it_asks():
    host = Host(1)
    assert host.wait() == 0

    host.busy("HTTP 429", 7, host.start())

    assert 6.9 < host.wait() <= 7


def test_a_host_that_asks_for_too_long_is_left_alone():
    host = Host(1)

    host.busy("HTTP 503", 301, host.start())

    with pytest.raises(Unavailable, match="left alone: HTTP 503 with Retry-After 301 s"):
        host.wait()


def test_gaps_grow_while_a_host_is_busy_and_shrink_when_it_answers():
    host = Host(1)

    def gap():
        host._next = 0
        host.start()
        return host.wait()

    host.busy("HTTP 429", 0, host.start())
    assert gap() == pytest.approx(0.25, abs=0.05)
    host.busy("HTTP 429", 0, time.monotonic())
    assert gap() == pytest.approx(0.5, abs=0.05)
    host.responded()
    assert gap() == pytest.approx(0.45, abs=0.05)
    for _ in range(40):
        host.responded()
    assert gap() == 0


def test_refusals_of_requests_that_were_under_way_together_are_one_sign():
    host = Host(4)
    started = [host.start() for _ in range(4)]

    for one in started:
        host.busy("HTTP 429", 0, one)

    assert host.wait() == pytest.approx(0.25, abs=0.05)


def test_a_host_without_an_answer_is_given_up_after_a_while(monkeypatch):
    host = Host(1)
    for _ in range(30):
        host.silent("no answer (ConnectTimeout)")
    assert host.wait() == 0  # a line that drops for some seconds does not count

    monkeypatch.setattr(picture_hosts, "MAX_SILENT_SECONDS", 0)
    host.responded()
    for _ in range(19):
        host.silent("no answer (ConnectTimeout)")
    assert host.wait() == 0
    host.silent("no answer (ConnectTimeout)")

    with pytest.raises(
        Unavailable, match=r"left alone: 20 requests in a row got no answer \(Conn"
    ):
        host.wait()


def test_a_host_that_makes_us_wait_holds_no_shared_connection():
    async def order():
        hosts, seen = Hosts(connections=1, per_host=2), []
        slow = hosts["slow"]
        slow.busy("HTTP 429", 0.2, slow.start())

        async def ask(name):
            async with hosts.connection(hosts[name]):
                seen.append(name)

        await asyncio.gather(ask("slow"), ask("slow"), ask("quick"))
        return seen

    assert asyncio.run(order())[0] == "quick"
