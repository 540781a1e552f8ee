"""What becomes of pictures that are fine, absent, odd, damaged or hostile."""

from __future__ import annotations

import io
import struct
import threading
import time
import zlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image

from pipeline import images, picture_fetch, pictures
from pipeline.errors import ParamsError, RawDataError
from pipeline.io import read_parquet
from pipeline.schema import IMAGES, ITEMS

PROJECT = Path(__file__).parents[2]
REAL = PROJECT.parent / "shared/data/product_images/images"
SETTINGS = {
    "connections": 4,
    "connections_per_host": 4,
    "retries": 1,
    "timeout": 0.5,
    "max_megabytes": 0.1,
    "max_failed": 1.0,
}


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RED = encoded(Image.new("RGB", (8, 6), "red"))


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 30000 x 30000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


PAGES = {
    "/red.png": (200, RED),
    "/page.png": (200, b"<html>Please log in</html>"),
    "/empty.png": (200, b""),
    "/large.png": (200, b"\0" * 200_000),
    "/gone.png": (404, b""),
    "/down.png": (503, b""),
}


class Pages(BaseHTTPRequestHandler):
    """A server of one picture and of everything that goes wrong."""

    def do_GET(self):
        self.server.asked[self.path] += 1
        if self.path == "/slow.png":
            time.sleep(1)
        if self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "/red.png")
            self.end_headers()
            return
        status, body = self.server.pages.get(self.path, (200, RED))
        if self.path == "/once.png" and self.server.asked[self.path] == 1:
            status, body = 503, b""
        self.send_response(status)
        declared = 2 * len(body) if self.path == "/short.png" else len(body)
        self.send_header("Content-Length", str(declared))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that gave up is what some tests are about."""


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(picture_fetch, "FIRST_PAUSE", 0.01)
    with QuietServer(("127.0.0.1", 0), Pages) as running:
        running.asked, running.pages = Counter(), dict(PAGES)
        threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_stage(
    places: list[str | None], *, feature: dict | None = None, **settings
) -> pl.DataFrame:
    """Write params.yaml and items.parquet to the working directory, run, read the table."""
    raw = yaml.safe_load((PROJECT / "params.yaml").read_text())
    raw["features"]["sample"] = {
        "visual": feature or {"extractor": "vgg16", "field": "image", "weights": "seeded"}
    }
    raw["images"] = SETTINGS | settings
    raw["models"] = ["lightgcn"]
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    columns = {name: [None] * len(places) for name in ITEMS}
    columns |= {"item": list(range(len(places))), "image": places}
    Path("processed").mkdir(exist_ok=True)
    Path("raw").mkdir(exist_ok=True)
    pl.DataFrame(columns, schema=ITEMS).write_parquet("processed/items.parquet")
    images.main(["sample", "raw", "processed", "images/sample.parquet"])
    return read_parquet(Path("images/sample.parquet"), IMAGES)


def test_one_row_per_item_with_the_bytes_as_they_came(workspace):
    (workspace / "raw").mkdir()
    (workspace / "raw/red.png").write_bytes(RED)

    table = run_stage(["red.png", None, ""])

    assert table.schema == pl.Schema(IMAGES)
    assert table.rows() == [
        (0, "ok", RED, 8, 6, "red.png"),
        (1, "missing", None, None, None, images.NO_PICTURE),
        (2, "missing", None, None, None, images.NO_PICTURE),
    ]


@pytest.mark.parametrize(
    ("page", "status", "reason"),
    [
        ("red.png", "ok", ""),
        ("moved.png", "ok", ""),
        ("once.png", "ok", ""),
        ("gone.png", "missing", "HTTP 404: "),
        ("down.png", "missing", "HTTP 503: "),
        ("slow.png", "missing", "no answer (ReadTimeout): "),
        ("short.png", "missing", "no answer (RemoteProtocolError): "),
        ("large.png", "missing", "more than images.max_megabytes = 0.1: "),
        ("page.png", "broken", f"not a picture in {', '.join(pictures.FORMATS)}: "),
        ("empty.png", "broken", "zero bytes: "),
    ],
)
def test_what_the_web_answers(workspace, server, page, status, reason):
    place = f"http://127.0.0.1:{server.server_port}/{page}"

    table = run_stage([place])

    assert table["status"].item() == status
    assert table["source"].item() == reason + place
    assert table["bytes"].item() == (RED if status == "ok" else None)


def test_only_what_may_change_is_asked_for_again(workspace, server):
    address = f"http://127.0.0.1:{server.server_port}"

    run_stage([f"{address}/gone.png", f"{address}/down.png"])

    assert server.asked == {"/gone.png": 1, "/down.png": 2}


def test_no_server_at_all_is_a_reason_and_stops_early(workspace, monkeypatch):
    monkeypatch.setattr(picture_fetch, "UNREACHABLE", 3)
    places = [f"http://127.0.0.1:1/{n}.png" for n in range(40)]

    with pytest.raises(RawDataError, match=r"got 3 failures so far: 3 x no answer \(Connect"):
        run_stage(places, retries=0, max_failed=0.99, connections=1)
    assert not Path("images/sample.parquet").exists()


@pytest.mark.parametrize(
    "place", ["http://[bad", "https://", "ftp://x/y.png", "a\0b", "x" * 300]
)
def test_a_name_that_makes_no_sense_is_missing(workspace, place):
    assert run_stage([place], retries=0)["status"].to_list() == ["missing"]


def test_paths_that_leave_the_raw_folder_are_refused(workspace):
    (workspace / "raw").mkdir()
    (workspace / "secret.png").write_bytes(RED)
    (workspace / "raw/link.png").symlink_to(workspace / "secret.png")

    table = run_stage(["../secret.png", str(workspace / "secret.png"), "link.png"])

    assert table["status"].to_list() == ["missing"] * 3
    assert table["source"].str.starts_with("refused").all()
    assert table["bytes"].is_null().all()


def test_a_local_file_that_is_absent_or_too_large_is_missing(workspace):
    (workspace / "raw").mkdir()
    (workspace / "raw/large.png").write_bytes(b"\0" * 200_000)

    table = run_stage(["nowhere.png", "large.png", "."])

    assert table["source"].to_list() == [
        "no such file: nowhere.png",
        "more than images.max_megabytes = 0.1: large.png",
        "no such file: .",
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (RED[:-30], "damaged"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:-200], "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
        (bomb(), "more than 50000000 pixels"),
    ],
)
def test_damaged_and_hostile_files_are_broken(workspace, data, reason):
    (workspace / "raw").mkdir()
    (workspace / "raw/a.png").write_bytes(data)

    table = run_stage(["a.png"])

    assert table["status"].item() == "broken"
    assert table["source"].item().startswith(reason)
    assert table["bytes"].item() is None


def test_a_stage_that_was_stopped_goes_on_where_it_was(workspace, server):
    address = f"http://127.0.0.1:{server.server_port}"
    places = [f"{address}/red.png", f"{address}/late.png"]
    server.pages["/late.png"] = (500, b"")
    with pytest.raises(RawDataError, match="1 x HTTP 500"):
        run_stage(places, max_failed=0.4)
    assert not Path("images/sample.parquet").exists()

    del server.pages["/late.png"]
    table = run_stage(places, max_failed=0.4)

    assert table["status"].to_list() == ["ok", "ok"]
    assert server.asked["/red.png"] == 1


def test_a_log_in_page_is_not_kept_for_the_next_run(workspace, server):
    place = f"http://127.0.0.1:{server.server_port}/portal.png"
    server.pages["/portal.png"] = (200, b"<html>")
    with pytest.raises(RawDataError, match="1 x not a picture"):
        run_stage([place], max_failed=0.0)

    del server.pages["/portal.png"]

    assert run_stage([place], max_failed=0.0)["status"].to_list() == ["ok"]


def test_items_without_a_picture_do_not_count_as_failures(workspace):
    (workspace / "raw").mkdir()
    (workspace / "raw/a.png").write_bytes(RED)

    assert run_stage([None, None, "a.png"], max_failed=0.0).height == 3
    with pytest.raises(RawDataError, match=r"max_failed = 0.4 of 2 pictures.*1 x no such file"):
        run_stage([None, "a.png", "b.png"], max_failed=0.4)


def test_the_same_bytes_when_run_again(workspace, server):
    place = f"http://127.0.0.1:{server.server_port}/red.png"
    run_stage([place, None, place] * 200)
    first = Path("images/sample.parquet").read_bytes()
    run_stage([place, None, place] * 200)

    assert Path("images/sample.parquet").read_bytes() == first
    assert server.asked["/red.png"] == 1


def test_nothing_is_fetched_for_a_dataset_that_reads_no_image(workspace, server):
    place = f"http://127.0.0.1:{server.server_port}/red.png"

    table = run_stage([place], feature={"extractor": "sif", "field": "title"})

    assert table.rows() == [(0, "missing", None, None, None, images.NOT_READ)]
    assert not server.asked


def test_an_unknown_dataset_is_a_params_error(workspace):
    run_stage([None])
    with pytest.raises(ParamsError, match="no dataset 'nowhere'"):
        images.main(["nowhere", "raw", "processed", "out.parquet"])


@pytest.mark.skipif(not REAL.is_dir(), reason="the real product pictures are not here")
def test_real_pictures(workspace):
    (workspace / "raw").mkdir()
    names = sorted(path.name for path in REAL.glob("*.jpg"))
    for name in names:
        (workspace / "raw" / name).write_bytes((REAL / name).read_bytes())

    table = run_stage(names)

    assert table["status"].to_list() == ["ok"] * len(names)
    assert set(zip(table["width"], table["height"], strict=True)) == {(60, 80)}
