import gzip
import re
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from limits import ledger
from paths import ROOT
from PIL import Image

from pipeline import download, images, ingest, kcore, params
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.sources import readers
from pipeline.tables.schema import REVIEWS

COLUMNS = {"user": "who", "item": "what"}


def source(columns=None, **more):
    settings = {"format": "tables", "interactions": "visits.csv", **more}
    return params.TablesSource(**settings, columns=COLUMNS | (columns or {}))


def read(folder, settings, limit=0):
    return readers.get("tables").read(settings, folder, ledger(limit))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# --- the documents' example ---------------------------------------------------------------


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The example of docs/data.md in a working directory, as a reader would make it."""
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    section = text.split("## Your own tables")[1].split("\n## ")[0]
    blocks = dict(re.findall(r"```(csv|json|yaml)\n(.*?)```", section, re.DOTALL))
    (tmp_path / "shop/photos").mkdir(parents=True)
    write(tmp_path / "shop/visits.csv", blocks["csv"])
    write(tmp_path / "shop/products.jsonl", blocks["json"])
    Image.new("RGB", (32, 32), "white").save(tmp_path / "shop/photos/mug.png")
    whole = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, own in yaml.safe_load(blocks["yaml"]).items():
        whole[key] |= own
    whole["kcore"]["k"] = 1
    whole["images"] |= {"retries": 0, "timeout": 0.1}
    write(tmp_path / "params.yaml", yaml.safe_dump(whole))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_documents_example_runs(shop):
    download.main(["shop", "data/raw/shop"])
    ingest.main(["shop", "data/raw/shop", "data/interim/shop"])
    kcore.main(["shop", "data/interim/shop", "data/processed/shop"])
    images.main(["shop", "data/raw/shop", "data/processed/shop", "data/images/shop.parquet"])

    reviews = pl.read_parquet("data/interim/shop/reviews.parquet")
    items = pl.read_parquet("data/interim/shop/items.parquet")
    assert reviews["item"].to_list() == ["17", "A9", "17", "A9", "17", "B2"]
    assert reviews["rating"].to_list() == [5.0, 4.0, None, 2.0, 3.0, 5.0]
    times = pl.from_epoch(reviews["timestamp"]).to_list()
    assert times[1:3] == [datetime(2024, 1, 5, 17, 30), datetime(2024, 2, 1, 9, 15)]
    assert items.drop("description").rows() == [
        ("17", "A mug", "photos/mug.png", "Ode"),
        ("A9", "A teapot", "https://shop.example/a9.jpg", None),
        ("B2", "A tray", None, None),
    ]
    assert items["description"].to_list() == ["White, 300 ml", None, None]
    assert pl.read_parquet("data/images/shop.parquet")["status"].to_list()[0] == "ok"


def test_the_manifest_names_the_users_files_by_themselves(shop):
    download.main(["shop", "data/raw/shop"])

    manifest = pl.read_json("data/raw/shop/manifest.json")
    assert dict(manifest.select("file", "url").rows()) == {
        "photos/mug.png": "mirror:photos/mug.png",
        "products.jsonl": "own:products.jsonl",
        "visits.csv": "own:visits.csv",
    }


def test_a_file_that_is_not_in_the_folder_is_named_with_the_folder(shop):
    Path("shop/visits.csv").unlink()

    with pytest.raises(RawDataError, match=r"expected visits.csv .* Put them into shop/"):
        download.main(["shop", "data/raw/shop"])


# --- formats ------------------------------------------------------------------------------

VISITS = "who,what,when\nann,1,60\nbob,2,120\n"
SAME = {
    "visits.csv": VISITS.encode(),
    "visits.csv.gz": gzip.compress(VISITS.encode()),
    "visits.tsv": VISITS.replace(",", "\t").encode(),
    "visits.jsonl": b'{"what":1,"who":"ann","when":60}\n{"who":"bob","what":"2","when":120}\n',
}


@pytest.mark.parametrize("name", [*SAME, "visits.parquet"])
def test_every_file_format_gives_the_same_tables(tmp_path, name):
    if name in SAME:
        (tmp_path / name).write_bytes(SAME[name])
    else:
        rows = {"who": ["ann", "bob"], "what": [1, 2], "when": [60, 120], "other": [[1], []]}
        pl.DataFrame(rows).write_parquet(tmp_path / name)

    tables = read(tmp_path, source({"timestamp": "when"}, interactions=name))

    assert tables.reviews.columns == list(REVIEWS)
    assert tables.reviews.rows() == [
        ("ann", "1", 60, None, None),
        ("bob", "2", 120, None, None),
    ]
    assert tables.items.rows() == [("1", None, None, None), ("2", None, None, None)]


@pytest.mark.parametrize(
    ("unit", "written", "seconds"),
    [
        ("s", "1700000000", 1700000000),
        ("s", "1700000000.9", 1700000000),
        ("ms", "1700000000999", 1700000000),
        ("iso", "2024-01-02", 1704153600),
        ("iso", "2024-01-02T00:00:00Z", 1704153600),
        ("iso", "2024-01-02 01:00:00+0100", 1704153600),
        ("iso", "2024-01-02T00:00:00.5-00:00", 1704153600),
        ("iso", "20240102", 1704153600),
        ("iso", "20240102T013000+0130", 1704153600),
        ("iso", "2024-01-02T00", 1704153600),
        ("iso", "2024-W01-2", 1704153600),
    ],
)
def test_times_become_whole_seconds(tmp_path, unit, written, seconds):
    write(tmp_path / "visits.csv", f"who,what,when\nann,1,{written}\n")

    tables = read(tmp_path, source({"timestamp": "when"}, time=unit))

    assert tables.reviews["timestamp"].to_list() == [seconds]


@pytest.mark.parametrize(
    "when", [[date(2024, 1, 2)], [datetime(2024, 1, 2, tzinfo=UTC)]], ids=["date", "datetime"]
)
def test_times_of_parquet_are_read_by_their_type(tmp_path, when):
    rows = pl.DataFrame({"who": ["ann"], "what": ["x"], "when": when})
    rows.write_parquet(tmp_path / "visits.parquet")
    named = {"timestamp": "when"}, "visits.parquet"

    tables = read(tmp_path, source(named[0], interactions=named[1], time="iso"))

    assert tables.reviews["timestamp"].to_list() == [1704153600]
    with pytest.raises(RawDataError, match=r"since `time` is s, got Date.*; write `time: iso`"):
        read(tmp_path, source(named[0], interactions=named[1]))


FLAGS = {
    True: ["true", "True", "T", "yes", "Y", "y", "1", "1.0", " YES "],
    False: ["false", "FALSE", "f", "no", "N", "n", "0", "0.0"],
}


@pytest.mark.parametrize("name", ["visits.csv", "visits.jsonl"])
def test_flags_are_read_from_words_and_numbers(tmp_path, name):
    values = [(word, flag) for flag, words in FLAGS.items() for word in words]
    rows = pl.DataFrame({"who": "a", "what": range(len(values)), "ok": [v for v, _ in values]})
    rows.write_csv(tmp_path / "visits.csv")
    rows.write_ndjson(tmp_path / "visits.jsonl")

    reviews = read(tmp_path, source({"verified": "ok"}, interactions=name)).reviews

    assert reviews["verified"].to_list() == [flag for _, flag in values]


@pytest.mark.parametrize("flags", [[True, False, None], [1, 0, None], [1.0, 0.0, None]])
@pytest.mark.parametrize("name", ["visits.parquet", "visits.jsonl"])
def test_flags_of_other_types_are_read(tmp_path, name, flags):
    rows = pl.DataFrame({"who": "a", "what": [1, 2, 3], "ok": flags})
    rows.write_parquet(tmp_path / "visits.parquet")
    rows.write_ndjson(tmp_path / "visits.jsonl")

    reviews = read(tmp_path, source({"verified": "ok"}, interactions=name)).reviews

    assert reviews["verified"].to_list() == [True, False, None]


UNCLEAR = {
    "visits.csv": "who,what,ok\na,1,perhaps\na,2,yes\na,3,\na,4,no\n",
    "visits.jsonl": '{"who": "a", "what": 1, "ok": "perhaps"}\n'
    '{"who": "a", "what": 2, "ok": 1}\n{"who": "a", "what": 3, "ok": null}\n'
    '{"who": "a", "what": 4, "ok": false}\n',
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_flag_that_is_not_understood_is_counted_and_many_are_too_many(tmp_path, caplog, name):
    """An absent one is not among them."""
    write(tmp_path / name, UNCLEAR[name])
    settings = source({"verified": "ok"}, interactions=name)
    first = 1 + name.endswith("csv")

    with pytest.raises(
        RawDataError,
        match=rf"{name}: column 'ok': 1 of 3 values were not understood, such as 'perhaps' in "
        rf"line {first}; ingest.max_not_understood allows a share of 0.01. Mend the file, or",
    ):
        read(tmp_path, settings)

    book = ledger(max_not_understood=0.34)
    tables = readers.get("tables").read(settings, tmp_path, book)
    assert tables.reviews["verified"].to_list() == [None, True, None, False]
    assert book.files[0].summary()["not_understood"] == {"column 'ok'": 1}
    assert "1 of 3 values were not understood" in caplog.text


# --- what is refused ----------------------------------------------------------------------

BAD_ROWS = {
    "no user": (",2,60,3", "an id in column 'who', got ''"),
    "an item of spaces": ("bob,  ,60,3", "an id in column 'what', got ''"),
    "no time": ("bob,2,,3", "a time in seconds since 1970 in column 'when', got ''"),
    "a date": ("bob,2,2024-01-01,3", "a time in seconds .* got '2024-01-01'"),
    "the far future": ("bob,2,99999999999,3", "a time in seconds .* got '99999999999'"),
    "a word for stars": ("bob,2,60,five", "a number in column 'stars', got 'five'"),
    "no finite number": ("bob,2,60,nan", "a number in column 'stars', got 'nan'"),
}


@pytest.mark.parametrize(("row", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_cannot_be_parsed_is_named_or_skipped(tmp_path, row, message):
    write(tmp_path / "visits.csv", f"who,what,when,stars\nann,1,60,\n{row}\ncy,3,60,1\n")
    settings = source({"timestamp": "when", "rating": "stars"})

    with pytest.raises(RawDataError, match=rf"visits.csv:3: expected {message}"):
        read(tmp_path, settings)

    assert read(tmp_path, settings, limit=1).reviews["user"].to_list() == ["ann", "cy"]


LINES = {
    "fields with line breaks": ("visits.csv", 'who,what\nann,"a\nb\n"\nbob,2\n,3\n', 6),
    "blank lines": ("visits.csv", "\n\nwho,what\r\nann,1\r\nbob,\r\n", 5),
    "tabs": ("visits.tsv", 'who\twhat\n"a,\t1\n\t2\n', 3),
    "JSON": ("visits.jsonl", '{"who": "a", "what": "1"}\n\n{"who": "b"}\n', 3),
}


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(("name", "text", "line"), LINES.values(), ids=LINES)
def test_a_message_has_the_line_of_the_file(tmp_path, name, text, line, is_packed):
    """The one that an editor shows, not the number of the row."""
    name += ".gz" * is_packed
    content = gzip.compress(text.encode()) if is_packed else text.encode()
    (tmp_path / name).write_bytes(content)

    with pytest.raises(
        RawDataError, match=rf"{name}:{line}: expected an id in column 'wh\w+',"
    ):
        read(tmp_path, source(interactions=name))


def test_a_message_about_a_parquet_file_has_the_row(tmp_path):
    rows = pl.DataFrame({"who": ["ann", None], "what": ["1", "2"]})
    rows.write_parquet(tmp_path / "visits.parquet")

    with pytest.raises(RawDataError, match="an id in column 'who' of row 2, got ''"):
        read(tmp_path, source(interactions="visits.parquet"))


@pytest.mark.parametrize("name", ["visits.csv", "visits.parquet"])
def test_a_column_that_is_not_there_is_named_with_its_key(tmp_path, name):
    rows = pl.DataFrame({"customer": ["ann"], "what": ["1"]})
    rows.write_csv(tmp_path / name) if name.endswith("csv") else rows.write_parquet(
        tmp_path / name
    )
    message = (
        rf"{name}: expected a column 'who', which sources\.[\w-]+\.columns\.user names, got "
        r"\['customer', 'what'\]"
    )

    with pytest.raises(RawDataError, match=message):
        read(tmp_path, source(interactions=name))


def test_a_key_that_no_record_has_is_named(tmp_path):
    write(tmp_path / "visits.jsonl", '{"customer": "ann", "what": "1"}\n')

    with pytest.raises(RawDataError, match=r"visits.jsonl:1: expected an id in column 'who'"):
        read(tmp_path, source(interactions="visits.jsonl"))


DAMAGED = {
    "nothing": ("visits.csv", b"", "expected a header and rows, got an empty file"),
    "half a gzip file": (
        "visits.csv.gz",
        gzip.compress(VISITS.encode())[:-12],
        "the gzip stream stops short; .* Put a whole file in its place",
    ),
    "no Parquet": ("visits.parquet", b"PAR1 and no more", "expected a whole file of the forma"),
    "UTF-16": ("visits.csv", VISITS.encode("utf-16"), "expected text in UTF-8, got UTF-16"),
    "UTF-16, no mark": (
        "visits.tsv",
        VISITS.encode("utf-16-be"),
        "expected text in UTF-8, got",
    ),
    "JSON in UTF-16": (
        "visits.jsonl",
        '{"who": 1}'.encode("utf-16"),
        "text in UTF-8, got UTF-16",
    ),
    "Latin-1": ("visits.csv", b"who,what,caf\xe9\n", "expected a header in UTF-8"),
    "lone CRs": (
        "visits.csv",
        b"who,what\ra,1\r",
        "a header .* in lines that end in LF or CR LF",
    ),
    "semicolons": (
        "visits.csv",
        b"who;what\na;1\n",
        "expected commas .* got semicolons: .* Write",
    ),
    "bars": ("visits.csv", b"who|what\na|1\n", "expected commas .* got bars: 'who|what'"),
    "tabs in .csv": (
        "visits.csv",
        b"who\twhat\na\t1\n",
        "expected commas .* got tabs",
    ),
    "commas in .tsv": ("visits.tsv", b"who,what\na,1\n", "expected tabs .* got commas"),
    "UTF-16 without a mark or ASCII at its start": (
        "visits.csv",
        "\u0441,what\n".encode("utf-16-le"),
        "expected a header in UTF-8",
    ),
    "gzip in .csv": ("visits.csv", gzip.compress(b"who,what\na,1\n"), "text .* got gzip"),
    "gzip in .jsonl": ("visits.jsonl", gzip.compress(b"{}"), "text in UTF-8, got gzip"),
    "Parquet in .csv": ("visits.csv", b"PAR1\x15\x04", "text in UTF-8, got Parquet"),
    "a workbook in .tsv": ("visits.tsv", b"PK\x03\x04\x14\0", "text .* got a zip archive"),
    "a JSON array": ("visits.jsonl", b'[\n{"who": 1},\n', ".* Write one object on each line"),
    "no header": ("visits.csv", b"# a note\nwho,what\n", ".* or mend the header, which"),
    "a column twice": (
        "visits.csv",
        b"who,what,who\na,1,b\n",
        "expected one column 'who', got 2",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_of_another_format_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(RawDataError, match=rf"{name}(:1)?: (expected )?{message}"):
        read(tmp_path, source(interactions=name))


BAD_LINES = {
    "too many fields": (
        "visits.csv",
        b"who,what\na,1\nb,2,3\nc,4\n",
        3,
        "2 fields .* not 3, got",
    ),
    "too few fields": (
        "visits.csv",
        b"who,what\na,1\nb\nc,4\n",
        3,
        "2 fields .* not 1, got 'b'",
    ),
    "no UTF-8": ("visits.csv", b"who,what\na,1\nb,\xff\xfe\nc,4\n", 3, "text in UTF-8"),
    "NUL": ("visits.tsv", b"who\twhat\na\t1\nb\t\x002\nc\t4\n", 3, "text without NUL"),
    "a lone CR": ("visits.csv", b"who,what\na,1\nb,\r2\nc,4\n", 3, "lines that end in LF"),
    "nan for an id": ("visits.csv", b"who,what\na,1\nnan,2\nc,4\n", 3, "an id .* got 'nan'"),
    "half a record": (
        "visits.jsonl",
        b'{"who": "a", "what": 1}\n{"w\n{"who": "c", "what": 4}',
        2,
        "a JSON",
    ),
    "JSON's NaN": (
        "visits.jsonl",
        b'{"who": "a", "what": 1}\n{"who": "b", "what": NaN}\n{"who": "c", "what": 4}\n',
        2,
        r"a JSON object \(NaN is not JSON; null is\)",
    ),
    "a list for an id": (
        "visits.jsonl",
        b'{"who": "a", "what": 1}\n{"who": "b", "what": [2]}\n{"who": "c", "what": 4}\n',
        2,
        "an id in column 'what'",
    ),
}


@pytest.mark.parametrize(
    ("name", "content", "line", "message"), BAD_LINES.values(), ids=BAD_LINES
)
def test_a_bad_line_is_named_or_skipped(tmp_path, name, content, line, message):
    (tmp_path / name).write_bytes(content)
    book = ledger(1, max_not_understood=1)

    with pytest.raises(
        RawDataError, match=rf"{name}:{line}: expected {message}.* Mend the file, or raise"
    ):
        read(tmp_path, source(interactions=name))

    tables = readers.get("tables").read(source(interactions=name), tmp_path, book)
    assert tables.reviews.select("user", "item").rows() == [("a", "1"), ("c", "4")]
    summary = book.files[0].summary()
    assert (summary["records"], summary["rows"], summary["bad_lines"]) == (3, 2, 1)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["visits.csv", "visits.tsv", "visits.jsonl"])
def test_blank_lines_and_a_byte_order_mark_are_left_out(tmp_path, name, mark, end):
    rows = {
        "visits.csv": [" ", "who,what", "", "a,1", " \t", 'b,"2"', "", ""],
        "visits.tsv": ["", "who\twhat", "a\t1", "", "b\t2", ""],
        "visits.jsonl": ['{"who": "a", "what": 1}', "", '{"who": "b", "what": "2"}', ""],
    }
    (tmp_path / name).write_bytes((mark + end.join(rows[name])).encode())

    reviews = read(tmp_path, source(interactions=name)).reviews

    assert reviews.select("user", "item").rows() == [("a", "1"), ("b", "2")]


def test_a_table_of_one_column_is_read(tmp_path):
    write(tmp_path / "visits.csv", "who,what\na,1\n")
    write(tmp_path / "items.csv", 'what\n\n1\n"2"\n')

    assert read(tmp_path, source(items="items.csv")).items["raw_id"].to_list() == ["1"]


def test_a_quote_that_is_never_closed_counts_with_every_line_that_it_takes(tmp_path):
    write(tmp_path / "visits.csv", 'who,what,word\na,1,x\nb,2,"Great\nc,3,x\nd,4,x\n')

    with pytest.raises(
        RawDataError,
        match=r"csv:3: expected a quoted field that ends .*for 3 lines\), got 'b,2",
    ):
        read(tmp_path, source(), limit=2)

    assert read(tmp_path, source(), limit=3).reviews["user"].to_list() == ["a"]


def test_a_quote_that_closes_inside_of_a_later_line_is_no_record(tmp_path):
    """The fields are as many as the header's, but two rows would be one."""
    write(tmp_path / "visits.csv", 'who,what,word\na,1,"Great\nb,2,"Love it"\nc,3,x\n')

    with pytest.raises(
        RawDataError, match=r"csv:2: expected a separator after a closing quote"
    ):
        read(tmp_path, source())


