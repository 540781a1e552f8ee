"""What the readers of raw formats share: types, and the count of bad lines."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.tables.io import sha256_of
from pipeline.tables.schema import RAW_ITEMS, REVIEWS

logger = logging.getLogger(__name__)

SHOWN = 60  # characters of an offending line that a message quotes
GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952
# A member's header, or the end of an empty archive; PKWARE's APPNOTE, 4.3.7 and 4.3.16.
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
CHUNK = 1 << 20  # bytes unpacked at once


class Tables(NamedTuple):
    """A dataset: columns `schema.REVIEWS`, and `schema.RAW_ITEMS` plus those of the format."""

    reviews: pl.DataFrame
    items: pl.DataFrame


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
        """The address that stands for the file in the manifest."""
        return self.urls[0] if self.urls else self.page

    @property
    def how_to_get(self) -> str:
        """How a person gets it where it has no address, up to the word put."""
        is_own = self.page.startswith("own:")
        return (
            "Put"
            if is_own
            else f"They are behind a log-in: fetch them from {self.page} and put"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A raw format: which files it consists of, and how they become tables.

    `settings` is the dataset's section of `sources` in params.yaml.
    """

    # (settings) -> the files to fetch
    files: Callable[[Any], list[RawFile]]
    # (settings, data/raw/<dataset>, bad lines tolerated per file) -> tables
    read: Callable[[Any, Path, int], Tables]
    # The same as a Stream, for formats that may not fit in memory.
    stream: Callable[[Any, Path, int], Any] | None = None
    # (settings) -> folders of pictures that are taken from the mirror when they are there.
    folders: Callable[[Any], tuple[str, ...]] = field(default=lambda settings: ())
    # (settings, seed, folder): makes the files instead of fetching them.
    generate: Callable[[Any, int, Path], None] | None = None


@dataclass(slots=True)
class BadLines:
    """Counts the lines of one file that are not records, up to a limit.

    Args:
        file: the file that is read.
        limit: how many such lines are tolerated (`ingest.max_bad_lines`).
    """

    file: Path
    limit: int
    count: int = field(default=0, init=False)

    def add(self, line: int, text: str, expected: str) -> None:
        """Count a bad line; above the limit raise RawDataError naming file, line and text."""
        self.count += 1
        message = f"{self.file}:{line}: expected {expected}, got {text.strip()[:SHOWN]!r}"
        if self.count > self.limit:
            raise RawDataError(
                f"{message} (bad line {self.count} of this file; ingest.max_bad_lines allows "
                f"{self.limit}). Download the file again, or raise that limit"
            )
        logger.warning("%s; skipped", message)

    def without(self, lines: pl.DataFrame, is_good: pl.Expr, expected: str) -> pl.DataFrame:
        """Return the good rows of `lines`, a `Batch.table`; `add` the others."""
        for line, text in lines.filter(~is_good).select("line", "text").rows():
            self.add(line, text, expected)
        return lines.filter(is_good)


def check(path: Path, file: RawFile) -> None:
    """Raise RawDataError unless `path` is what is known of `file`.

    A server that is gone often answers with a web page; so a name in .gz must hold gzip, and
    one in .zip a zip archive. Few publishers state a checksum, but every gzip file has one of
    what is packed in it: it is read to its end.
    """
    with path.open("rb") as opened:
        start = opened.read(SHOWN)
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
        _check_packed(path)


def _check_packed(path: Path) -> None:
    try:
        with gzip.open(path) as opened:
            while opened.read(CHUNK):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RawDataError(f"expected a whole gzip file, got a damaged one: {error}") from None


def check_exists(path: Path) -> None:
    """Raise RawDataError with the command that downloads the dataset if `path` is no file."""
    if not path.is_file():
        raise RawDataError(
            f"{path}: no such file; run `python -m pipeline.download <dataset> {path.parent}` "
            "first"
        )


def empty_columns(*names: str) -> list[pl.Expr]:
    """Return columns of nulls for those of `schema.REVIEWS` and `RAW_ITEMS` without values."""
    return [pl.lit(None, dtype=(REVIEWS | RAW_ITEMS)[name]).alias(name) for name in names]
