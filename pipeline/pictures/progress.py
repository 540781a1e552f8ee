"""How many pictures were fetched and failed, in all processes together, and when it is enough.

Not a stage: a part of `fetch`.
"""

from __future__ import annotations

from typing import Any

from pipeline.params import Images

UNREACHABLE = 50  # pictures without an answer, and none with: there is no network


class Tally:
    """What all processes have done so far; see `fetch` for what is shared.

    Args:
        counts: of pictures that are done and that failed; then whether any server answered,
            and whether the rest need not be tried.
        lock: of the counts.
        settings: the section `images` of params.yaml.
        n_named: items that name a picture, of which `max_failed` is a share.
    """

    def __init__(self, counts: Any, lock: Any, settings: Images, n_named: int) -> None:
        self.counts, self._lock = counts, lock
        self._most, self._n_named = settings.max_failed, n_named

    def done(self, n: int = 1) -> None:
        """Note pictures that are had."""
        with self._lock:
            self.counts[0] += n

    def failed(self) -> None:
        """Note a picture that failed."""
        with self._lock:
            self.counts[0] += 1
            self.counts[1] += 1
            _, failed, answers, _ = self.counts
            no_network = self._most < 1 and not answers and failed >= UNREACHABLE
            if no_network or failed > self._most * self._n_named:
                self.stop()

    def stop(self) -> None:
        """Have every process leave the rest."""
        self.counts[3] = 1

    def answered(self) -> None:
        """Note that there is a network."""
        if not self.counts[2]:
            self.counts[2] = 1

    @property
    def is_enough(self) -> bool:
        """Whether so many failed, or no server answers at all, that the rest is in vain."""
        return bool(self.counts[3])