def test_a_table_without_rows_is_named(tmp_path):
    write(tmp_path / "visits.csv", "who,what\n")

    with pytest.raises(RawDataError, match=r"visits.csv: expected rows with .* got none"):
        read(tmp_path, source())


WHOLE = {
    "visits.csv": b"who,what\nann,17.0\nbob,17\ncy,A9\n",
    "visits.jsonl": b'{"who":"a","what":17.0}\n{"who":"b","what":17}\n{"who":"c","what":"A9"}',
}


@pytest.mark.parametrize("name", WHOLE)
def test_17_0_meets_17(tmp_path, name):
    """A column of whole numbers with gaps becomes 17.0 in other programs."""
    (tmp_path / name).write_bytes(WHOLE[name])
    write(tmp_path / "items.csv", "what,name\n17,A mug\nA9.0,No\nA9,A pot\n")

    tables = read(tmp_path, source({"title": "name"}, items="items.csv", interactions=name))

    assert tables.reviews["item"].to_list() == ["17", "17", "A9"]
    assert tables.items.select("raw_id", "title").rows() == [("17", "A mug"), ("A9", "A pot")]


@pytest.mark.parametrize("what", ["007.0", "1.10", "17.00", "1e3", "-0.5", "17."])
def test_an_id_that_is_no_whole_float_stays_what_it_is(tmp_path, what):
    write(tmp_path / "visits.csv", f"who,what\nann,{what}\n")

    assert read(tmp_path, source()).reviews["item"].to_list() == [what]


