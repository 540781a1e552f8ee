import polars as pl
import pytest

from pipeline.job.errors import SchemaError
from pipeline.tables import io


def _write_half(path):
    with io.replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError("killed")


def test_a_failed_write_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "new" / "table.txt"
    io.write_text("old", path)

    with pytest.raises(RuntimeError, match="killed"):
        _write_half(path)

    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["table.txt"]


def test_parquet_bytes_repeat_and_metadata_survives(tmp_path):
    table = pl.DataFrame({"user": [1, 2], "name": ["a", None]})
    for name in ("one", "two"):
        io.write_parquet(table, tmp_path / name, {"b": "2", "a": "1"})

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert pl.read_parquet(tmp_path / "one").equals(table)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": pl.Int64}, "expected a column 'item'"),
        ({"user": pl.Int32}, "to be Int32, got Int64"),
    ],
)
def test_a_table_with_other_columns_is_refused(tmp_path, columns, message):
    io.write_parquet(pl.DataFrame({"user": [1]}), tmp_path / "t.parquet")

    with pytest.raises(SchemaError, match=message):
        io.read_parquet(tmp_path / "t.parquet", columns)


def test_an_absent_or_broken_json_is_named(tmp_path):
    with pytest.raises(SchemaError, match="no such file"):
        io.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(SchemaError, match="expected JSON"):
        io.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("size", [1000, 65_536, 100_000, 200_000])
def test_the_sizes_of_the_pieces_do_not_change_the_file(tmp_path, size):
    table = pl.DataFrame({"n": range(150_000)}).with_columns(
        name=pl.col("n").cast(pl.String), parts=pl.concat_list("n", "n")
    )
    io.write_parquet(table, tmp_path / "whole", {"a": "1"})

    with io.parquet_writer(tmp_path / "pieces", {"a": "1"}) as write:
        for start in range(0, table.height, size):
            write(table[start : start + size])

    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()
    assert pl.read_parquet(tmp_path / "pieces").equals(table)


def test_a_table_without_rows_has_its_columns(tmp_path):
    io.write_parquet(pl.DataFrame(schema={"a": pl.Int32}), tmp_path / "t")

    assert pl.read_parquet(tmp_path / "t").schema == {"a": pl.Int32}


def test_a_writer_that_is_stopped_leaves_nothing(tmp_path):
    def killed(write):
        write(pl.DataFrame({"a": range(70_000)}))
        raise RuntimeError("killed")

    with (
        pytest.raises(RuntimeError, match="killed"),
        io.parquet_writer(tmp_path / "t") as write,
    ):
        killed(write)

    assert list(tmp_path.iterdir()) == []


def test_a_scan_is_as_strict_as_a_reading(tmp_path):
    io.write_parquet(pl.DataFrame({"user": [1]}), tmp_path / "t.parquet")

    assert io.scan_parquet(tmp_path / "t.parquet", {"user": pl.Int64}).collect().height == 1
    with pytest.raises(SchemaError, match="to be Int32, got Int64"):
        io.scan_parquet(tmp_path / "t.parquet", {"user": pl.Int32})
    with pytest.raises(SchemaError, match=r"lost\.parquet: no such table"):
        io.scan_parquet(tmp_path / "lost.parquet", {})
