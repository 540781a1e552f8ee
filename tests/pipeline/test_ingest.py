import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from limits import LIMITS
from paths import ROOT

from pipeline import ingest, params
from pipeline.job.errors import ParamsError, RawDataError, SchemaError
from pipeline.sources import readers
from pipeline.sources.raw import Tables
from pipeline.tables.io import read_metadata, read_parquet
from pipeline.tables.schema import INGEST, RAW_ITEMS, REVIEWS

REVIEW = {"reviewerID": "U1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1400000000}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with params.yaml and a tiny category below raw/."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    pack("Gift_Cards_5.json.gz", [REVIEW, {**REVIEW, "asin": "A2"}, REVIEW])
    pack("meta_Gift_Cards.json.gz", [{"asin": "B1", "title": "Card", "category": ["Gifts"]}])
    return tmp_path


def pack(name, rows):
    path = Path("raw", name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))


def test_the_command_writes_both_tables(project):
    ingest.main(["gift_cards", "raw", "data/interim/gift_cards"])

    reviews = read_parquet(Path("data/interim/gift_cards/reviews.parquet"), REVIEWS)
    items = read_parquet(Path("data/interim/gift_cards/items.parquet"), RAW_ITEMS)
    assert reviews["item"].to_list() == ["B1", "A2", "B1"]
    assert items["raw_id"].to_list() == ["A2", "B1"]
    assert items.columns == [*RAW_ITEMS, "brand", "category"]


def test_the_same_files_make_the_same_bytes(project):
    ingest.main(["gift_cards", "raw", "one"])
    ingest.main(["gift_cards", "raw", "two"])

    for name in ("reviews.parquet", "items.parquet"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_counts_are_logged(project, caplog):
    caplog.set_level("INFO")

    ingest.main(["gift_cards", "raw", "interim"])

    assert "3 records, 0 bad lines" in caplog.text
    assert "3 reviews of 1 users and 2 items" in caplog.text
    assert "1 of 2 items have no metadata" in caplog.text


SITE = "http://g-ecx.images-amazon.com/images/G"
CDN = "https://m.media-amazon.com/images/I"


@pytest.mark.parametrize(
    "address",
    [
        f"{SITE}/01/x-site/icons/no-img-sm._CB192198896_.gif",
        f"{SITE}/01/x-site/icons/update-page._CB192192236_.gif",
        f"{SITE}/28/x-site/icons/no-img-lg._V192562228_BO1,204,203,200_.gif",
        f"{SITE}/01/nav2/dp/no-image-no-ciu._AA300_.gif",
        f"{SITE}/09/x-locale/detail/thumb-no-image.gif",
        "https://images-na.ssl-images-amazon.com/images/G/01/x-site/icons/no-img-sm.gif",
        "http://g-images.amazon.com/images/G/01/x-site/icons/no-img-lg.gif",
        f"{CDN}/01RmK+J4pJL._AC_UL320_.gif",
        f"{CDN}/01RmK%2BJ4pJL.gif",
        f"{CDN}/01MKUOLsA5L._SL500_.gif",
    ],
)
def test_amazons_no_image_is_no_picture(project, caplog, address):
    caplog.set_level("INFO")
    pack("meta_Gift_Cards.json.gz", [{"asin": "B1", "title": "Card", "imageURL": [address]}])

    ingest.main(["gift_cards", "raw", "interim"])

    assert pl.read_parquet("interim/items.parquet")["image"].to_list() == [None, None]
    assert "image: 1 items name Amazon's picture for `no image available`" in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        f"{CDN}/51abc.jpg",
        f"{SITE}/01/gift-certificates/consumer/2013/no-imitation.jpg",
        f"{SITE}/01/gc/designs/livepreview/no-img/card_1.png",
        "https://shop.example/images/G/01/x-site/icons/no-img-sm.gif",
        "https://shop.example/a.jpg?of=http://g-ecx.images-amazon.com/images/G/01/no-img.gif",
    ],
)
def test_other_addresses_are_pictures(project, address):
    pack("meta_Gift_Cards.json.gz", [{"asin": "B1", "title": "Card", "imageURL": [address]}])

    ingest.main(["gift_cards", "raw", "interim"])

    assert pl.read_parquet("interim/items.parquet")["image"].to_list() == [None, address]


def test_a_file_without_reviews_is_refused_and_nothing_is_written(project):
    pack("Gift_Cards_5.json.gz", [])

    with pytest.raises(RawDataError, match="raw: expected reviews, got files without any"):
        ingest.main(["gift_cards", "raw", "interim"])

    assert not Path("interim").exists()


def test_an_absent_raw_file_is_named(project):
    with pytest.raises(RawDataError, match=r"absent/Gift_Cards_5\.json\.gz: no such file"):
        ingest.main(["gift_cards", "absent", "interim"])


def test_the_limit_of_bad_lines_is_the_one_in_params(project):
    text = Path("params.yaml").read_text(encoding="utf-8")
    pack("Gift_Cards_5.json.gz", [REVIEW, "no object"])
    with pytest.raises(RawDataError, match=r"Gift_Cards_5\.json\.gz:2: expected a JSON object"):
        ingest.main(["gift_cards", "raw", "interim"])
    Path("params.yaml").write_text(text.replace("max_bad_lines: 0", "max_bad_lines: 1"))

    ingest.main(["gift_cards", "raw", "interim"])

    assert pl.read_parquet("interim/reviews.parquet").height == 1


def test_an_unknown_dataset_is_an_error_with_the_known_ones(project):
    with pytest.raises(ParamsError, match=r"no dataset 'gifts'; .*'beauty', .*'gift_cards'"):
        ingest.main(["gifts", "raw", "interim"])


