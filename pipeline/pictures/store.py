"""Fetched pictures, packed into a few large files instead of a million small ones.

    .work/images/<dataset>/shard-0.pictures    one picture's bytes after another
    .work/images/<dataset>/shard-0.sqlite      the ledger: address, first byte, size, sha256,
                                               reason

Each fetching process appends to its own shard. Bytes are written before their row in the
ledger, and rows are committed together: a process that is killed at any moment loses the last
second of its work at most, and what follows the last row is cut off. An address that failed has
a reason instead of a place. What does not match its checksum, or was fetched by other code, is
fetched again.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.job.code import code_digest
from pipeline.job.errors import RawDataError, not_written
from pipeline.transfer.status import Unavailable

PICTURES, LEDGER = ".pictures", ".sqlite"
COMMIT_SECONDS = 0.5
LOCK_SECONDS = 10.0  # a process whose parent was killed ends within one
TABLE = (
    "CREATE TABLE IF NOT EXISTS pictures (address TEXT PRIMARY KEY, first INTEGER, "
    "size INTEGER, sha256 BLOB, reason TEXT) WITHOUT ROWID"
)
# The disk or another process is at fault, not the ledger.
NO_DAMAGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
)
# Of the code that fetches, as a number that the ledger's header holds.
CODE = int(code_digest("pipeline/pictures/fetch.py", within="pipeline/pictures")[:7], 16)
log = logging.getLogger(__name__)


class Shard:
    """One process's pictures, open for appending.

    Args:
        folder: .work/images/<dataset>; made when needed.
        number: of the process, from 0.

    Raises:
        NotWritten: no room for it, or its place is read-only.
        RawDataError: another run is writing it.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"shard-{number}{PICTURES}"
        with _clear_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a picture that does not fit leaves those before it intact.
            self._file = self.path.open("ab", buffering=0)
        try:
            _lock(self._file.fileno(), self.path)
            with _clear_errors(self.path):
                self._ledger = _open_ledger(self.path)
                self._end = self._repair()
        except BaseException:
            self._file.close()
            raise
        self._committed = time.monotonic()

    def add(self, address: str, data: bytes) -> None:
        """Append a picture."""
        with _clear_errors(self.path):
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
            self._note(address, self._end, len(data), hashlib.sha256(data).digest(), None)
            self._end += len(data)

    def fail(self, address: str, reason: str) -> None:
        """Note why a picture is unavailable."""
        with _clear_errors(self.path):
            self._note(address, None, None, None, reason)

    def commit(self) -> None:
        """Make everything so far survive this process."""
        with _clear_errors(self.path):
            self._ledger.commit()
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commit and close; another run may open it."""
        try:
            self.commit()
        finally:
            self._ledger.close()
            self._file.close()

    def _note(self, *row: int | str | bytes | None) -> None:
        self._ledger.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)", row)
        if time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def _repair(self) -> int:
        """Make ledger and bytes agree; return where the next picture goes."""
        size = os.fstat(self._file.fileno()).st_size
        # After a power cut the ledger may be ahead of the bytes.
        self._ledger.execute("DELETE FROM pictures WHERE first + size > ?", (size,))
        end = self._ledger.execute("SELECT max(first + size) FROM pictures").fetchone()[0] or 0
        self._file.truncate(end)
        self._ledger.commit()
        return int(end)


class Store:
    """All shards of a folder, open for reading; several threads may read."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob(f"shard-*{PICTURES}"))
        self._shards = [_ReadableShard(path) for path in paths]

    def read(self, address: str) -> bytes:
        """Return a picture's bytes, or raise Unavailable."""
        for shard in self._shards:
            data = shard.read(address)
            if data is not None:
                return data
        raise Unavailable("not fetched")

    def absent(self, addresses: Iterable[str]) -> list[str]:
        """Return the addresses whose pictures have not been fetched, or are damaged."""
        absent = list(addresses)
        for shard in self._shards:
            absent = [address for address in absent if not shard.has(address)]
        return absent

    def forget(self, addresses: Iterable[str]) -> None:
        """Have the next run fetch these again; their bytes stay in the file."""
        rows = [(address,) for address in addresses]
        for shard in self._shards:
            shard.forget(rows)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        for shard in self._shards:
            shard.close()


class _ReadableShard:
    """One shard, for reading."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        with _clear_errors(path):
            self._ledger = _open_ledger(path)
        self._file = os.open(path, os.O_RDONLY)

    def has(self, address: str) -> bool:
        """Whether a picture is there as it was fetched; forget a damaged one."""
        try:
            return self.read(address) is not None
        except RawDataError as error:
            log.warning("%s: thrown away: %s, %s", self._path, address, error)
            self.forget([(address,)])
            return False

    def read(self, address: str) -> bytes | None:
        query = (
            "SELECT first, size, sha256 FROM pictures WHERE address = ? AND size IS NOT NULL"
        )
        with self._lock, _clear_errors(self._path):
            row = self._ledger.execute(query, (address,)).fetchone()
        if row is None:
            return None
        first, size, sha256 = row
        data = os.pread(self._file, size, first)
        if hashlib.sha256(data).digest() != sha256:
            raise RawDataError("damaged where it was kept")
        return data

    def forget(self, addresses: list[tuple[str]]) -> None:
        with self._lock, _clear_errors(self._path):
            self._ledger.executemany("DELETE FROM pictures WHERE address = ?", addresses)
            self._ledger.commit()

    def close(self) -> None:
        self._ledger.close()
        os.close(self._file)


def _open_ledger(path: Path) -> sqlite3.Connection:
    """Open a shard's ledger; start anew if it is damaged or of other code."""
    file = path.with_suffix(LEDGER)
    if file.exists() and (reason := _unusable(file)):
        log.warning("%s: thrown away: %s; its pictures are fetched again", file, reason)
        for part in ("", "-wal", "-shm"):
            file.with_name(file.name + part).unlink(missing_ok=True)
    ledger = _connected(file)
    ledger.execute(TABLE)
    ledger.execute(f"PRAGMA user_version = {CODE}")
    return ledger


def _unusable(file: Path) -> str:
    """Return why a ledger is not to be believed; empty if it is."""
    try:
        with closing(_connected(file)) as ledger:
            if ledger.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return "it is damaged"
            code = ledger.execute("PRAGMA user_version").fetchone()
            return "" if code == (CODE,) else "its pictures were fetched by other code"
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in NO_DAMAGE:
            raise
        return f"it is damaged ({error})"


def _connected(file: Path) -> sqlite3.Connection:
    ledger = sqlite3.connect(file, check_same_thread=False)
    # One connection at a time: without shared memory, which network disks lack.
    ledger.execute("PRAGMA locking_mode = EXCLUSIVE")
    ledger.execute("PRAGMA journal_mode = WAL")
    ledger.execute("PRAGMA synchronous = NORMAL")
    return ledger


def _lock(file: int, path: Path) -> None:
    """Lock a file until it is closed, or its process ends in whatever way."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RawDataError(
                    f"{path}: expected no other run to be fetching this dataset's pictures, "
                    "got one; wait for it or end it"
                ) from None
            time.sleep(0.1)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk and of the ledger into messages."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise not_written(path.with_suffix(LEDGER), error) from error
    except OSError as error:
        raise not_written(path, error) from error
