"""A dataset while it is read: reviews in batches, then the items in them, a range at a time.

What is held in memory is a few batches, and the ids of the items, each once. The metadata of
an item may stand anywhere in its file, while the table of items is sorted; so what is known of
each range of ids is laid aside in a file, and a range is completed when all is read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa

from pipeline.sources.raw import Tables
from pipeline.tables.schema import ITEM, RAW_ID, Columns

logger = logging.getLogger(__name__)

RANGE = 1 << 16  # items that are completed at a time, about
MOST_RANGES = 256  # files that are open at once
PLACE, NUMBER = "place", "range"


@dataclass(frozen=True, slots=True)
class Stream:
    """Reviews and items as iterators; to be read once, reviews first.

    `reviews` yields schema.REVIEWS, perhaps with `verified`, in the order of the file; at
    least one table, which may be empty. `items`, given the ids in the reviews (each once,
    sorted) and an empty folder to work in, yields the rows of those items in that order.
    """

    reviews: Iterator[pl.DataFrame]
    items: Callable[[pl.Series, Path], Iterator[pl.DataFrame]]

    @classmethod
    def of(cls, tables: Tables) -> Stream:
        """Return the stream of a dataset that is in memory."""
        return cls(iter([tables.reviews]), lambda reviewed, work: iter([tables.items]))

    def tables(self) -> Tables:
        """Read everything into memory."""
        reviews = pl.concat(self.reviews)
        with TemporaryDirectory() as work:
            items = pl.concat(self.items(reviews[ITEM].unique().sort(), Path(work)))
        return Tables(reviews, items)


def completed(
    metadata: Iterator[pl.DataFrame], columns: Columns, reviewed: pl.Series, work: Path
) -> Iterator[pl.DataFrame]:
    """Yield one row per reviewed item, in the order of `raw_id`, in several tables.

    Args:
        metadata: tables of `columns`, in the order of the file; `raw_id` may repeat (the first
            row counts).
        columns: `raw_id` and others.
        reviewed: ids, each once, sorted.
        work: an empty folder, which holds the metadata of reviewed items for a while.

    Yields:
        At least one table of `columns`; an item without metadata has nulls, so that every
        reference of the reviews is whole.
    """
    n_read, n_known, n_first = 0, 0, 0
    size = max(RANGE, -(-len(reviewed) // MOST_RANGES))
    with _Ranges(work, pl.DataFrame(schema=columns)) as ranges:
        for table in metadata:
            n_read += table.height
            place = _places(table[RAW_ID], reviewed)
            known = table.with_columns(place // size).filter(place.is_not_null())
            n_known += known.height
            ranges.add(known)
        for number in range(max(1, -(-len(reviewed) // size))):
            first = ranges.read(number).unique(RAW_ID, keep="first", maintain_order=True)
            n_first += first.height
            wanted = reviewed[number * size : (number + 1) * size].alias(RAW_ID).to_frame()
            yield wanted.join(first, on=RAW_ID, how="left", maintain_order="left").select(
                list(columns)
            )
    logger.info(
        "metadata: %d rows, %d of them of reviewed items, %d repeats left out; "
        "%d of %d items have no metadata",
        n_read,
        n_known,
        n_known - n_first,
        len(reviewed) - n_first,
        len(reviewed),
    )


def _places(ids: pl.Series, reviewed: pl.Series) -> pl.Series:
    """Return where each id stands in the sorted `reviewed`, null where it does not.

    By bisection: a cast to an Enum or a join would hash all of `reviewed` for every batch.
    """
    if reviewed.is_empty():
        return pl.Series(PLACE, [None] * len(ids), pl.UInt32)
    place = reviewed.search_sorted(ids).clip(upper_bound=len(reviewed) - 1)
    is_there = reviewed.gather(place) == ids
    return pl.select(pl.when(is_there).then(place).alias(PLACE)).to_series()


@dataclass(slots=True)
class _Ranges:
    """Rows laid aside by the range that their item is in, a file for each."""

    folder: Path
    empty: pl.DataFrame
    files: dict[int, pa.ipc.RecordBatchStreamWriter] = field(default_factory=dict)

    def __enter__(self) -> _Ranges:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()

    def add(self, rows: pl.DataFrame) -> None:
        """Lay rows aside; `PLACE` has the numbers of their ranges."""
        for (number,), part in rows.partition_by(
            PLACE, as_dict=True, include_key=False
        ).items():
            table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            if number not in self.files:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self.files[number] = pa.ipc.new_stream(
                    str(self._path(number)), table.schema, options=options
                )
            self.files[number].write_table(table)

    def read(self, number: int) -> pl.DataFrame:
        """Return the rows of a range in the order in which they came, and forget them."""
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
