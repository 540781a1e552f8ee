"""Pictures in .tar, .tar.gz and .tgz files: one pass over the archive, then any order.

Not a stage: a part of `archives`. A plain tar is listed, and pictures are read from
where they lie in it. A compressed one can only be read from its start, while the items need
their pictures in another order; so the pass copies the wanted members, and no others, one after
another into a file without a name, which is gone when it is closed.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from tqdm import tqdm

from pipeline.job.errors import RawDataError
from pipeline.pictures.table import NotHad, not_written, too_large

CHUNK = 1 << 20  # bytes copied at once
HEADER_BYTES = 1 << 20  # of one member; headers may claim any length
# Pictures hardly shrink. What unpacks to more than this is no archive of pictures.
UNPACKED_TIMES, UNPACKED_FLOOR = 100, 100_000_000  # times its size; bytes that are always fine


class Tar:
    """A tar file whose wanted members have been found.

    Args:
        path: the archive.
        wanted: names of members, without `./`. Of two with one name, the later counts.
        scratch: the folder of the nameless file.
        max_megabytes: a larger member is not read.

    Raises:
        RawDataError: the nameless file cannot be written.
        OSError, tarfile.TarError: it is no such archive.
    """

    def __init__(
        self, path: Path, wanted: set[str], scratch: Path, max_megabytes: float
    ) -> None:
        self._scratch, self._max_megabytes = scratch, max_megabytes
        self._found: dict[str, tuple[int, int] | str] = {}  # offset and size, or why not
        self._damage = ""
        packed = path.suffix.lower() != ".tar"
        # Closed by `close`; the temporary file is gone then.
        self._file: IO[bytes] = (
            tempfile.TemporaryFile(dir=scratch) if packed else path.open("rb")  # noqa: SIM115
        )
        try:
            self._find(path, wanted, packed)
        except BaseException:
            self.close()
            raise

    def read(self, member: str) -> bytes:
        """Return a member's bytes, or raise NotHad, or RawDataError if they are damaged."""
        found = self._found.get(member)
        if found is None:
            raise NotHad(f"no such member of the archive{self._damage}")
        if isinstance(found, str):
            raise NotHad(found)
        offset, size = found
        data = os.pread(self._file.fileno(), size, offset)
        if len(data) < size:
            raise RawDataError("cut short in its archive")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find(self, path: Path, wanted: set[str], packed: bool) -> None:
        most = max(UNPACKED_TIMES * path.stat().st_size, UNPACKED_FLOOR) if packed else None
        bar, begun = tqdm(unit="file", desc=path.name, mininterval=1), False
        with bar, _unpacked(path, packed) as file:
            try:
                for member in _members(file, most):
                    bar.update()
                    begun = True
                    name = plain(member.name)
                    if name in wanted:
                        self._note(name, member, file if packed else None)
            except RawDataError:
                raise
            except NotHad as error:
                self._damage = f", which {error}"
            # Of tarfile, gzip and zlib, of nearly any kind. What came before is fine.
            except Exception as error:
                if not begun:
                    raise
                self._damage = f", which is damaged ({type(error).__name__})"

    def _note(self, name: str, member: tarfile.TarInfo, packed: IO[bytes] | None) -> None:
        """Note where a member is, or why it is not had; copy it out of a packed file."""
        if reason := self._refusal(member):
            self._found[name] = reason
        elif packed is None:
            self._found[name] = member.offset_data, member.size
        else:
            # Noted first: a copy that is cut short is found to be so when it is read.
            self._found[name] = self._file.seek(0, os.SEEK_END), member.size
            packed.seek(member.offset_data)
            self._copy(packed, member.size)

    def _refusal(self, member: tarfile.TarInfo) -> str:
        if member.issym() or member.islnk():
            return "refused, a link in its archive"
        if not member.isreg() or member.issparse():
            return "no plain file in its archive"
        if member.size > self._max_megabytes * 1e6:
            return too_large(self._max_megabytes)
        return ""

    def _copy(self, packed: IO[bytes], size: int) -> None:
        while size and (chunk := packed.read(min(size, CHUNK))):
            size -= len(chunk)
            try:
                self._file.write(chunk)
                self._file.flush()
            except OSError as error:
                raise not_written(self._scratch, error) from error


def plain(name: str) -> str:
    """Return a member's name without `./`, `//` and the like.

    Not by PurePosixPath: that interns every part, and Python's table of interned strings grows
    by megabytes.
    """
    root = "/" if name.startswith("/") else ""
    parts = (part for part in name.split("/") if part not in ("", "."))
    return root + "/".join(parts) or "."


def _unpacked(path: Path, packed: bool) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def _members(file: IO[bytes], most: int | None) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an unpacked tar file, in one pass.

    Args:
        file: its bytes; the caller may read a member's between two steps.
        most: the bytes to which it may unpack; None if it is not packed.

    Raises:
        NotHad: it unpacks to more.
    """
    headers = _Headers(file)
    with tarfile.open(fileobj=headers, mode="r:") as tar:  # type: ignore[call-overload]
        while (member := tar.next()) is not None:
            if member.size < 0:
                raise tarfile.ReadError("negative size")
            if most is not None and member.offset_data + member.size > most:
                raise NotHad(f"unpacks to more than {UNPACKED_TIMES} times its size")
            tar.members.clear()  # tarfile would keep them all
            yield member
            headers.left = HEADER_BYTES


class _Headers:
    """A file from which tarfile reads headers, and no more of them than is sensible."""

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
