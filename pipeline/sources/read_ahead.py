"""Reading ahead: what comes next is made in threads while the caller is busy.

It pays where the work lets go of Python's lock, as unpacking and parsing do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def mapped(
    function: Callable[[Given], Made], values: Iterator[Given], n_threads: int
) -> Iterator[tuple[Given, Made]]:
    """Yield each value with what `function` makes of it, in order.

    An error comes after all that was before it: first the results of earlier values, then the
    error, be it from `values` or from `function`. At most n_threads + 2 values are held.

    Args:
        function: runs in several threads at once.
        values: drawn in one further thread, one after another.
        n_threads: that run `function`.
    """
    waiting: deque[tuple[Given, Future[Made]]] = deque()
    drawn = _Drawn(values)
    with ThreadPoolExecutor(1) as drawing, ThreadPoolExecutor(n_threads) as making:
        try:
            coming = drawing.submit(drawn.next)
            while (value := coming.result()) is not None:
                coming = drawing.submit(drawn.next)
                waiting.append((value[0], making.submit(function, value[0])))
                if len(waiting) > n_threads:
                    yield _done(waiting)
            while waiting:
                yield _done(waiting)
        finally:
            for pool in (drawing, making):
                pool.shutdown(wait=False, cancel_futures=True)
    if drawn.error is not None:
        raise drawn.error


class _Drawn:
    """An iterator that keeps its error for later."""

    def __init__(self, values: Iterator[Any]) -> None:
        self.values = values
        self.error: Exception | None = None

    def next(self) -> tuple[Any] | None:
        """Return the next value in a tuple, or None where there is none."""
        try:
            return (next(self.values),)
        except StopIteration:
            return None
        except Exception as error:
            self.error = error
            return None


def _done(waiting: deque[tuple[Given, Future[Made]]]) -> tuple[Given, Made]:
    value, making = waiting.popleft()
    return value, making.result()
