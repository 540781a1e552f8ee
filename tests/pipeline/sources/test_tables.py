import gzip
import re
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
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
        ("ms", "-1", -1),
        ("iso", "2024-01-02", 1704153600),
        ("iso", "2024-01-02T00:00:00Z", 1704153600),
        ("iso", "2024-01-02 01:00:00+0100", 1704153600),
        ("iso", "2024-01-02T00:00:00.5-00:00", 1704153600),
        ("iso", "1969-12-31", -86400),
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


def test_verified_is_read_from_words_and_numbers(tmp_path):
    write(tmp_path / "visits.csv", "who,what,ok\na,1,true\na,2,No\na,3,1\na,4,perhaps\na,5,\n")

    reviews = read(tmp_path, source({"verified": "ok"})).reviews

    assert reviews["verified"].to_list() == [True, False, True, None, None]


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
    "tabs": ("visits.tsv", 'who\twhat\n"a,\nnn"\t1\n\t2\n', 4),
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
    "a row too long": ("visits.csv", b"who,what\na,1\nb,2,3\n"),
    "nothing": ("visits.csv", b""),
    "no UTF-8": ("visits.csv", b"who,what\na,\xff\xfe\n"),
    "half a record": ("visits.jsonl", b'{"who": "a", "what": "1"}\n{"who": "b", "wh'),
    "half a gzip file": ("visits.csv.gz", gzip.compress(VISITS.encode())[:-12]),
    "no Parquet": ("visits.parquet", b"PAR1 and no more"),
}


@pytest.mark.parametrize(("name", "content"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(RawDataError, match=rf"{name}: expected a whole file of the format"):
        read(tmp_path, source(interactions=name))


def test_a_table_without_rows_is_named(tmp_path):
    write(tmp_path / "visits.csv", "who,what\n")

    with pytest.raises(RawDataError, match=r"visits.csv: expected rows with .* got none"):
        read(tmp_path, source())


def test_ids_with_a_fraction_are_refused(tmp_path):
    """A column of whole numbers with gaps becomes 17.0 in other programs: another item."""
    rows = pl.DataFrame({"who": ["ann"], "what": [17.0]})
    rows.write_parquet(tmp_path / "visits.parquet")

    with pytest.raises(RawDataError, match=r"column 'what' to hold ids, .* got Float64"):
        read(tmp_path, source(interactions="visits.parquet"))


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