TYPES = {
    "categories": pl.Series(["17", "A9"], dtype=pl.Categorical),
    "an enum": pl.Series(["17", "A9"], dtype=pl.Enum(["A9", "17"])),
    "bytes": pl.Series([b"17", b"A9"]),
}


@pytest.mark.parametrize("ids", TYPES.values(), ids=TYPES)
def test_ids_of_parquet_are_text_whatever_their_type(tmp_path, ids):
    pl.DataFrame({"who": ids, "what": ids}).write_parquet(tmp_path / "visits.parquet")

    reviews = read(tmp_path, source(interactions="visits.parquet")).reviews

    assert reviews.select("user", "item").rows() == [("17", "17"), ("A9", "A9")]


@pytest.mark.parametrize("dtype", [pl.Float64, pl.Float32, pl.Decimal(10, 2), pl.Int8])
def test_whole_numbers_are_ids_and_others_are_none(tmp_path, dtype):
    rows = pl.DataFrame({"who": pl.Series([17], dtype=dtype), "what": 1})
    rows.write_parquet(tmp_path / "visits.parquet")
    settings = source(interactions="visits.parquet")

    assert read(tmp_path, settings).reviews["user"].to_list() == ["17"]
    if dtype != pl.Int8:
        rows.with_columns(pl.col("who") + 0.5).write_parquet(tmp_path / "visits.parquet")
        with pytest.raises(RawDataError, match=r"an id in column 'who' of row 1, got '17.5"):
            read(tmp_path, settings)


