"""Progress of a job: a line that moves on a terminal, a line per minute in a log.

An engine sends standard error to a log file, so a bar is drawn on standard output if only that
is a terminal. All bars share one line: several jobs may run on one terminal.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

ON_TERMINAL, IN_LOG = 0.5, 60.0  # seconds between two states
HEARTBEAT = 1.0  # seconds; the clock of the innermost bar moves even if its counter does not
log = logging.getLogger(__name__)
_open: list[Bar] = []  # the innermost last


class Bar(tqdm):  # type: ignore[type-arg]
    """A tqdm bar where it can be seen; `desc`, `total`, `unit` and `initial` as in tqdm."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin to show progress."""
        terminal = next((s for s in (sys.stderr, sys.stdout) if s.isatty()), None)
        self.is_live = terminal is not None
        seconds = ON_TERMINAL if self.is_live else IN_LOG
        kwargs |= {"file": terminal or io.StringIO(), "leave": not self.is_live}
        kwargs |= {"mininterval": seconds, "maxinterval": max(seconds, 10)}
        kwargs |= {"position": 0, "dynamic_ncols": True}
        kwargs |= {"delay": ON_TERMINAL if self.is_live else 0}
        super().__init__(*args, **kwargs)
        _open.append(self)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar, or log it if something happened since the start."""
        if self.is_live:
            super().display(msg, pos)
        elif self.n > self.initial:
            log.info("%s", self)

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self in _open:
            _open.remove(self)
        super().close()


@contextmanager
def shown(title: str) -> Iterator[None]:
    """Show a job's title and a clock, or the innermost bar, until the block ends."""
    with Bar(desc=title, bar_format="{desc}  {elapsed}") as bar:
        if not bar.is_live:
            yield
            return
        end = threading.Event()
        thread = threading.Thread(target=_redraw, args=[end], daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


def _redraw(end: threading.Event) -> None:
    while not end.wait(HEARTBEAT):
        bars = _open[-1:]
        for bar in bars:
            bar.refresh()
