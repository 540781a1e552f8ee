import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from paths import ROOT

from pipeline import ingest, params
from pipeline.job.errors import ParamsError, RawDataError, SchemaError
from pipeline.sources import readers
from pipeline.sources.raw import Tables
from pipeline.tables.io import read_parquet
from pipeline.tables.schema import RAW_ITEMS, REVIEWS

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
        ingest.ingest(params.TianchiSource(format="tianchi"), Path("raw"), tmp_path, 0)

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