def test_tables_without_a_common_item_are_refused_with_examples(tmp_path):
    write(tmp_path / "visits.csv", "who,what\nann,A-1\nann,A-2\n")
    write(tmp_path / "items.csv", "what,name\n1,A mug\n2,A pot\n")
    settings = source({"title": "name"}, items="items.csv")

    with pytest.raises(
        RawDataError,
        match=r"visits.csv and .*items.csv: expected the same item ids .* got 0 of 2 .* have "
        r"\['A-1', 'A-2'\], the items \['1', '2'\].* ingest.min_known_items",
    ):
        read(tmp_path, settings)

    tables = readers.get("tables").read(settings, tmp_path, ledger(min_known_items=0.0))
    assert tables.items["title"].to_list() == [None, None]


def test_a_small_part_of_the_catalogue_is_enough(tmp_path):
    """Of either table: three items of a hundred here, all of them in the other one."""
    write(tmp_path / "visits.csv", "who,what\n" + "".join(f"ann,{n}\n" for n in range(100)))
    write(tmp_path / "items.csv", "what,name\n5,A mug\n6,A pot\n7,A jug\n")

    tables = read(tmp_path, source({"title": "name"}, items="items.csv"))

    assert tables.items["title"].count() == 3


UNITS = {
    "milliseconds": ("s", "1487123456000", "looks like ms: write `time: ms`"),
    "a date": ("s", "2024-01-02", "looks like iso: write `time: iso`"),
    "a number": ("iso", "1487123456", "looks like s: write `time: s`"),
    "nanoseconds": ("s", "1487123456000000000", "write the times in that unit"),
    "before 1970": ("s", "-1", "write the times in that unit"),
}


