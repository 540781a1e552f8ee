"""A dataset while it is read: reviews in batches, then the reviewed items in ranges of ids.

Memory holds a few batches and the distinct ids of items. Metadata files are in any order, and
the table of items is sorted. So the metadata of each range of ids goes to a temporary file, and
ranges are completed once all metadata have been read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.job.errors import RawDataError
from pipeline.sources.raw import EXAMPLES, Ledger, Tables
from pipeline.tables.schema import ITEM, RAW_ID, Columns

logger = logging.getLogger(__name__)

RANGE = 1 << 16  # items that are completed at a time, about
MAX_RANGES = 256  # files that are open at once
PLACE = "place"


@dataclass(frozen=True, slots=True)
class Stream:
    """Reviews and items as iterators, to be read once, reviews first.

    `reviews` yields schema.REVIEWS, perhaps with `verified`, in the order of the file: at least
    one table, which may be empty. `items` takes the distinct ids in the reviews, sorted, and an
    empty folder for temporary files; it yields the rows of those items in that order.
    """

    reviews: Iterator[pl.DataFrame]
    items: Callable[[pl.Series, Path], Iterator[pl.DataFrame]]

    @classmethod
    def of(cls, tables: Tables) -> Stream:
        """Return a dataset in memory as a stream."""
        return cls(iter([tables.reviews]), lambda reviewed, work: iter([tables.items]))

    def tables(self) -> Tables:
        """Read everything into memory."""
        reviews = pl.concat(self.reviews)
        with TemporaryDirectory() as work:
            items = pl.concat(self.items(reviews[ITEM].unique().sort(), Path(work)))
        return Tables(reviews, items)


def completed(
    metadata: Iterator[pl.DataFrame],
    columns: Columns,
    reviewed: pl.Series,
    work: Path,
    ledger: Ledger,
) -> Iterator[pl.DataFrame]:
    """Yield one row per reviewed item, in the order of `raw_id`, in several tables.

    Args:
        metadata: tables of `columns`, in the order of the file; of rows with the same `raw_id`
            the first counts.
        columns: `raw_id` and others.
        reviewed: distinct ids, sorted.
        work: an empty folder for temporary files.
        ledger: of the files; it has the share of items that must have metadata.

    Yields:
        At least one table of `columns`; an item without metadata has nulls, so that every item
        of the reviews has a row.

    Raises:
        RawDataError: there are metadata, and no or few items have any.
    """
    n_rows, n_kept, n_items = 0, 0, len(reviewed)
    is_described = np.zeros(n_items, dtype=np.bool_)
    strangers: list[str] = []  # the first ids that are only in the metadata
    size = max(RANGE, -(-n_items // MAX_RANGES))
    with closing(_Ranges(work, pl.DataFrame(schema=columns))) as ranges:
        for table in metadata:
            n_rows += table.height
            place = _places(table[RAW_ID], reviewed)
            kept = table.with_columns(place // size).filter(place.is_not_null())
            n_kept += kept.height
            is_described[place.drop_nulls().to_numpy()] = True
            if len(strangers) < EXAMPLES:
                strangers += table.filter(place.is_null())[RAW_ID].head(EXAMPLES).to_list()
            ranges.add(kept)
        n_described = int(is_described.sum())
        if n_described < ledger.limits.min_known_items * min(n_items, n_rows):
            lost = reviewed.filter(pl.Series(~is_described)).head(EXAMPLES)
            raise _unmet(ledger, n_described, n_items, lost.to_list(), strangers[:EXAMPLES])
        for number in range(max(1, -(-n_items // size))):
            rows = ranges.read(number).unique(RAW_ID, keep="first", maintain_order=True)
            ids = reviewed[number * size : (number + 1) * size].alias(RAW_ID).to_frame()
            items = ids.join(rows, on=RAW_ID, how="left", maintain_order="left")
            yield items.select(list(columns))
    logger.info(
        "metadata: %d rows, %d of them of reviewed items, %d repeats ignored; "
        "%d of %d items have no metadata",
        n_rows,
        n_kept,
        n_kept - n_described,
        n_items - n_described,
        n_items,
    )


def _unmet(
    ledger: Ledger, n_described: int, n_items: int, lost: list[str], strangers: list[str]
) -> RawDataError:
    files = " and ".join(str(counts.file) for counts in ledger.files)
    return RawDataError(
        f"{files}: expected the same item ids in both, got {n_described:,} of {n_items:,} items"
        f" of the interactions in the items table: the interactions have {lost}, the items "
        f"{strangers}. Write the ids alike, or name other files or columns in params.yaml; "
        f"ingest.min_known_items asks for a share of {ledger.limits.min_known_items:g}"
    )


def _places(ids: pl.Series, reviewed: pl.Series) -> pl.Series:
    """Return the position of each id in the sorted `reviewed`, null where it is not in it.

    By bisection: a cast to an Enum or a join would hash all of `reviewed` for every batch.
    """
    if reviewed.is_empty():
        return pl.Series(PLACE, [None] * len(ids), pl.UInt32)
    place = reviewed.search_sorted(ids).clip(upper_bound=len(reviewed) - 1)
    is_reviewed = reviewed.gather(place) == ids
    return pl.select(pl.when(is_reviewed).then(place).alias(PLACE)).to_series()


@dataclass(slots=True)
class _Ranges:
    """Temporary files of metadata, one for each range of items."""

    folder: Path
    empty: pl.DataFrame
    files: dict[int, pa.ipc.RecordBatchStreamWriter] = field(default_factory=dict)

    def close(self) -> None:
        for file in self.files.values():
            file.close()

    def add(self, rows: pl.DataFrame) -> None:
        """Write rows to the files of the ranges that `PLACE` numbers."""
        parts = rows.partition_by(PLACE, as_dict=True, include_key=False)
        for (number,), part in parts.items():
            table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            if number not in self.files:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self.files[number] = pa.ipc.new_stream(
                    str(self._path(number)), table.schema, options=options
                )
            self.files[number].write_table(table)

    def read(self, number: int) -> pl.DataFrame:
        """Return the rows of a range in the order in which they came, and remove its file."""
        if number not in self.files:
            return self.empty
        self.files.pop(number).close()
        path = self._path(number)
        with pa.OSFile(str(path)) as file:
            rows = pl.DataFrame(pl.from_arrow(pa.ipc.open_stream(file).read_all()))
        path.unlink()
        return rows

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.arrow"
