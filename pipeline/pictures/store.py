"""The pictures that were fetched, packed: a few large files instead of a million small ones.

    .work/images/<dataset>/shard-0.pictures    one picture's bytes after another
    .work/images/<dataset>/shard-0.sqlite      the ledger: address, first byte, size, reason

Each fetching process appends to a shard of its own. Bytes come before their row in the ledger,
and rows are committed together, so that a process that is killed at any moment loses the last
second of its work at most: what lies beyond the last row is cut off. An address that failed
has a reason instead of a place. Not a stage: what `fetch` fills and `images` reads.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from pipeline.job.errors import RawDataError
from pipeline.pictures.table import NotHad, not_written

PICTURES, LEDGER = ".pictures", ".sqlite"
COMMIT_SECONDS = 0.5
LOCK_SECONDS = 10.0  # a process whose parent was killed ends within one
TABLE = (
    "CREATE TABLE IF NOT EXISTS pictures (address TEXT PRIMARY KEY, first INTEGER, "
    "size INTEGER, reason TEXT) WITHOUT ROWID"
)


class Shard:
    """One process's pictures, open for more of them.

    Args:
        folder: .work/images/<dataset>; made when needed.
        number: of the process, from 0.

    Raises:
        RawDataError: it cannot be written, is damaged, or another run is writing it.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"shard-{number}{PICTURES}"
        with _writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a picture that does not fit takes none with it that came before.
            self._file = self.path.open("ab", buffering=0)
        try:
            _lock(self._file.fileno(), self.path)
            with _writing(self.path):
                self._ledger = _opened(self.path.with_suffix(LEDGER))
                self._end = self._mend()
        except BaseException:
            self._file.close()
            raise
        self._committed = time.monotonic()

    def add(self, address: str, data: bytes) -> None:
        """Append a picture."""
        with _writing(self.path):
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            self._note(address, self._end, len(data), None)
            self._end += len(data)

    def fail(self, address: str, reason: str) -> None:
        """Note why a picture could not be had."""
        with _writing(self.path):
            self._note(address, None, None, reason)

    def commit(self) -> None:
        """Make everything so far outlast this process."""
        with _writing(self.path):
            self._ledger.commit()
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commit and close; another run may open it."""
        try:
            self.commit()
        finally:
            self._ledger.close()
            self._file.close()

    def _note(self, address: str, *place: int | str | None) -> None:
        self._ledger.execute(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", (address, *place)
        )
        if time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def _mend(self) -> int:
        """Make ledger and bytes agree; return where the next picture goes."""
        there = os.fstat(self._file.fileno()).st_size
        # After a power cut the ledger may be ahead of the bytes.
        self._ledger.execute("DELETE FROM pictures WHERE first + size > ?", (there,))
        end = self._ledger.execute("SELECT max(first + size) FROM pictures").fetchone()[0] or 0
        self._file.truncate(end)
        self._ledger.commit()
        return int(end)


class Kept:
    """All shards of a folder, open for reading; several threads may read."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob(f"shard-*{PICTURES}"))
        self._shards = [_Readable(path) for path in paths]

    def read(self, address: str) -> bytes:
        """Return a picture's bytes, or raise NotHad."""
        for shard in self._shards:
            data = shard.read(address)
            if data is not None:
                return data
        raise NotHad("not fetched")

    def absent(self, addresses: Iterable[str]) -> list[str]:
        """Return those of the addresses whose pictures are not there."""
        left = list(addresses)
        for shard in self._shards:
            left = [address for address in left if shard.place(address) is None]
        return left

    def forget(self, addresses: Iterable[str]) -> None:
        """Have the next run fetch these again; their bytes stay where they are."""
        gone = [(address,) for address in addresses]
        for shard in self._shards:
            shard.forget(gone)

    def __enter__(self) -> Kept:
        """Return it, open since it was made."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all files."""
        for shard in self._shards:
            shard.close()


class _Readable:
    """One shard, for reading."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        with _writing(path):
            self._ledger = _opened(path.with_suffix(LEDGER))
        self._file = os.open(path, os.O_RDONLY)

    def place(self, address: str) -> tuple[int, int] | None:
        query = "SELECT first, size FROM pictures WHERE address = ? AND size IS NOT NULL"
        with self._lock, _writing(self._path):
            found = self._ledger.execute(query, (address,)).fetchone()
        return None if found is None else (int(found[0]), int(found[1]))

    def read(self, address: str) -> bytes | None:
        if (place := self.place(address)) is None:
            return None
        data = os.pread(self._file, place[1], place[0])
        if len(data) < place[1]:
            raise RawDataError("cut short where it was kept")
        return data

    def forget(self, addresses: list[tuple[str]]) -> None:
        with self._lock, _writing(self._path):
            self._ledger.executemany("DELETE FROM pictures WHERE address = ?", addresses)
            self._ledger.commit()

    def close(self) -> None:
        self._ledger.close()
        os.close(self._file)


def _opened(path: Path) -> sqlite3.Connection:
    ledger = sqlite3.connect(path, check_same_thread=False)
    # One connection at a time: without shared memory, which a disk on a network has not.
    ledger.execute("PRAGMA locking_mode = EXCLUSIVE")
    ledger.execute("PRAGMA journal_mode = WAL")
    ledger.execute("PRAGMA synchronous = NORMAL")
    ledger.execute(TABLE)
    return ledger


def _lock(file: int, path: Path) -> None:
    """Lock a file until it is closed, or its process ends in whatever way."""
    last = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > last:
                raise RawDataError(
                    f"{path}: expected no other run to be fetching this dataset's pictures, "
                    "got one; wait for it or end it"
                ) from None
            time.sleep(0.1)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk and of a damaged ledger into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # full, locked, not to be opened
            raise not_written(path.with_suffix(LEDGER), error) from error
        raise RawDataError(
            f"{path.with_suffix(LEDGER)}: expected a ledger of pictures, got a damaged one: "
            f"{error}. Delete {path.parent} and run the stage again"
        ) from error
    except OSError as error:
        raise not_written(path, error) from error