@pytest.mark.parametrize(("unit", "written", "hint"), UNITS.values(), ids=UNITS)
def test_a_time_in_another_unit_is_named_with_the_setting(tmp_path, unit, written, hint):
    write(tmp_path / "visits.csv", f"who,what,when\nann,1,{written}\n")

    with pytest.raises(
        RawDataError, match=rf"csv:2: .*`sources.[\w-]+.time` is {unit}.*{hint}"
    ):
        read(tmp_path, source({"timestamp": "when"}, time=unit))


def test_seconds_read_as_milliseconds_are_refused(tmp_path):
    write(tmp_path / "visits.csv", "who,what,when\nann,1,1487123456\n")

    with pytest.raises(RawDataError, match=r"time is ms, got none after .* write `time: s`"):
        read(tmp_path, source({"timestamp": "when"}, time="ms"))


def test_items_keep_further_columns_and_the_first_row_of_each(tmp_path):
    write(tmp_path / "visits.csv", "who,what\nann,1\n")
    rows = {"what": ["1", "1", "2"], "tags": [["a", ""], ["b"], []], "name": ["x", "y", "z"]}
    pl.DataFrame(rows).write_parquet(tmp_path / "items.parquet")
    settings = source({"title": "name"}, items="items.parquet", fields=["tags"])

    assert read(tmp_path, settings).items.rows() == [("1", "x", None, None, ["a"])]


