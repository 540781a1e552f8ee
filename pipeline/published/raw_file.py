"""A raw file as published: its name, its addresses, and the checks that it must pass."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.job.errors import RawDataError
from pipeline.tables.io import sha256_of

QUOTED = 60  # bytes of a wrong file that a message quotes
GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952
# A member's header, or the end of an empty archive; PKWARE's APPNOTE, 4.3.7 and 4.3.16.
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
CHUNK = 1 << 20  # bytes unpacked at once
OWN = "own:"  # how `page` starts for a file of the user


@dataclass(frozen=True, kw_only=True, slots=True)
class RawFile:
    """A file as published."""

    name: str  # its published name, also its name in the mirror and below data/raw/<dataset>/
    urls: tuple[str, ...] = ()  # official address first; empty: behind a log-in
    page: str = ""  # where a person finds it, when there is no address; own:<name> if nowhere
    sha256: str = ""  # leading hexadecimal digits, when known
    required: bool = True

    @property
    def published(self) -> str:
        """The address that the manifest has for the file."""
        return self.urls[0] if self.urls else self.page

    @property
    def how_to_get(self) -> str:
        """How a person gets a file without an address, up to the word put."""
        if self.page.startswith(OWN):
            return "Put"
        return f"They are behind a log-in: fetch them from {self.page} and put"


def check(path: Path, file: RawFile) -> None:
    """Raise RawDataError unless the content of `path` agrees with what is known of `file`.

    A server that is gone often answers with a web page, so a name in .gz must hold gzip, and
    one in .zip a zip archive. Few publishers state a checksum, but every gzip file contains one
    of its unpacked content: the file is read to its end.
    """
    with path.open("rb") as opened:
        start = opened.read(QUOTED)
    if not start:
        raise RawDataError("expected a file, got an empty one")
    if file.name.endswith(".gz") and not start.startswith(GZIP_MAGIC):
        raise RawDataError(f"expected a gzip file, got one that starts with {start!r}")
    if file.name.endswith(".zip") and not start.startswith(ZIP_MAGIC):
        raise RawDataError(f"expected a zip file, got one that starts with {start!r}")
    digest = sha256_of(path) if file.sha256 else ""
    if not digest.startswith(file.sha256):
        raise RawDataError(f"expected sha256 {file.sha256}..., got {digest}")
    if file.name.endswith(".gz") and not file.sha256:
        _check_gzip(path)


def _check_gzip(path: Path) -> None:
    try:
        with gzip.open(path) as opened:
            while opened.read(CHUNK):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RawDataError(f"expected a whole gzip file, got a damaged one: {error}") from None
