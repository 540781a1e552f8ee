"""Malicious and damaged files: refused with a message, or read correctly."""

import gzip
import json
import subprocess
import sys

import pytest
from limits import ledger
from paths import ROOT

from pipeline.job.errors import RawDataError
from pipeline.sources import amazon, amazon2014, lines, literals
from pipeline.sources.lines import batches
from pipeline.sources.records import RecordFormat, records

GOOD = {"reviewerID": "U1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1400000000}
METADATA = {"asin": "B1", "title": "Card", "categories": [["Gifts"]]}


def reviews(tmp_path, *rows, limit=0):
    """Rows of (user, item, time, rating); a row is an object, or raw bytes."""
    path = tmp_path / "reviews.json.gz"
    text = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(gzip.compress(b"\n".join(text) + b"\n"))
    tables = amazon.read_reviews(path, ledger(limit), verified=False)
    return [row[:4] for table in tables for row in table.rows()]


def metadata(tmp_path, *rows, limit=0):
    path = tmp_path / "meta.json.gz"
    text = [row if isinstance(row, bytes) else repr(row).encode() for row in rows]
    path.write_bytes(gzip.compress(b"\n".join(text) + b"\n"))
    return [row for table in amazon2014._metadata(path, ledger(limit)) for row in table.rows()]


GOOD_ROW = ("U1", "B1", 1400000000, 5.0)
IDS = [
    "a b",
    "'",
    '"',
    "it's",
    "\\",
    "\\n",
    "\n",
    "\t",
    "é",
    "\u2028",
    "null",
    "0" * 5000,
    "../x",
]


@pytest.mark.parametrize("name", IDS)
def test_ids_of_any_letters_stay_what_they_are(tmp_path, name):
    odd = {**GOOD, "reviewerID": name, "asin": name}

    assert reviews(tmp_path, GOOD, odd) == [GOOD_ROW, (name, name, 1400000000, 5.0)]
    assert metadata(tmp_path, {**METADATA, "asin": name})[0][0] == name


@pytest.mark.parametrize("time", [0, 4102444799])
def test_times_from_1970_to_2100_are_kept(tmp_path, time):
    assert reviews(tmp_path, {**GOOD, "unixReviewTime": time})[0][2] == time


@pytest.mark.parametrize("time", [-86400, -1, 4102444800, 1400000000000, 10**30, 1e300])
def test_times_beyond_are_refused_by_line_and_field(tmp_path, time):
    with pytest.raises(RawDataError, match=r"gz:2: expected a field 'unixReviewTime' with a t"):
        reviews(tmp_path, GOOD, {**GOOD, "unixReviewTime": time})


def test_the_last_of_repeated_keys_counts_in_both_formats(tmp_path):
    twice = b'{"asin": "A", "asin": "B1", "reviewerID": "U1", "overall": 1, "overall": 5, '
    twice += b'"unixReviewTime": 1400000000}'

    assert reviews(tmp_path, GOOD, twice) == [GOOD_ROW, GOOD_ROW]
    assert metadata(tmp_path, b"{'asin': 'A', 'title': 'x', 'asin': 'B'}")[0][:2] == ("B", "x")


BROKEN = {
    "a NUL in a text": b'{"reviewerID": "U\x001"',
    "a NUL between": b'\x00{"asin": "B1"}',
    "only NULs": bytes(1000),
    "bytes that are no UTF-8": b"\xfa\xff\xfe",
    "no text for years": b"\x1f\x8b" * 99,
    "brackets without end": b'{"asin": ' + b"[" * 1_000_000,
    "braces without end": b'{"a":' * 300_000,
    "an open text": b'{"asin": "' + b"x" * 100_000,
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN)
def test_lines_that_are_no_record_are_named_and_may_be_few(tmp_path, line):
    with pytest.raises(
        RawDataError, match=r"reviews\.json\.gz:2: expected a JSON object.*, got"
    ):
        reviews(tmp_path, GOOD, line)
    with pytest.raises(RawDataError, match=r"meta\.json\.gz:1: expected a Python literal of a"):
        metadata(tmp_path, line)

    assert reviews(tmp_path, GOOD, line, GOOD, limit=1) == [GOOD_ROW, GOOD_ROW]
    assert len(metadata(tmp_path, METADATA, line, METADATA, limit=1)) == 2


def test_a_line_that_is_no_utf_8_is_a_bad_one(tmp_path):
    """Two ids that differ in such a byte would be one."""
    line = json.dumps({**GOOD, "asin": "B?"}).encode().replace(b"?", b"\xff")

    with pytest.raises(RawDataError, match="gz:2: expected a JSON object in UTF-8"):
        reviews(tmp_path, GOOD, line)
    with pytest.raises(RawDataError, match=r"gz:2: expected a Python literal .* in UTF-8"):
        metadata(tmp_path, METADATA, b"{'asin': 'B\xff'}")


@pytest.mark.parametrize("odd", [b"", b"no record\n"])
def test_whether_a_deep_line_counts_does_not_depend_on_its_neighbours(tmp_path, odd):
    """Arrow reads any depth, Python's parser gives up at about a thousand."""
    deep = json.dumps(GOOD).encode()[:-1] + b', "x": ' + b"[" * 5000 + b"]" * 5000 + b"}"

    assert reviews(tmp_path, odd + deep, limit=1) == [GOOD_ROW]


def test_a_literal_is_read_to_a_depth_that_python_allows(tmp_path):
    deep = b"{'asin': 'B', 'x': %s%s}" % (b"[" * 150, b"]" * 150)

    assert metadata(tmp_path, deep)[0][0] == "B"
    with pytest.raises(RawDataError, match="expected a Python literal"):
        metadata(tmp_path, deep.replace(b"[", b"[[").replace(b"]", b"]]"))


def test_an_object_over_two_lines_is_no_record_even_beside_two_in_one(tmp_path):
    """Then there are as many objects as lines."""
    one = json.dumps(GOOD).encode()
    torn = one.replace(b", ", b",\n", 1)

    with pytest.raises(RawDataError, match=r"gz:1: expected a JSON object"):
        reviews(tmp_path, torn, one + one)


def test_only_lines_near_unusual_ones_are_read_singly(tmp_path, monkeypatch):
    """One field of another type must not send a whole batch to the slow reader."""
    by_line = []
    slow = lines.Batch.lines
    monkeypatch.setattr(
        lines.Batch, "lines", lambda batch: by_line.append(batch) or slow(batch)
    )
    rows = [{**GOOD, "reviewText": "x" * 1000}] * 2000
    rows[1234] = {**rows[0], "overall": "five", "unixReviewTime": 1400000000.0}

    with pytest.raises(
        RawDataError, match=r"gz:1235: expected a field 'overall' with a number"
    ):
        reviews(tmp_path, *rows)
    rows[1234]["overall"] = 5
    assert reviews(tmp_path, *rows) == [GOOD_ROW] * 2000

    assert sum(len(batch.text) for batch in by_line) < 2 * 65_536


@pytest.mark.parametrize("padding", [b"", bytes(512)])
def test_members_and_padding_of_gzip_are_read_over(tmp_path, padding):
    path = tmp_path / "a.gz"
    path.write_bytes(b"".join(gzip.compress(b"%d\n" % n) for n in range(300)) + padding)

    assert [line for batch in batches(path) for _, line in batch.lines()] == [
        b"%d" % n for n in range(300)
    ]


def test_other_data_after_a_gzip_stream_is_damage(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n") + b"<html>")

    with pytest.raises(
        RawDataError, match=r"stream is damaged \(Not a gzipped file.*is line 2"
    ):
        list(batches(path))


def test_damage_in_the_middle_names_the_last_line_before_it(tmp_path):
    first, second = (gzip.compress(b"%d\n" % n * 100_000) for n in range(2))
    second = second[:10] + b"\x07" + second[11:]  # a block of a type that there is not
    (tmp_path / "a.gz").write_bytes(first + second)

    with pytest.raises(
        RawDataError, match=r"is damaged .*the last whole line is line 100000, .* with '0'\. "
    ):
        list(batches(tmp_path / "a.gz"))


LIMITED = """
import gzip, resource, sys
from pathlib import Path
from pipeline.job.errors import RawDataError
from pipeline import params
from pipeline.sources import amazon, raw
ledger = raw.Ledger(params.Ingest(max_bad_lines=0))
kind, path = sys.argv[1], Path(sys.argv[2])
block = {"line": bytes(1 << 20), "lines": b"\\n" * (1 << 20), "text": b"[" * (1 << 20)}[kind]
with gzip.open(path, "wb", compresslevel=1) as file:
    for _ in range(int(sys.argv[3])):
        file.write(block)
before = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
try:
    print(sum(table.height for table in amazon.read_reviews(path, ledger, verified=False)))
except RawDataError as error:
    print(error)
after = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
print(path.stat().st_size >> 20, (after - before) >> 10)
"""
BOMBS = {
    "a line of 1 GiB": ("line", 1024, "expected a line of at most 16,777,216 bytes"),
    "brackets of 1 GiB": ("text", 1024, "expected a line of at most 16,777,216 bytes"),
    "512 MiB of nothing": ("lines", 512, "0"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mebibytes", "said"), BOMBS.values(), ids=BOMBS)
def test_a_small_file_that_unpacks_to_a_huge_one_takes_little_memory(
    tmp_path, kind, mebibytes, said
):
    command = [sys.executable, "-c", LIMITED, kind, tmp_path / "bomb.gz", str(mebibytes)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    *message, sizes = done.stdout.strip().split("\n")
    packed, peak = map(int, sizes.split())
    assert said in message[0]
    assert packed < 10
    assert peak < 500  # MiB


def test_a_huge_literal_is_refused_without_reading_it(tmp_path, monkeypatch):
    monkeypatch.setattr(literals, "LONGEST", 1000)

    with pytest.raises(RawDataError, match=r"gz:1: expected a Python literal"):
        metadata(tmp_path, {**METADATA, "x": [0] * 1000})


def test_a_file_without_a_newline_at_its_end_and_with_windows_ones_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"asin": "a"}\r\n{"asin": "b"}\r\n\r\n{"asin": "c"}')

    tables = records(ledger().of(path), RecordFormat({"asin": amazon.TEXT}, {"asin"}))

    assert [row[0] for table in tables for row in table.rows()] == ["a", "b", "c"]