def test_a_further_column_with_a_name_of_ours_is_refused(tmp_path):
    write(tmp_path / "visits.csv", "who,what\nann,1\n")
    write(tmp_path / "items.csv", "what,title\n1,x\n")

    with pytest.raises(ParamsError, match=r"fields: expected names other .* got \['title'\]"):
        read(tmp_path, source(items="items.csv", fields=["title"]))


# --- settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interactions": "../visits.csv"}, "interactions"),
        ({"interactions": "visits.xlsx"}, "interactions"),
        ({"pictures": "../photos"}, "pictures"),
        ({"columns": COLUMNS | {"title": "name"}}, "columns.title is a column of it"),
        ({"columns": {"user": "who"}}, "columns.item"),
        ({"columns": COLUMNS | {"prize": "x"}}, "columns.prize: unknown key"),
        ({"time": "us"}, "time"),
    ],
)
def test_contradictory_settings_are_refused(change, message):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    own = {"format": "tables", "interactions": "visits.csv", "columns": COLUMNS}
    raw["sources"]["shop"] = own | change

    with pytest.raises(ParamsError, match=rf"params.yaml: sources\.shop.*{re.escape(message)}"):
        params.parse(raw)


# --- what later readers tried -------------------------------------------------------------

TYPES_REFUSED = {
    "a list of stars": ("stars", pl.Series([[5], [4]]), "one number, text or date"),
    "a time of the day": ("when", pl.Series([1, 2], dtype=pl.Time), "one number, text or date"),
    "a duration": ("when", pl.Series([1, 2], dtype=pl.Duration), "one number, text or date"),
    "rounded times": ("when", pl.Series([1.0, 2.0], dtype=pl.Float32), "which rounds them"),
    "bytes for an id": ("who", pl.Series([b"a", b"\xff"]), "an id in column 'who' of row 2"),
    "a rounded id": (
        "what",
        pl.Series([17, 16777217], dtype=pl.Float32),
        "an id in column 'what' of row 2, got '16777216.0'",
    ),
}


