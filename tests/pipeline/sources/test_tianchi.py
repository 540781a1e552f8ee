import shutil
import zipfile

import polars as pl
import pytest
from limits import ledger
from paths import ROOT, SHARED
from picture_cases import numbered

from pipeline import download, images, ingest, kcore, params
from pipeline.job.errors import RawDataError
from pipeline.sources import tianchi

SOURCE = params.TianchiSource(format="tianchi")
HISTORY = "9 480073 20150417\n7 29 20150516\n7 8 20141231\n"
ITEMS = "29 155 123950,53517\n480073 228\n31 1 2\n29 1 9\n"


def read(folder, history=HISTORY, items=ITEMS, limit=0):
    (folder / "user_bought_history.txt").write_text(history)
    (folder / "dim_items.txt").write_text(items)
    return tianchi.read(SOURCE, folder, ledger(limit))


def test_a_day_is_its_midnight_in_utc(tmp_path):
    assert read(tmp_path).reviews.rows() == [
        ("9", "480073", 1429228800, None, None),
        ("7", "29", 1431734400, None, None),
        ("7", "8", 1419984000, None, None),
    ]


def test_items_have_category_and_terms_where_the_file_has_them(tmp_path):
    items = read(tmp_path).items

    assert items.select("raw_id", "category", "title_tokens").rows() == [
        ("29", ["155"], ["123950", "53517"]),
        ("480073", ["228"], None),
        ("8", None, None),
    ]
    assert items.select("title", "description", "image").null_count().row(0) == (3, 3, 3)


def test_a_picture_is_named_only_if_it_is_there(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/29.jpg").touch()
    (tmp_path / "images/8.png").touch()

    images = read(tmp_path).items.select("raw_id", "image").rows()

    assert images == [("29", "images/29.jpg"), ("480073", None), ("8", None)]


def archive(path, **pictures):
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in pictures.items():
            packed.writestr(name.replace("_in_", "/") + ".jpg", data)


def test_pictures_may_be_in_any_folder_of_an_archive(tmp_path):
    archive(tmp_path / "tianchi_fm_img3_2.zip", tianchi_fm_img2_2_in_29=b"", other_in_8=b"")
    archive(tmp_path / "images.zip", **{"480073": b""})

    assert read(tmp_path).items.select("raw_id", "image").rows() == [
        ("29", "tianchi_fm_img3_2.zip/tianchi_fm_img2_2/29.jpg"),
        ("480073", "images.zip/480073.jpg"),
        ("8", "tianchi_fm_img3_2.zip/other/8.jpg"),
    ]


def test_of_several_pictures_the_folders_comes_first_then_the_own_archives(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/29.jpg").touch()
    archive(tmp_path / "images.zip", **{"29": b"", "8": b""})
    archive(tmp_path / "tianchi_fm_img3_1.zip", **{"29": b"", "8": b"", "480073": b""})

    assert read(tmp_path).items["image"].to_list() == [
        "images/29.jpg",
        "tianchi_fm_img3_1.zip/480073.jpg",
        "images.zip/8.jpg",
    ]


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"PK\x03\x04 and no end")

    with pytest.raises(RawDataError, match=r"images\.zip: expected a zip archive of pictures"):
        read(tmp_path)


def test_from_an_archive_in_the_mirror_to_the_packed_pictures(tmp_path, monkeypatch):
    """All stages on the way; nothing is unpacked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    folder = tmp_path / "mirror/taobao"
    folder.mkdir(parents=True)
    pairs = [(user, item) for user in range(6) for item in range(6)]
    (folder / "user_bought_history.txt").write_text(
        "".join(f"{user} {item} 20150101\n" for user, item in pairs)
    )
    (folder / "dim_items.txt").write_text("0 1 2\n")
    pictures = {item: numbered(item) for item in range(5)}
    archive(
        folder / "tianchi_fm_img3_1.zip",
        **{f"tianchi_fm_img2_1_in_{item}": data for item, data in pictures.items()},
    )

    download.main(["taobao", "raw"])
    ingest.main(["taobao", "raw", "interim"])
    kcore.main(["taobao", "interim", "processed"])
    images.main(["taobao", "raw", "processed", "images.parquet"])

    table = pl.read_parquet("images.parquet").join(
        pl.read_parquet("processed/items.parquet"), on="item"
    )
    assert {int(row["raw_id"]): row["bytes"] for row in table.to_dicts()} == pictures | {
        5: None
    }
    assert not list(tmp_path.rglob("*.jpg"))


@pytest.mark.parametrize(
    "line", ["7 29", "7 29 2015-04-17", "7 29 20151340", "7 29 20150417 x"]
)
def test_a_line_that_is_no_purchase_is_named(tmp_path, line):
    with pytest.raises(RawDataError, match=r"user_bought_history\.txt:4: expected `user item"):
        read(tmp_path, HISTORY + line)


def test_a_line_that_is_no_item_is_named(tmp_path):
    with pytest.raises(RawDataError, match=r"dim_items\.txt:2: expected `item .*, got '31'"):
        read(tmp_path, items="29 155 1\n31\n")


def test_bad_lines_are_tolerated_up_to_the_limit(tmp_path):
    tables = read(tmp_path, HISTORY + "oops\n", ITEMS + "oops\n", limit=1)

    assert (tables.reviews.height, tables.items.height) == (3, 3)


def test_no_item_file_row_at_all_leaves_nulls(tmp_path):
    items = read(tmp_path, items="").items

    assert items.null_count().row(0) == (0, 3, 3, 3, 3, 3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data are not in ../shared/data")
def test_the_published_head_of_the_files_is_read():
    reviews, items = tianchi.read(SOURCE, SHARED / "tianchi_head", ledger(0))

    assert (reviews.height, items.height) == (20000, 659)
    assert reviews.row(0) == ("1915871", "8", 1429228800, None, None)
    assert items.filter(raw_id="29")["category"].to_list() == [["155"]]
