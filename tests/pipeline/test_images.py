"""What becomes of pictures that are fine, absent, damaged or hostile, and of a full disk."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from paths import ROOT
from picture_cases import (
    ARGUMENTS,
    LEDGER,
    PAGE,
    RED,
    TABLE,
    bomb,
    delayed,
    encoded,
    numbered,
    prepare,
    run_stage,
)
from PIL import Image

from pipeline import images
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.pictures.store import Store
from pipeline.tables import pictures
from pipeline.tables.schema import IMAGES

REAL = ROOT.parent / "shared/data/product_images/images"
NOISE = encoded(Image.effect_noise((64, 64), 50), "JPEG")
NO_PICTURE = f"not a picture in {', '.join(pictures.FORMATS)}"


def local(**files: bytes) -> list[str]:
    """Write files below raw/; `a_png` becomes a.png."""
    Path("raw").mkdir(exist_ok=True)
    names = [name.replace("_", ".") for name in files]
    for name, data in zip(names, files.values(), strict=True):
        (Path("raw") / name).write_bytes(data)
    return names


def ledger() -> list[tuple]:
    return pl.read_csv(LEDGER).rows()


# --- one row per item --------------------------------------------------------------------


def test_one_row_per_item_with_the_bytes_as_they_came(folder):
    local(red_png=RED)

    table = run_stage(["red.png", None, ""])

    assert table.schema == pl.Schema(IMAGES)
    assert table.rows() == [
        (0, "ok", RED, 8, 6, "red.png"),
        (1, "missing", None, None, None, images.NO_PICTURE),
        (2, "missing", None, None, None, images.NO_PICTURE),
    ]
    assert not LEDGER.exists()


def test_a_wrong_extension_does_not_matter(folder):
    places = local(a_png=encoded(Image.new("RGB", (8, 6), "red"), "JPEG"), b_jpg=RED, c_txt=RED)

    assert run_stage(places)["status"].to_list() == ["ok"] * 3


@pytest.mark.parametrize(
    "place", ["http://[bad", "https://", "ftp://x/y.png", "a\0b", "x" * 300, "x.zip/" * 90]
)
def test_a_name_that_makes_no_sense_is_missing(folder, place):
    assert run_stage([place], retries=0)["status"].to_list() == ["missing"]


def test_paths_that_leave_the_raw_folder_are_refused(folder):
    local()
    (folder / "secret.png").write_bytes(RED)
    with zipfile.ZipFile(folder / "secret.zip", "w") as archive:
        archive.writestr("a.png", RED)
    (folder / "raw/link.png").symlink_to(folder / "secret.png")
    (folder / "raw/link.zip").symlink_to(folder / "secret.zip")
    outside = ["../secret.png", str(folder / "secret.png"), "link.png"]
    outside += ["../secret.zip/a.png", str(folder / "secret.zip/a.png"), "link.zip/a.png"]

    table = run_stage(outside)

    assert table["status"].to_list() == ["missing"] * 6
    assert table["source"].str.starts_with("refused").all()
    assert table["bytes"].is_null().all()


def test_a_local_file_that_is_absent_or_too_large_is_missing(folder):
    local(large_png=b"\0" * 200_000)

    table = run_stage(["nowhere.png", "large.png", "."])

    assert table["source"].to_list() == [
        "no such file: nowhere.png",
        "more than images.max_megabytes = 0.1: large.png",
        "no such file: .",
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (RED[:-30], "damaged"),
        (NOISE[:-200], "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
        (bomb(), "more than 50000000 pixels"),
    ],
)
def test_damaged_and_hostile_files_are_broken(folder, data, reason):
    table = run_stage(local(a_png=data))

    assert table["status"].item() == "broken"
    assert table["source"].item().startswith(reason)
    assert table["bytes"].item() is None


def test_a_damaged_ledger_is_thrown_away_and_its_pictures_are_fetched_again(
    folder, server, caplog
):
    LEDGER.parent.mkdir(parents=True)
    (LEDGER.parent / "shard-0.pictures").touch()
    (LEDGER.parent / "shard-0.sqlite").write_bytes(b"no database" * 1000)

    assert run_stage([f"{server.address}/red.png"])["status"].to_list() == ["ok"]
    assert "shard-0.sqlite: thrown away: it is damaged (file is not a database)" in caplog.text


def test_an_unknown_dataset_is_a_params_error(folder):
    run_stage([None])
    with pytest.raises(ParamsError, match="no dataset 'nowhere'"):
        images.main(["nowhere", "raw", "processed", "out.parquet"])


def test_nothing_is_fetched_for_a_dataset_that_reads_no_image(folder, server):
    place = f"{server.address}/red.png"

    table = run_stage([place], feature={"extractor": "sif", "field": "title"})

    assert table.rows() == [(0, "missing", None, None, None, images.NOT_READ)]
    assert not server.asked


@pytest.mark.skipif(not REAL.is_dir(), reason="the real product pictures are not here")
def test_real_pictures(folder):
    (folder / "raw").mkdir()
    names = sorted(path.name for path in REAL.glob("*.jpg"))
    for name in names:
        (folder / "raw" / name).write_bytes((REAL / name).read_bytes())

    table = run_stage(names)

    assert table["status"].to_list() == ["ok"] * len(names)
    assert set(zip(table["width"], table["height"], strict=True)) == {(60, 80)}


# --- going on, and the same bytes --------------------------------------------------------


def test_a_stage_that_was_stopped_goes_on_where_it_was(folder, server):
    places = [f"{server.address}/red.png", f"{server.address}/late.png"]
    server.pages["/late.png"] = (500, {}, b"")
    with pytest.raises(RawDataError, match="1 x HTTP 500"):
        run_stage(places, max_failed=0.4)
    assert not TABLE.exists()

    del server.pages["/late.png"]
    table = run_stage(places, max_failed=0.4)

    assert table["status"].to_list() == ["ok", "ok"]
    assert server.asked["/red.png"] == 1


def test_a_log_in_page_is_not_kept_for_the_next_run(folder, server):
    place = f"{server.address}/portal.png"
    server.pages["/portal.png"] = PAGE
    with pytest.raises(RawDataError, match="1 x not a picture"):
        run_stage([place], max_failed=0.0)

    del server.pages["/portal.png"]

    assert run_stage([place], max_failed=0.0)["status"].to_list() == ["ok"]


def test_the_same_bytes_when_run_again(folder, server):
    place = f"{server.address}/red.png"
    run_stage([place, None, place] * 200)
    first = TABLE.read_bytes()
    run_stage([place, None, place] * 200)

    assert TABLE.read_bytes() == first
    assert server.asked["/red.png"] == 1


def test_the_order_of_arrival_does_not_show(folder, server):
    """The first picture comes last of all; over one connection it comes first."""
    for number in range(8):
        server.pages[f"/{number}.png"] = numbered(number)
    server.pages["/0.png"] = delayed(numbered(0))
    places = [f"{server.address}/{number}.png" for number in range(8)]
    run_stage(places, timeout=5)
    late = TABLE.read_bytes()
    for kept in LEDGER.parent.iterdir():
        kept.unlink()
    server.pages["/0.png"] = numbered(0)

    run_stage(places, timeout=5, connections=1)

    assert server.asked["/0.png"] == 2
    assert TABLE.read_bytes() == late


# --- failures: the share, the ledger -----------------------------------------------------


def a_third_broken(server, n: int) -> list[str]:
    """Addresses of `n` pictures; of each ten two are cut short and one is a log-in page."""
    for number in range(n):
        data = numbered(number)
        page = {3: data[:-30], 6: PAGE, 9: data[:-30]}.get(number % 10, data)
        server.pages[f"/{number}.png"] = page
    return [f"{server.address}/{number}.png" for number in range(n)]


def test_thirty_percent_of_broken_pictures_do_not_stop_the_stage(folder, server):
    places = a_third_broken(server, 100)

    table = run_stage(places, max_failed=0.5, connections=8)

    assert Counter(table["status"]) == {"ok": 70, "broken": 30}
    good = table.filter(pl.col("status") == "ok")
    assert good["bytes"].to_list() == [numbered(item) for item in good["item"]]
    expected = [item for item in range(100) if item % 10 in (3, 6, 9)]
    assert [row[:3] for row in ledger()] == [(i, places[i], "broken") for i in expected]
    assert Counter(row[3] for row in ledger())[NO_PICTURE] == 10


def test_too_many_broken_pictures_stop_the_stage_with_the_ledgers_path(folder, server):
    places = a_third_broken(server, 20)

    message = rf"max_failed = 0.2 of 20 .*got 6 failures.*listed in {LEDGER}\. "
    with pytest.raises(RawDataError, match=message):
        run_stage(places, max_failed=0.2)

    assert [row[0] for row in ledger()] == [3, 6, 9, 13, 16, 19]
    assert not TABLE.exists()


def test_a_stage_that_stops_while_fetching_lists_what_failed_until_then(folder, server):
    server.pages = {f"/{number}.png": (404, {}, b"") for number in range(50)}
    places = [None, *[f"{server.address}/{number}.png" for number in range(50)]]

    with pytest.raises(RawDataError, match=rf"6 x HTTP 404\. Each is listed in {LEDGER}"):
        run_stage(places, max_failed=0.1, connections=1)

    assert ledger() == [(item, places[item], "missing", "HTTP 404") for item in range(1, 7)]
    assert sum(server.asked.values()) < 10


def test_a_good_run_removes_the_ledger_of_a_bad_one(folder):
    run_stage(["a.png"])
    assert ledger() == [(0, "a.png", "missing", "no such file")]

    local(a_png=RED)
    run_stage(["a.png"])

    assert not LEDGER.exists()


def test_the_log_names_the_ledger(folder, caplog):
    run_stage(["a.png"])

    assert f"1 pictures failed, each with its reason in {LEDGER}" in caplog.text


def test_items_without_a_picture_do_not_count_as_failures(folder):
    local(a_png=RED)

    assert run_stage([None, None, "a.png"], max_failed=0.0).height == 3
    with pytest.raises(RawDataError, match=r"max_failed = 0.4 of 2 pictures.*1 x no such file"):
        run_stage([None, "a.png", "b.png"], max_failed=0.4)


# --- a full disk -------------------------------------------------------------------------


def stage(*before: str, **options) -> subprocess.CompletedProcess:
    """Run the stage in a process of its own."""
    return subprocess.run(
        [*before, sys.executable, "-m", "pipeline.images", *ARGUMENTS],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def no_file_beyond(size: int):
    """The kernel refuses to make a file larger, as it does on a full disk (EFBIG)."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def noisy(n: int, side: int) -> dict[str, bytes]:
    noise = Image.effect_noise((side, side), 90)
    return {f"{n}_png": encoded(noise.rotate(n)) for n in range(n)}


