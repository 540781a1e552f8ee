"""The table of pictures and the list of those that failed."""

import polars as pl
import pyarrow.parquet as pq

from pipeline.pictures import table as picture_table
from pipeline.pictures.table import Picture


def test_row_groups_bound_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_table, "GROUP_BYTES", 100)
    rows = [Picture("ok", "p", data=b"x" * 60, size=(1, 1))] * 5

    picture_table.write_pictures(iter(rows), tmp_path / "a.parquet")

    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3


def test_the_ledger_holds_any_name(tmp_path):
    names = ["a,b.png", 'say "a"\n.png', "=1+1", "ä\0.png"]
    failed = {3 * n: Picture("broken", name, "zero bytes") for n, name in enumerate(names)}

    picture_table.write_ledger(failed, tmp_path / "ledger.csv")

    table = pl.read_csv(tmp_path / "ledger.csv", schema=picture_table.LEDGER)
    assert table.rows() == [
        (3 * n, name, "broken", "zero bytes") for n, name in enumerate(names)
    ]
