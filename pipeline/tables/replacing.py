"""Write a file whole or not at all.

A file is written under a temporary name and then renamed: a killed stage leaves no broken file
under its final name. The folder is created first, which DVC does not do.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pipeline.job.errors import not_written
from pipeline.job.one_writer import is_alive

# The partial file of a writer: its host and its process.
PARTIAL = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial")
log = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it when the block succeeds.

    The folder is created. If the block raises, the temporary file is removed. Every writer has
    a name of its own: of two that write one file, the last one to finish wins. What killed
    writers left in the folder is removed.

    Raises:
        NotWritten: no room, a read-only place, or a file where a folder should be.
    """
    name = f".{path.name[:40]}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.partial"
    partial = path.with_name(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_partials(path.parent.absolute())
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        # Not ours: an input that the block reads. A failed write names no file.
        ours = (None, *map(str, (partial, path, *path.parents)))
        is_absent = error.filename is None and isinstance(error, FileNotFoundError)
        if error.filename not in ours or is_absent:
            raise
        raise not_written(path, error) from error


@cache
def _remove_left_partials(folder: Path) -> None:
    """Remove the partial files of writers on this host that are dead; once per process."""
    with os.scandir(folder) as entries:
        left = [match for entry in entries if (match := PARTIAL.fullmatch(entry.name))]
    for name, host, pid in ((match[0], match[1], int(match[2])) for match in left):
        if host == _host() and not is_alive(pid):
            log.warning("%s: removed, left by process %d, which was killed", folder / name, pid)
            (folder / name).unlink(missing_ok=True)


@cache
def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"
