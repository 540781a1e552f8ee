"""Pictures in .zip, .tar, .tar.gz and .tgz files, read without unpacking them to disk.

    data/raw/<dataset>/pictures.zip, a place such as pictures.zip/a/b.jpg -> bytes

Archives are not trusted: no member names a file outside its archive, links are refused, and no
declared or real size is accepted beyond `images.max_megabytes`.
"""

from __future__ import annotations

import re
import stat
import threading
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from pipeline.job.errors import NotWritten, RawDataError
from pipeline.pictures.table import too_large
from pipeline.pictures.tars import Tar, plain
from pipeline.transfer.status import Unavailable

SUFFIX = re.compile(r"\.(zip|tar|tar\.gz|tgz)/", re.IGNORECASE)
# The other methods of zipfile unpack a whole block at once, however long it becomes.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
ENCRYPTED = 1  # bit of ZipInfo.flag_bits


class Archive(Protocol):
    """An open archive; `read` may be called from several threads."""

    def read(self, member: str) -> bytes:
        """Return a member's bytes; raise Unavailable, or RawDataError if damaged."""

    def close(self) -> None:
        """Close its files."""


def below(raw: Path, place: str) -> Path:
    """Return the path of a place below the raw folder.

    Raises:
        Unavailable: it leads out of the folder.
        OSError, ValueError: it is not a path: too long, a null byte, a loop of links.
    """
    file = (raw / place).resolve()
    if Path(place).is_absolute() or not file.is_relative_to(raw.resolve()):
        raise Unavailable("refused, not below the dataset's raw folder")
    return file


class Archives:
    """The archives below data/raw/<dataset> that items name, each opened and listed once.

    Args:
        places: the items' column `image`; those that name no member of an archive are ignored.
        raw: data/raw/<dataset>.
        scratch: a folder for temporary files, with the members of compressed archives.
        max_megabytes: a larger member is not read.

    Raises:
        NotWritten: a temporary file cannot be written.
    """

    def __init__(
        self, places: Iterable[str | None], raw: Path, scratch: Path, max_megabytes: float
    ) -> None:
        self._members: dict[str, tuple[str, str]] = {}  # place -> archive, member
        self._archives: dict[str, Archive | str] = {}  # a text: why it cannot be opened
        wanted: dict[str, set[str]] = {}
        for place in places:
            if place and (names := _split(place, raw)):
                self._members[place] = names
                wanted.setdefault(names[0], set()).add(names[1])
        with ExitStack() as files:
            for name, members in sorted(wanted.items()):
                archive = _open(name, raw, members, scratch, max_megabytes)
                self._archives[name] = archive
                if not isinstance(archive, str):
                    files.callback(archive.close)
            self._files = files.pop_all()

    def __contains__(self, place: str) -> bool:
        """Whether a place is in an archive."""
        return place in self._members

    def read(self, place: str) -> bytes:
        """Return a member's bytes.

        Raises:
            Unavailable: it is absent, a link, too large or compressed in an unsupported way.
            RawDataError: it is damaged.
        """
        name, member = self._members[place]
        archive = self._archives[name]
        if isinstance(archive, str):
            raise Unavailable(archive)
        if ".." in member.split("/") or member.startswith("/"):
            raise Unavailable("refused, no plain name of a member")
        return archive.read(plain(member))

    def __enter__(self) -> Archives:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()


def _split(place: str, raw: Path) -> tuple[str, str] | None:
    """Return the archive and the member that a place names; None if it names neither."""
    for end in SUFFIX.finditer(place):
        name = place[: end.end() - 1]
        try:
            if (raw / name).is_file():
                return name, place[end.end() :]
        except OSError:  # the name is too long: reading it as a path gives the reason
            return None
    return None


def _open(
    name: str, raw: Path, members: Iterable[str], scratch: Path, max_megabytes: float
) -> Archive | str:
    """Return an open archive, or why it cannot be opened."""
    wanted = {plain(member) for member in members}
    try:
        path = below(raw, name)
        if path.suffix.lower() == ".zip":
            return _Zip(path, wanted, max_megabytes)
        return Tar(path, wanted, scratch, max_megabytes)
    except Unavailable as error:
        return str(error)
    except (RawDataError, NotWritten):
        raise
    # The libraries raise nearly anything for a file that is damaged or not an archive.
    except Exception as error:
        return f"its archive cannot be read ({type(error).__name__})"


class _Zip:
    """A zip file; its directory is read once."""

    def __init__(self, path: Path, wanted: set[str], max_megabytes: float) -> None:
        self._zip = zipfile.ZipFile(path)
        self._max_megabytes = max_megabytes
        self._lock = threading.Lock()  # ZipFile counts its readers without one
        self._members = {
            name: member
            for member in self._zip.infolist()
            if not member.is_dir() and (name := plain(member.filename)) in wanted
        }

    def read(self, member: str) -> bytes:
        info = self._members.get(member)
        if info is None:
            raise Unavailable("no such member of the archive")
        self._check(info)
        try:
            with self._lock, self._zip.open(info) as file:
                # The number bounds what is unpacked even if the declared size is wrong.
                return file.read(info.file_size + 1)
        except Exception as error:  # of zipfile, zlib and struct, of nearly any kind
            raise RawDataError(f"damaged in its archive ({type(error).__name__})") from error

    def _check(self, info: zipfile.ZipInfo) -> None:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise Unavailable("refused, a link in its archive")
        if info.flag_bits & ENCRYPTED:
            raise Unavailable("encrypted in its archive")
        if info.compress_type not in METHODS:
            raise Unavailable("neither stored nor deflated in its archive")
        if info.file_size > self._max_megabytes * 1e6:
            raise Unavailable(too_large(self._max_megabytes))

    def close(self) -> None:
        self._zip.close()
