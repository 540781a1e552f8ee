"""The table of pictures and the list of those that failed."""

def test_row_groups_bound_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "GROUP_BYTES", 100)
    rows = [images.Picture("ok", "p", data=b"x" * 60, size=(1, 1))] * 5

    images.write_pictures(iter(rows), tmp_path / "a.parquet")

    assert images.pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3