@pytest.mark.parametrize(
    ("name", "values", "message"), TYPES_REFUSED.values(), ids=TYPES_REFUSED
)
def test_a_type_of_parquet_that_does_not_fit_is_named(tmp_path, name, values, message):
    rows = {"who": ["a", "b"], "what": [1, 2], "when": [60, 61], "stars": [1, 2]}
    pl.DataFrame(rows | {name: values}).write_parquet(tmp_path / "visits.parquet")
    settings = source({"timestamp": "when", "rating": "stars"}, interactions="visits.parquet")

    with pytest.raises(RawDataError, match=message):
        read(tmp_path, settings)


def test_times_with_an_offset_for_a_zone_are_named(tmp_path):
    """Polars aborts at them."""
    when = pa.array([60, 61], pa.timestamp("ms", "+05:30"))
    table = pa.table({"who": ["a", "b"], "what": [1, 2], "when": when})
    pq.write_table(table, tmp_path / "visits.parquet")

    with pytest.raises(RawDataError, match=r"column 'when' with the zone '\+05:30'; write"):
        read(tmp_path, source({"timestamp": "when"}, interactions="visits.parquet", time="iso"))


INEXACT = {
    "an object for an id": '{"who": {"id": 2}, "what": 2, "stars": 1}',
    "a list for stars": '{"who": "b", "what": 2, "stars": [1]}',
    "infinite stars": '{"who": "b", "what": 2, "stars": 1e400}',
    "a rounded id": '{"who": "b", "what": 9007199254740993.0, "stars": 1}',
}


