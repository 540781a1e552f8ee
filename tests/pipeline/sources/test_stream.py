import polars as pl
import pytest
from limits import ledger

from pipeline.sources import stream as module
from pipeline.sources.raw import Tables
from pipeline.sources.stream import Stream, completed

COLUMNS = {"raw_id": pl.String, "title": pl.String, "category": pl.List(pl.String)}


def metadata(*rows):
    """A table of (raw_id, title)."""
    full = [(raw_id, title, [title]) for raw_id, title in rows]
    return pl.DataFrame(full, schema=COLUMNS, orient="row")


@pytest.mark.parametrize("size", [1, 2, 100])
def test_items_come_sorted_once_each_and_with_nulls(tmp_path, monkeypatch, size):
    """Whatever range they are in, and wherever the file has them."""
    monkeypatch.setattr(module, "RANGE", size)
    read = [
        metadata(("d", "first"), ("unsold", "x"), ("a", "one")),
        metadata(),
        metadata(("d", "second"), ("c", "three")),
    ]
    reviewed = pl.Series(["a", "b", "c", "d"])

    tables = list(completed(iter(read), COLUMNS, reviewed, tmp_path, ledger()))

    assert pl.concat(tables).rows() == [
        ("a", "one", ["one"]), ("b", None, None), ("c", "three", ["three"]),
        ("d", "first", ["first"]),
    ]  # fmt: skip
    assert len(tables) == -(-4 // size)
    assert list(tmp_path.iterdir()) == []


def test_no_more_files_are_open_than_there_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RANGE", 1)
    monkeypatch.setattr(module, "MAX_RANGES", 3)
    reviewed = pl.Series([f"{n:02}" for n in range(10)])
    known = metadata(*((raw_id, "t") for raw_id in reviewed))

    tables = list(completed(iter([known]), COLUMNS, reviewed, tmp_path, ledger()))

    assert [table.height for table in tables] == [4, 4, 2]


def test_without_reviews_there_is_a_table_without_rows(tmp_path):
    (table,) = completed(
        iter([metadata(("a", "one"))]),
        COLUMNS,
        pl.Series([], dtype=pl.String),
        tmp_path,
        ledger(),
    )

    assert table.schema == COLUMNS
    assert table.is_empty()


def test_a_dataset_in_memory_is_a_stream_and_back():
    tables = Tables(pl.DataFrame({"item": ["a"]}), pl.DataFrame({"raw_id": ["a"]}))

    again = Stream.of(tables).tables()

    assert again.reviews.equals(tables.reviews)
    assert again.items.equals(tables.items)
