"""The mirror: a place of published files that stands before the network.

Its layout is <dataset>/<file name as published>; the environment variable names it: a folder,
or an address that starts with file:, s3:, gs:, http: or https:.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from pipeline.job.errors import RawDataError
from pipeline.transfer.answers import shown

VARIABLE = "DATA_MIRROR"
STORES = ("s3", "gs", "http", "https")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: C: is a disk


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """A dataset's place in the mirror.

    Args:
        dataset: a name of `sources`.
        root: the mirror's folder; None when it is none.
        place: the dataset's folder, where it is not in a mirror.
        address: the mirror's address; '' when it has none.
    """

    dataset: str
    root: Path | None = None
    place: Path | None = None
    address: str = ""

    @property
    def folder(self) -> Path | None:
        """The dataset's folder, which need not exist."""
        return self.place or (self.root / self.dataset if self.root else None)

    def url(self, name: str) -> str:
        """Return the address of what is called `name` below the dataset; '' without one."""
        if not self.address:
            return ""
        web = self.address.lower().startswith("http")
        return f"{self.address}/{self.dataset}/{quote(name) if web else name}"

    @property
    def mend(self) -> str:
        """Where a person should put a file that is nowhere to be had."""
        if self.folder:
            return f"{self.folder}/"
        if self.address:
            return f"{shown(self.address)}/{self.dataset}/"
        return f"<mirror>/{self.dataset}/, with {VARIABLE}=<mirror> in the environment"


def find(value: str | None, dataset: str) -> Mirror:
    """Return the mirror that the environment variable's `value` names.

    Raises:
        RawDataError: it is neither a folder nor an address of a kind that can be read.
    """
    if not value:
        return Mirror(dataset=dataset)
    scheme = SCHEME.match(value)
    kind = scheme[1].lower() if scheme else "file"
    if kind in STORES and "://" in value:
        return Mirror(dataset=dataset, address=value.rstrip("/"))
    folder = Path(url2pathname(urlsplit(value).path) if scheme and kind == "file" else value)
    if not folder.is_dir():
        raise RawDataError(
            f"{VARIABLE}: expected a folder laid out as <dataset>/<file>, or the like at "
            f"{', '.join(f'{store}://' for store in STORES)}, got {value!r}; make it, or unset "
            f"{VARIABLE}"
        )
    return Mirror(dataset=dataset, root=folder)