def test_no_room_for_a_fetched_file(folder, server):
    for name, data in noisy(2, 300).items():
        server.pages[f"/{name}"] = data
    prepare([f"{server.address}/red.png", f"{server.address}/0_png"], connections=1)

    done = stage(preexec_fn=no_file_beyond(40_000))

    shard = LEDGER.parent / "shard-0.pictures"
    assert done.returncode == 1
    assert f"error: {shard}: cannot be written: " in done.stderr.replace(str(folder) + "/", "")
    assert "Make room and run the stage again (what is complete is kept)" in done.stderr
    assert "Traceback" not in done.stderr
    with Store(LEDGER.parent) as store:
        addresses = [f"{server.address}/{name}" for name in ("red.png", "0_png")]
        assert store.absent(addresses) == addresses[1:]


def test_no_room_for_the_table(folder):
    prepare(local(**noisy(8, 100)))

    done = stage(preexec_fn=no_file_beyond(20_000))

    assert done.returncode == 1
    assert f"error: {TABLE}: cannot be written: " in done.stderr
    assert "Traceback" not in done.stderr
    assert list(TABLE.parent.iterdir()) == []


def may_mount() -> bool:
    try:
        return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not may_mount(), reason="this system lets us mount no disk of our own")
@pytest.mark.parametrize("full", ["images", ".work"])
def test_a_disk_that_is_full(folder, server, full):
    """A disk of 64 KiB, mounted where no other process sees it."""
    for name, data in noisy(8, 100).items():
        server.pages[f"/{name}"] = data
    prepare([f"{server.address}/{n}_png" for n in range(8)], connections=1)
    Path(full).mkdir()

    script = f'mount -t tmpfs -o size=64k none {full} && "$@"; code=$?; find {full}; exit $code'
    done = stage("unshare", "-rm", "sh", "-c", script, "sh")

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Make room and run the stage again" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".partial" not in done.stdout
    assert "sample.parquet" not in done.stdout


# --- archives ----------------------------------------------------------------------------


def test_a_folder_an_archive_and_the_web_side_by_side(folder, server):
    local(a_png=numbered(1))
    with zipfile.ZipFile("raw/b.zip", "w") as archive:
        archive.writestr("in/b.png", numbered(2))
        archive.writestr("in/cut.png", numbered(3)[:-30])

    places = ["b.zip/in/b.png", "a.png", f"{server.address}/red.png", "b.zip/in/cut.png"]
    table = run_stage([*places, "b.zip/none.png"])

    assert table["bytes"].to_list() == [numbered(2), numbered(1), RED, None, None]
    assert [row[1:] for row in ledger()] == [
        ("b.zip/in/cut.png", "broken", "damaged (OSError)"),
        ("b.zip/none.png", "missing", "no such member of the archive"),
    ]
