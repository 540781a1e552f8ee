"""When to stop."""

import threading

import pytest
from picture_cases import SETTINGS

from pipeline.params import Images
from pipeline.pictures import progress as picture_progress
from pipeline.pictures.progress import Progress


def progress(max_failed: float, n_named: int) -> Progress:
    settings = Images(**(SETTINGS | {"max_failed": max_failed}))
    return Progress([0] * 4, threading.Lock(), settings, n_named)


def failures_until_stopped(counted: Progress, most: int) -> int | None:
    for n in range(1, most + 1):
        counted.add_failed()
        if counted.is_stopped:
            return n
    return None


@pytest.mark.parametrize(("share", "n"), [(0.1, 11), (0.0, 1), (1.0, None)])
def test_more_than_the_share_stops(share, n):
    counted = progress(share, 100)
    counted.add_response()

    assert failures_until_stopped(counted, 100) == n


def test_no_network_stops_unless_every_failure_is_allowed(monkeypatch):
    monkeypatch.setattr(picture_progress, "UNREACHABLE", 3)

    assert failures_until_stopped(progress(0.9, 100), 100) == 3
    assert failures_until_stopped(progress(1.0, 100), 100) is None


def test_done_and_failed_pictures_are_counted():
    counted = progress(1.0, 9)

    counted.add_done()
    counted.add_failed()

    assert list(counted.counts) == [2, 1, 0, 0]
