"""Kept files are believed only as they were written."""

import pytest

from pipeline.tables.kept import (
    HEADER,
    read_kept,
    read_kept_json,
    write_kept,
    write_kept_json,
)


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 100])
def test_what_is_written_is_read(tmp_path, content):
    write_kept(content, tmp_path / "new" / "a")

    assert read_kept(tmp_path / "new" / "a") == content


def test_values_as_json(tmp_path, caplog):
    assert read_kept_json(tmp_path / "a") is None
    write_kept_json({"n": [1, 2]}, tmp_path / "a")
    assert read_kept_json(tmp_path / "a") == {"n": [1, 2]}
    (tmp_path / "a").write_text('{"n": [1, 2]}')  # as by an earlier version
    assert read_kept_json(tmp_path / "a") is None
    assert caplog.text.count("thrown away") == 1


@pytest.mark.parametrize("at", [0, 30, HEADER - 1, HEADER, HEADER + 50])
@pytest.mark.parametrize("is_cut", [True, False])
def test_a_cut_or_flipped_file_is_removed_with_a_line_that_names_it(
    tmp_path, caplog, at, is_cut
):
    path = tmp_path / "a"
    write_kept(b"x" * 100, path)
    data = path.read_bytes()
    flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    path.write_bytes(data[:at] if is_cut else flipped)

    assert read_kept(path) is None
    assert not path.exists()
    assert f"{path}: thrown away: its content does not match its checksum" in caplog.text
