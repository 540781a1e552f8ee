import polars as pl
import pytest

from pipeline import io
from pipeline.errors import SchemaError


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
def test_another_table_than_promised_is_refused(tmp_path, columns, message):
    io.write_parquet(pl.DataFrame({"user": [1]}), tmp_path / "t.parquet")

    with pytest.raises(SchemaError, match=message):
        io.read_parquet(tmp_path / "t.parquet", columns)


def test_an_absent_or_broken_json_is_named(tmp_path):
    with pytest.raises(SchemaError, match="no such file"):
        io.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(SchemaError, match="expected JSON"):
        io.read_json(tmp_path / "a.json")
