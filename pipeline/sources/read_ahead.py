"""Reading ahead: threads compute the next results while the caller works on one.

It pays where the work releases Python's global lock, as unpacking and parsing do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Value = TypeVar("Value")
Result = TypeVar("Result")
END = object()


def mapped(
    function: Callable[[Value], Result], values: Iterator[Value], n_threads: int
) -> Iterator[tuple[Value, Result]]:
    """Yield each value with `function`'s result for it, in order.

    An error, of `values` or of `function`, is raised after the results of all earlier values.
    At most n_threads + 2 values are held.

    Args:
        function: runs in several threads at once.
        values: drawn in one further thread, one after another.
        n_threads: number of threads that run `function`.
    """
    waiting: deque[tuple[Value, Future[Result]]] = deque()
    with ThreadPoolExecutor(1) as drawing, ThreadPoolExecutor(n_threads) as computing:
        try:
            upcoming: Future[Any] = drawing.submit(next, values, END)
            while upcoming.exception() is None and upcoming.result() is not END:
                value = upcoming.result()
                upcoming = drawing.submit(next, values, END)
                waiting.append((value, computing.submit(function, value)))
                if len(waiting) > n_threads:
                    yield _next_done(waiting)
            while waiting:
                yield _next_done(waiting)
            upcoming.result()  # raises the error of `values`, if there was one
        finally:
            for pool in (drawing, computing):
                pool.shutdown(wait=False, cancel_futures=True)


def _next_done(waiting: deque[tuple[Value, Future[Result]]]) -> tuple[Value, Result]:
    value, result = waiting.popleft()
    return value, result.result()
