import gzip
import hashlib

import pytest

from pipeline.job.errors import RawDataError
from pipeline.sources import lines
from pipeline.sources.lines import batches


def packed(path, text, cut=None):
    path.write_bytes(gzip.compress(text, mtime=0)[:cut])
    return path


def numbered(path, size):
    return [pair for batch in batches(path, size) for pair in batch.lines()]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_lines_keep_their_numbers_whatever_the_batches(tmp_path, monkeypatch, size):
    monkeypatch.setattr(lines, "CHUNK", 5)
    path = packed(tmp_path / "a.gz", b"one\n\ntwo\r\nthree")

    assert numbered(path, size) == [(1, b"one"), (3, b"two\r"), (4, b"three")]


def test_a_table_has_text_and_line_numbers_without_blank_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one \n\n two\n\xff\n")

    (batch,) = batches(tmp_path / "a.txt")

    assert batch.table().rows() == [(1, "one"), (3, "two"), (4, "�")]


def test_later_batches_continue_the_line_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK", 4)
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\nsix\n")

    tables = [batch.table().rows() for batch in batches(tmp_path / "a.txt", size=4)]

    assert tables == [[(1, "one")], [(2, "two")], [(3, "six")]]


def test_an_empty_file_has_no_batch(tmp_path):
    assert list(batches(packed(tmp_path / "a.gz", b""))) == []


def test_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))

    assert numbered(path, 1 << 20) == [(1, b"one"), (2, b"two")]


@pytest.mark.parametrize("size", [100, 1 << 26])
def test_a_gzip_file_that_stops_short_names_its_last_whole_line(tmp_path, size):
    # Digests do not compress, so the cut falls in the middle of the rows.
    digests = [hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(2001)]
    rows = [f'{{"row": {n}, "x": "{digests[n][:20]}"}}' for n in range(1, 2001)]
    path = packed(tmp_path / "a.json.gz", "\n".join(rows).encode(), cut=20_000)

    with pytest.raises(RawDataError, match=r"the gzip stream stops short") as raised:
        numbered(path, size)

    message = str(raised.value)
    line = int(message.split("is line ")[1].split(",")[0])
    assert 500 < line < 2000
    assert str(path) in message
    assert f"starts with '{rows[line - 1]}'"[:40] in message


def test_a_gzip_file_that_stops_before_a_line_is_whole_says_so(tmp_path):
    path = packed(tmp_path / "a.gz", b"one line without end", cut=-9)

    with pytest.raises(RawDataError, match=r"stops short; the last whole line is line 0\. Put"):
        numbered(path, 1)


def test_a_damaged_gzip_file_is_refused(tmp_path):
    whole = bytearray(gzip.compress(b"one\ntwo\n"))
    whole[-6] ^= 1  # in the checksum
    (tmp_path / "a.gz").write_bytes(whole)

    with pytest.raises(RawDataError, match=r"stream is damaged .* last whole line is line 2"):
        numbered(tmp_path / "a.gz", 1 << 20)


@pytest.mark.parametrize("content", [b"<html>", b""])
def test_a_file_that_is_not_gzip_is_refused(tmp_path, content):
    (tmp_path / "a.gz").write_bytes(content)

    with pytest.raises(RawDataError, match=r"a\.gz: expected a gzip file, got one that starts"):
        numbered(tmp_path / "a.gz", 1)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 1000)
    monkeypatch.setattr(lines, "CHUNK", 100)
    path = packed(tmp_path / "bomb.gz", b"one\ntwo\n" + bytes(10_000_000))

    with pytest.raises(RawDataError, match=r"bomb\.gz:3: expected a line of at most 1,000 byt"):
        numbered(path, 1 << 20)


def test_many_lines_of_the_longest_length_are_fine(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 1000)
    monkeypatch.setattr(lines, "CHUNK", 300)
    path = packed(tmp_path / "a.gz", (b"x" * 1000 + b"\n") * 50)

    assert len(numbered(path, 1 << 20)) == 50


def test_an_absent_file_names_the_command_that_brings_it(tmp_path):
    with pytest.raises(RawDataError, match=r"no such file; run `python -m pipeline\.download"):
        numbered(tmp_path / "a.gz", 1)
