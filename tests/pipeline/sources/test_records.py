import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import ledger

from pipeline.job.errors import RawDataError
from pipeline.sources import records as module
from pipeline.sources.lines import Batch
from pipeline.sources.records import RecordFormat, records
from pipeline.sources.values import INTEGER, NUMBER, PATHS, TEXT, TEXTS

FIELDS = {"asin": TEXT, "time": INTEGER, "stars": NUMBER, "names": TEXTS}
GOOD = '{"asin": "B1", "time": 5, "stars": 4.5, "names": ["a"], "style": {"x": [1]}}'
GOOD_ROW = ("B1", 5, 4.5, ["a"])


def read(tmp_path, *lines, limit=0):
    path = tmp_path / "raw.json"
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else x.encode() for x in lines))
    tables = records(ledger(limit).of(path), RecordFormat(FIELDS, {"asin", "time"}))
    return [row for table in tables for row in table.rows()]


def test_fields_are_kept_others_are_ignored_and_absent_ones_are_null(tmp_path):
    assert read(tmp_path, GOOD, '{"asin": "B2", "time": 6}') == [
        GOOD_ROW,
        ("B2", 6, None, None),
    ]


NO_OBJECT = {
    "half an object": '{"asin": "B2", "time":',
    "a list": "[1, 2]",
    "a number": "12",
    "null": "null",
    "text": '"B2"',
    "two objects": '{"asin": "B2", "time": 1} {"asin": "B3", "time": 2}',
    "a Python literal": "{'asin': 'B2', 'time': 1}",
    "not a number": '{"asin": "B2", "time": 1, "stars": NaN}',
    "no text at all": b"\x80\x81",
    "brackets without end": "[" * 100_000,
}


@pytest.mark.parametrize("line", NO_OBJECT.values(), ids=NO_OBJECT)
def test_a_line_that_is_no_object_is_named(tmp_path, line):
    with pytest.raises(
        RawDataError,
        match=r"raw\.json:2: expected a JSON object.*, got ['\"].{1,99} \(bad line 1",
    ):
        read(tmp_path, GOOD, line, GOOD)


@pytest.mark.parametrize("line", NO_OBJECT.values(), ids=NO_OBJECT)
def test_bad_lines_up_to_the_limit_are_skipped_and_the_rest_is_kept(tmp_path, line):
    assert read(tmp_path, GOOD, line, GOOD, limit=1) == [GOOD_ROW, GOOD_ROW]


def test_bad_lines_beyond_the_limit_are_counted(tmp_path):
    with pytest.raises(RawDataError, match=r"raw\.json:4: .*'x' \(bad line 3 .* allows 2\)"):
        read(tmp_path, GOOD, "x", "x", "x", limit=2)


def test_a_quoted_line_is_cut_after_sixty_characters(tmp_path):
    with pytest.raises(RawDataError, match="got '" + "x" * 60 + "' "):
        read(tmp_path, "x" * 5000)


MISSING = {
    "absent": ('{"time": 1}', r"'asin' with text, got none in '{\"time\": 1}'"),
    "null": ('{"asin": null, "time": 1}', r"'asin' with text, got None"),
    "empty": ('{"asin": "", "time": 1}', r"'asin' with text, got ''"),
    "a number for text": ('{"asin": 31, "time": 1}', r"'asin' with text, got 31"),
    "text for a time": ('{"asin": "B", "time": "1"}', r"'time' with a time .* got '1'"),
    "a broken time": ('{"asin": "B", "time": 1.5}', r"'time' with a time .* got 1\.5"),
    "milliseconds": (
        '{"asin": "B", "time": 1529193600000}',
        r"'time' with .*, got 1529193600000",
    ),
    "without end": ('{"asin": "B", "time": 1e999}', r"'time' with .*, got inf"),
}


@pytest.mark.parametrize(("line", "message"), MISSING.values(), ids=MISSING)
def test_a_required_field_that_is_missing_makes_a_bad_line(tmp_path, line, message):
    with pytest.raises(RawDataError, match=r"raw\.json:3: expected a field " + message):
        read(tmp_path, GOOD, "", line)

    assert read(tmp_path, GOOD, "", line, GOOD, limit=1) == [GOOD_ROW, GOOD_ROW]


def test_unusual_records_are_accepted(tmp_path):
    rows = read(
        tmp_path,
        "",
        '{"asin": "007", "time": 5.0, "stars": 4, "names": "one"}',
        '{"asin": "\\ud800", "time": 1, "stars": null, "names": ["a", null, "", "b"]}',
        '{"asin": "A", "asin": "B", "time": 1}\r',
    )

    assert rows == [
        ("007", 5, 4.0, ["one"]),
        ("?", 1, None, ["a", "b"]),
        ("B", 1, None, None),
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
objects = st.fixed_dictionaries(
    {"asin": texts.filter(bool), "time": st.integers(0, 4 * 10**9)},
    optional={
        "stars": st.none() | st.floats(0, 5),
        "names": st.none() | st.lists(texts | st.none(), max_size=3),
        "other": st.none() | st.lists(st.dictionaries(texts, st.integers())),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(objects, min_size=1, max_size=4), st.booleans())
def test_reading_in_bulk_and_line_by_line_agree(tmp_path_factory, rows, escaped):
    text = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows).encode()
    path = tmp_path_factory.getbasetemp() / "x"
    batch, form = Batch(path, 1, text), RecordFormat(FIELDS, {"asin", "time"})

    bulk = module._in_bulk(batch, form)
    slow = module._line_by_line(batch, form, ledger().of(path))

    assert bulk is not None
    assert bulk.schema == slow.schema
    assert bulk.equals(slow)


@pytest.mark.parametrize(
    "paths", [None, [], [None], [None, ["a"]], [[]], [[None]], [["a", ""], []], [["a"], None]]
)
def test_the_first_path_is_the_same_in_bulk_and_line_by_line(paths):
    batch = Batch(Path("x"), 1, json.dumps({"asin": "B", "paths": paths}).encode())
    form = RecordFormat({"asin": TEXT, "paths": PATHS}, {"asin"})

    bulk = module._in_bulk(batch, form)
    slow = module._line_by_line(batch, form, ledger().of(batch.file))

    first = pl.col("paths").list.first().list.eval(pl.element().filter(pl.element() != ""))
    assert bulk is not None
    assert bulk.select(first).equals(slow.select(first))


def test_good_files_are_read_in_bulk(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_line_by_line", None)

    assert read(tmp_path, GOOD, GOOD) == [GOOD_ROW, GOOD_ROW]


def test_the_types_are_those_asked_for(tmp_path):
    path = tmp_path / "raw.json"
    path.write_text('{"asin": "B1", "time": 5}\n')

    (table,) = records(ledger().of(path), RecordFormat(FIELDS, {"asin"}))

    assert table.schema == {
        "asin": pl.String,
        "time": pl.Int64,
        "stars": pl.Float64,
        "names": pl.List(pl.String),
    }
