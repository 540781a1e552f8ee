"""Counts of pictures in all processes together, and whether to go on."""

from __future__ import annotations

from typing import Any

from pipeline.params import Images

UNREACHABLE = 50  # pictures without a response, and none with one: there is no network


class Progress:
    """What all processes have done so far; see `fetch` for what is shared.

    Args:
        counts: of pictures that are done and that failed; then whether any server responded,
            and whether to stop.
        lock: of the counts.
        settings: the section `images` of params.yaml.
        n_named: items that name a picture, of which `max_failed` is a share.
    """

    def __init__(self, counts: Any, lock: Any, settings: Images, n_named: int) -> None:
        self.counts, self._lock = counts, lock
        self._max_failed, self._n_named = settings.max_failed, n_named

    def add_done(self, n: int = 1) -> None:
        """Count pictures that have arrived."""
        with self._lock:
            self.counts[0] += n

    def add_failed(self) -> None:
        """Count a picture that failed."""
        with self._lock:
            self.counts[0] += 1
            self.counts[1] += 1
            _, failed, responded, _ = self.counts
            no_network = self._max_failed < 1 and not responded and failed >= UNREACHABLE
            if no_network or failed > self._max_failed * self._n_named:
                self.stop()

    def stop(self) -> None:
        """Make every process skip the remaining pictures."""
        self.counts[3] = 1

    def add_response(self) -> None:
        """Note that a server responded: there is a network."""
        if not self.counts[2]:
            self.counts[2] = 1

    @property
    def is_stopped(self) -> bool:
        """True once continuing is pointless: too many failed, or no server responds at all."""
        return bool(self.counts[3])
