"""The mirror: a folder of published files that stands before the network.

Its layout is <dataset>/<file name as published>; the environment variable names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RawDataError

VARIABLE = "DATA_MIRROR"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """A dataset's place in the mirror.

    Args:
        dataset: a name of `sources`.
        root: the mirror; None when there is none.
        place: the dataset's folder, where it is not in a mirror.
    """

    dataset: str
    root: Path | None = None
    place: Path | None = None

    @property
    def folder(self) -> Path | None:
        """The dataset's folder, which need not exist."""
        return self.place or (self.root / self.dataset if self.root else None)

    @property
    def mend(self) -> str:
        """Where a person should put a file that is nowhere to be had."""
        if self.folder:
            return f"{self.folder}/"
        return f"<mirror>/{self.dataset}/, with {VARIABLE}=<mirror> in the environment"


def find(value: str | None, dataset: str) -> Mirror:
    """Return the mirror that the environment variable's `value` names.

    Raises:
        RawDataError: it is no folder.
    """
    if not value:
        return Mirror(dataset=dataset)
    if not Path(value).is_dir():
        raise RawDataError(
            f"{VARIABLE}: expected a folder laid out as <dataset>/<file>, got {value!r}; "
            f"make it, or unset {VARIABLE}"
        )
    return Mirror(dataset=dataset, root=Path(value))
