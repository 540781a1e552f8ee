"""Where a picture's bytes are: fetched from the web, in a folder, in an archive.

Not a stage: what `images` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.pictures.archives import Archives, below
from pipeline.pictures.fetch import is_address
from pipeline.pictures.store import Kept
from pipeline.pictures.table import NotHad, too_large


@dataclass(frozen=True)
class Places:
    """All that an item's column `image` can name.

    Args:
        raw: data/raw/<dataset>.
        kept: those that were fetched, open.
        failures: address -> reason of those that could not be fetched.
        archives: those below `raw`, open.
        max_megabytes: a larger local file is not read.
    """

    raw: Path
    kept: Kept
    failures: Mapping[str, str]
    archives: Archives
    max_megabytes: float

    def read(self, place: str) -> bytes:
        """Return a picture's bytes.

        Raises:
            NotHad: they cannot be had.
            RawDataError: they are damaged in their archive, or where they were kept.
        """
        if place in self.failures:
            raise NotHad(self.failures[place])
        if is_address(place):
            return self.kept.read(place)
        if place in self.archives:
            return self.archives.read(place)
        try:
            return self._file(place).read_bytes()
        except (OSError, ValueError) as error:  # a name too long, a null byte, no permission
            raise NotHad(f"not to be read ({type(error).__name__})") from error

    def _file(self, place: str) -> Path:
        file = below(self.raw, place)
        if not file.is_file():
            raise NotHad("no such file")
        if file.stat().st_size > self.max_megabytes * 1e6:
            raise NotHad(too_large(self.max_megabytes))
        return file
