"""Pictures in .tar, .tar.gz and .tgz files: one pass over the archive, then any order.

A plain tar is listed, and pictures are read from it directly. A compressed one can only be read
from its start, while the items need their pictures in another order; so the pass copies the
wanted members, one after another, into a temporary file.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from pipeline.job.errors import NotWritten, RawDataError, not_written
from pipeline.job.progress import Bar
from pipeline.pictures.table import too_large
from pipeline.transfer.status import Unavailable

CHUNK = 1 << 20  # bytes copied at once
HEADER_BYTES = 1 << 20  # of one member; headers may claim any length
# Pictures hardly shrink. A file that unpacks to more than this is not an archive of pictures.
UNPACKED_TIMES, UNPACKED_FLOOR = 100, 100_000_000  # times its size; bytes always allowed


class Tar:
    """A tar file, open for reading its wanted members.

    Args:
        path: the archive.
        wanted: names of members, without `./`. Of two with one name, the later counts.
        scratch: the folder of the temporary file.
        max_megabytes: a larger member is not read.

    Raises:
        NotWritten: the temporary file cannot be written.
        OSError, tarfile.TarError: it is not such an archive.
    """

    def __init__(
        self, path: Path, wanted: set[str], scratch: Path, max_megabytes: float
    ) -> None:
        self._scratch, self._max_megabytes = scratch, max_megabytes
        self._places: dict[str, tuple[int, int] | str] = {}  # offset and size, or why not
        self._damage = ""
        compressed = path.suffix.lower() != ".tar"
        # Closed by `close`, which removes the temporary file.
        self._file: IO[bytes] = _temporary(scratch) if compressed else path.open("rb")
        try:
            self._find(path, wanted, compressed)
        except BaseException:
            self.close()
            raise

    def read(self, member: str) -> bytes:
        """Return a member's bytes; raise Unavailable, or RawDataError if damaged."""
        place = self._places.get(member)
        if place is None:
            raise Unavailable(f"no such member of the archive{self._damage}")
        if isinstance(place, str):
            raise Unavailable(place)
        offset, size = place
        data = os.pread(self._file.fileno(), size, offset)
        if len(data) < size:
            raise RawDataError("cut short in its archive")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find(self, path: Path, wanted: set[str], compressed: bool) -> None:
        size = path.stat().st_size
        most = max(UNPACKED_TIMES * size, UNPACKED_FLOOR) if compressed else None
        bar, has_begun = Bar(unit="file", desc=path.name), False
        with bar, _unpacked(path, compressed) as file:
            try:
                for member in _members(file, most):
                    bar.update()
                    has_begun = True
                    name = plain(member.name)
                    if name in wanted:
                        self._note(name, member, file if compressed else None)
            except (RawDataError, NotWritten):
                raise
            except Unavailable as error:
                self._damage = f", which {error}"
            # Nearly any error of tarfile, gzip and zlib. The members before it are fine.
            except Exception as error:
                if not has_begun:
                    raise
                self._damage = f", which is damaged ({type(error).__name__})"

    def _note(self, name: str, member: tarfile.TarInfo, compressed: IO[bytes] | None) -> None:
        """Note where a member is, or why not; copy it out of a compressed archive."""
        if reason := self._refusal(member):
            self._places[name] = reason
        elif compressed is None:
            self._places[name] = member.offset_data, member.size
        else:
            # Noted first: a copy that is cut short is detected when it is read.
            self._places[name] = self._file.seek(0, os.SEEK_END), member.size
            compressed.seek(member.offset_data)
            self._copy(compressed, member.size)

    def _refusal(self, member: tarfile.TarInfo) -> str:
        if member.issym() or member.islnk():
            return "refused, a link in its archive"
        if not member.isreg() or member.issparse():
            return "no plain file in its archive"
        if member.size > self._max_megabytes * 1e6:
            return too_large(self._max_megabytes)
        return ""

    def _copy(self, compressed: IO[bytes], size: int) -> None:
        while size and (chunk := compressed.read(min(size, CHUNK))):
            size -= len(chunk)
            try:
                self._file.write(chunk)
                self._file.flush()
            except OSError as error:
                raise not_written(self._scratch, error) from error


def _temporary(scratch: Path) -> IO[bytes]:
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=scratch)
    except OSError as error:
        raise not_written(scratch, error) from error


def plain(name: str) -> str:
    """Return a member's name without `./`, `//` and the like.

    Not by PurePosixPath: that interns every part, which costs megabytes.
    """
    root = "/" if name.startswith("/") else ""
    parts = (part for part in name.split("/") if part not in ("", "."))
    return root + "/".join(parts) or "."


def _unpacked(path: Path, compressed: bool) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if compressed else path.open("rb")


def _members(file: IO[bytes], most: int | None) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an unpacked tar file, in one pass.

    Args:
        file: its bytes; the caller may read a member's between two steps.
        most: limit of the unpacked bytes; None if it is not compressed.

    Raises:
        Unavailable: it unpacks to more.
    """
    headers = _Headers(file)
    with tarfile.open(fileobj=headers, mode="r:") as tar:  # type: ignore[call-overload]
        while (member := tar.next()) is not None:
            if member.size < 0:
                raise tarfile.ReadError("negative size")
            if most is not None and member.offset_data + member.size > most:
                raise Unavailable(f"unpacks to more than {UNPACKED_TIMES} times its size")
            tar.members.clear()  # tarfile would keep them all
            yield member
            headers.left = HEADER_BYTES


class _Headers:
    """A file from which tarfile reads headers, of a limited length."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.left = HEADER_BYTES

    def read(self, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise tarfile.ReadError("a header too long")
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()