@pytest.mark.parametrize("line", INEXACT.values(), ids=INEXACT)
def test_a_value_of_json_that_is_no_scalar_is_a_bad_line_and_nothing_else(tmp_path, line):
    good = '{"who": "a", "what": 1, "stars": 5}\n'
    write(tmp_path / "visits.jsonl", f"{good}{line}\n{good}")
    settings = source({"rating": "stars"}, interactions="visits.jsonl")

    with pytest.raises(RawDataError, match=r"jsonl:2: expected an? .*in column '\w+', got \S"):
        read(tmp_path, settings)
    assert read(tmp_path, settings, limit=1).reviews["user"].to_list() == ["a", "a"]


@pytest.mark.parametrize("in_items", [False, True])
def test_a_key_that_is_nowhere_in_json_is_a_column_that_is_not_there(tmp_path, in_items):
    write(tmp_path / "visits.jsonl", '{"who": "a", "what": 1, "stars": 5}\n')
    write(tmp_path / "items.jsonl", '{"what": 1, "name": "A mug"}\n')
    more = {"title": "Name"} if in_items else {"rating": "Stars"}
    settings = source(more, interactions="visits.jsonl", items="items.jsonl")

    with pytest.raises(RawDataError, match=r"expected a column '(Name|Stars)', which sources"):
        read(tmp_path, settings)


def test_dates_read_as_seconds_are_refused(tmp_path):
    write(tmp_path / "visits.csv", "who,what,when\nann,1,20180107\nbob,1,20190101\n")

    with pytest.raises(RawDataError, match=r"which look like dates; write `time: iso`"):
        read(tmp_path, source({"timestamp": "when"}))


def test_a_repeated_header_is_a_bad_line(tmp_path):
    write(tmp_path / "visits.csv", "who,what\na,1\n\ufeffwho,what\nb,2\n")

    with pytest.raises(RawDataError, match=r"csv:3: expected a record, not the header again"):
        read(tmp_path, source())
    assert read(tmp_path, source(), limit=1).reviews["user"].to_list() == ["a", "b"]


def test_nan_in_a_column_of_numbers_is_absent(tmp_path):
    rows = {"who": ["a", "b"], "what": [1, 2], "ok": [1.0, float("nan")]}
    pl.DataFrame(rows).write_parquet(tmp_path / "visits.parquet")
    items = {"what": [1, 2], "name": ["A mug", "A pot"], "year": [1999.0, float("nan")]}
    pl.DataFrame(items).write_parquet(tmp_path / "items.parquet")
    files = {"interactions": "visits.parquet", "items": "items.parquet", "fields": ["year"]}

    tables = read(tmp_path, source({"verified": "ok", "title": "name"}, **files))

    assert tables.reviews["verified"].to_list() == [True, None]
    assert tables.items["year"].to_list() == ["1999", None]
