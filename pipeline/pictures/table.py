"""Writing the table of pictures, and the list of those that failed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.job.errors import RawDataError
from pipeline.tables.io import replacing
from pipeline.tables.schema import IMAGES, ITEM
from pipeline.tables.verified import PARQUET

OK, MISSING, BROKEN = "ok", "missing", "broken"
ROWS, GROUP_BYTES = 256, 64_000_000  # a row group ends at whichever comes first
# Of the columns of schema.IMAGES, in order.
TYPES = (pa.int32(), pa.string(), pa.binary(), pa.int32(), pa.int32(), pa.string())
SCHEMA = pa.schema(list(zip(IMAGES, TYPES, strict=True)))
# One row per item whose picture failed; `place` is the address or path that the item names.
LEDGER = {ITEM: pl.Int32, "place": pl.String, "status": pl.String, "reason": pl.String}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A row of the table without its item."""

    status: str
    place: str | None = None  # address or path, as the item names it
    reason: str = ""  # why there are no bytes; empty if ok
    data: bytes | None = None
    size: tuple[int | None, int | None] = (None, None)

    @property
    def source(self) -> str:
        """Return where the bytes came from, or why there are none."""
        return ": ".join(part for part in (self.reason, self.place) if part)


def too_large(max_megabytes: float) -> str:
    """Return the reason for a picture beyond the limit."""
    return f"more than images.max_megabytes = {max_megabytes:g}"


def write_pictures(pictures: Iterable[Picture], path: Path) -> list[Picture]:
    """Write the pictures of items 0, 1, 2, ...; one row group is in memory at a time.

    Returns:
        All of them without their bytes.
    """
    written: list[Picture] = []
    with pq.ParquetWriter(path, SCHEMA, use_dictionary=False, **PARQUET) as writer:
        for group in _groups(pictures):
            writer.write_batch(_batch(group, first=len(written)))
            written += [replace(picture, data=None) for picture in group]
    return written


def _groups(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Yield groups of ROWS pictures, or fewer where they are large."""
    group: list[Picture] = []
    size = 0
    for picture in pictures:
        group.append(picture)
        size += len(picture.data or b"")
        if len(group) == ROWS or size > GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _batch(group: list[Picture], first: int) -> pa.RecordBatch:
    rows = [(first + n, p.status, p.data, *p.size, p.source) for n, p in enumerate(group)]
    columns = zip(zip(*rows, strict=True), TYPES, strict=True)
    return pa.record_batch([pa.array(column, type_) for column, type_ in columns], SCHEMA)


def write_ledger(failed: Mapping[int, Picture], path: Path) -> None:
    """Write which pictures failed and why, or remove the list of an earlier run.

    Args:
        failed: item -> its row, items ascending.
        path: .work/images/<dataset>/ledger.csv, with the columns of `LEDGER`.

    Raises:
        NotWritten: the file cannot be written.
    """
    if not failed:
        path.unlink(missing_ok=True)
        return
    rows = [(item, row.place, row.status, row.reason) for item, row in failed.items()]
    with replacing(path) as partial:
        pl.DataFrame(rows, schema=LEDGER, orient="row").write_csv(partial)
    log.warning("%d pictures failed, each with its reason in %s", len(failed), path)


def too_many_failed(
    failed: Iterable[Picture], max_failed: float, n_named: int, ledger: Path
) -> RawDataError:
    """Return the error that stops the stage, with counts and the most common reasons."""
    counts = Counter(picture.reason for picture in failed)
    most_common = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common(3))
    return RawDataError(
        f"images: expected at most images.max_failed = {max_failed:g} of {n_named} pictures to "
        f"fail, got {counts.total()} failures so far: {most_common}. Each is listed in "
        f"{ledger}. Remove the cause and run the stage again (what was fetched is kept), or "
        "raise images.max_failed"
    )
