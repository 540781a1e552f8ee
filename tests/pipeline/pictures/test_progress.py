"""When it is enough."""

import threading

import pytest
from picture_cases import SETTINGS

from pipeline.params import Images
from pipeline.pictures import progress as picture_tally
from pipeline.pictures.progress import Tally


def tally(max_failed: float, n_named: int) -> Tally:
    settings = Images(**(SETTINGS | {"max_failed": max_failed}))
    return Tally([0] * 4, threading.Lock(), settings, n_named)


def failures_until_enough(one: Tally, most: int) -> int | None:
    for n in range(1, most + 1):
        one.failed()
        if one.is_enough:
            return n
    return None


@pytest.mark.parametrize(("share", "n"), [(0.1, 11), (0.0, 1), (1.0, None)])
def test_more_than_the_share_is_enough(share, n):
    one = tally(share, 100)
    one.answered()

    assert failures_until_enough(one, 100) == n


def test_no_network_is_enough_unless_every_failure_is_allowed(monkeypatch):
    monkeypatch.setattr(picture_tally, "UNREACHABLE", 3)

    assert failures_until_enough(tally(0.9, 100), 100) == 3
    assert failures_until_enough(tally(1.0, 100), 100) is None


def test_all_that_is_over_is_counted():
    one = tally(1.0, 9)

    one.done()
    one.failed()

    assert list(one.counts) == [2, 1, 0, 0]