REVIEWS_OF = {
    "gift_cards": ("Gift_Cards_5.json.gz", "meta_Gift_Cards.json.gz", REVIEW),
    "beauty": ("reviews_Beauty_5.json.gz", "meta_Beauty.json.gz", REVIEW),
    "beauty_2023": (
        "All_Beauty.jsonl.gz",
        "meta_All_Beauty.jsonl.gz",
        {"user_id": "U1", "parent_asin": "B1", "rating": 5.0, "timestamp": 1400000000000},
    ),
}
ODD = {  # by the place of a field in the record: user, item, stars, time
    "no user": (0, ...),
    "null for an item": (1, None),
    "an empty item": (1, ""),
    "a number for a user": (0, 17),
    "no stars": (2, ...),
    "null for stars": (2, None),
    "0 stars": (2, 0.0),
    "6 stars": (2, 6),
    "text for stars": (2, "5.0"),
    "a list for stars": (2, [5.0]),
    "no time": (3, ...),
    "a time before 1970": (3, -62135596800000),
    "the far future": (3, 10**15),
    "text for a time": (3, "1400000000"),
}


@pytest.mark.parametrize("dataset", REVIEWS_OF)
@pytest.mark.parametrize(("place", "value"), ODD.values(), ids=ODD)
def test_one_odd_record_is_a_bad_line_in_every_dump(tmp_path, dataset, place, value):
    """It is named with its line and the setting, or left out; the others are read."""
    reviews, metadata, usual = REVIEWS_OF[dataset]
    odd = {**usual, list(usual)[place]: value}
    odd = {key: value for key, value in odd.items() if value is not ...}
    (tmp_path / reviews).write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in (usual, odd, usual)).encode())
    )
    item = {"parent_asin" if dataset == "beauty_2023" else "asin": "B1", "title": "Card"}
    (tmp_path / metadata).write_bytes(gzip.compress(f"{item}\n".replace("'", '"').encode()))
    source = params.load().source(dataset)
    field = list(usual)[place]

    with pytest.raises(
        RawDataError, match=rf"{reviews}:2: expected a field '{field}' .*max_bad_lines allows 0"
    ):
        ingest.ingest(source, tmp_path, tmp_path / "out", LIMITS)
    limits = params.Ingest(max_bad_lines=1)
    counts = ingest.ingest(source, tmp_path, tmp_path / "out", limits)

    assert counts.n_reviews == 2
    entry = json.loads(read_metadata(tmp_path / "out/reviews.parquet")[INGEST])
    assert entry["reviews"] == {"records": 3, "bad_lines": 1}


def test_a_value_of_another_type_is_counted(project, caplog):
    """Below the limit it counts as absent; an absent one does not count."""
    rows = [{"asin": f"B{n}", "title": "Card"} for n in range(200)]
    pack("meta_Gift_Cards.json.gz", [*rows, {"asin": "B200", "title": 5}, {"asin": "B201"}])

    ingest.main(["gift_cards", "raw", "interim"])

    assert "title: 1 of 201 values were not understood, such as 5 in line 201" in caplog.text
    entry = json.loads(read_metadata(Path("interim/reviews.parquet"))[INGEST])
    assert entry["files"]["meta_Gift_Cards.json.gz"]["not_understood"] == {"title": 1}


def test_metadata_of_other_items_are_refused(project):
    pack("meta_Gift_Cards.json.gz", [{"asin": "0123", "title": "A book"}])

    with pytest.raises(
        RawDataError, match=r"got 0 of 2 items .* have \['A2', 'B1'\], .*'0123'"
    ):
        ingest.main(["gift_cards", "raw", "interim"])


REVIEWS_OF_B1 = pl.DataFrame([("U1", "B1", 1, 5.0, None)], schema=REVIEWS, orient="row")
WRONG = {
    "a repeated item": (pl.DataFrame({"raw_id": ["B1", "B1"]}), RawDataError, "each item once"),
    "a lost item": (pl.DataFrame({"raw_id": ["B2"]}), RawDataError, "item 'B1' has no row"),
    "a lost column": (pl.DataFrame({"id": ["B1"]}), SchemaError, "expected a column 'raw_id'"),
}


@pytest.mark.parametrize(("items", "error", "message"), WRONG.values(), ids=WRONG)
def test_a_reader_that_breaks_its_promise_is_caught(
    tmp_path, monkeypatch, items, error, message
):
    """New formats are added by others; what comes after relies on whole references."""
    lacking = [pl.lit(None, dtype=pl.String).alias(name) for name in list(RAW_ITEMS)[1:]]
    tables = Tables(REVIEWS_OF_B1, items.with_columns(lacking))
    reader = readers.Reader(read=lambda *_: tables)
    monkeypatch.setitem(readers.READERS, "tianchi", reader)

    with pytest.raises(error, match=message):
        ingest.ingest(params.TianchiSource(format="tianchi"), Path("raw"), tmp_path, LIMITS)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["download", "ingest"])
def test_help_is_the_stage_s_docstring(stage):
    help_text = run(stage, "--help")

    assert help_text.returncode == 0
    assert f"Stage `{stage}`" in help_text.stdout
    assert f"python -m pipeline.{stage} gift_cards data/raw/gift_cards" in help_text.stdout


def test_a_failure_ends_with_a_message_and_status_1(project):
    Path("raw/Gift_Cards_5.json.gz").write_bytes(b"no gzip")

    failed = run("ingest", "gift_cards", "raw", "interim")

    assert failed.returncode == 1
    assert "error: raw/Gift_Cards_5.json.gz: expected a gzip file" in failed.stderr
    assert "Traceback" not in failed.stderr


def run(stage, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
