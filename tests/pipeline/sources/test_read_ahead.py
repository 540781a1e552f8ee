import threading
import time

import pytest

from pipeline.sources.read_ahead import mapped


def test_results_come_in_the_order_of_the_values():
    def slow_if_even(n):
        time.sleep(0.01 * (n % 2 == 0))
        return n * n

    assert list(mapped(slow_if_even, iter(range(20)), 3)) == [(n, n * n) for n in range(20)]


def test_only_a_few_values_are_drawn_ahead():
    """Waiting values take memory: they are batches of a dump."""
    drawn = []

    def values():
        for n in range(100):
            drawn.append(n)
            yield n

    for n, _ in mapped(lambda n: n, values(), 2):
        time.sleep(0.001)
        assert len(drawn) <= n + 5


def test_an_error_of_the_values_comes_after_what_was_before_it():
    def values():
        yield from "ab"
        raise ValueError("torn")

    results = mapped(str.upper, values(), 2)

    assert [next(results), next(results)] == [("a", "A"), ("b", "B")]
    with pytest.raises(ValueError, match="torn"):
        next(results)


def test_an_error_of_the_function_is_raised_at_its_place():
    results = mapped(lambda n: 6 // n, iter([3, 2, 0, 1]), 2)

    assert [next(results), next(results)] == [(3, 2), (2, 3)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_early_leaves_no_thread_running():
    before = threading.active_count()
    results = mapped(lambda n: n, iter(range(10**9)), 2)
    next(results)

    results.close()

    assert threading.active_count() == before
