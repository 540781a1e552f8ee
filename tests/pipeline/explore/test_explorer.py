"""The pages of a briefly trained dataset, from a running server."""

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

import httpx
import polars as pl
import pytest
import small_dataset
import yaml
from PIL import Image
from small_dataset import FOLDERS, N_ITEMS, ROOT, run

from pipeline import evaluate, params, recommend, train
from pipeline.explore import explorer
from pipeline.explore.catalogue import Catalogue
from pipeline.job.errors import ParamsError
from pipeline.pages import gallery
from pipeline.tables import schema as s
from pipeline.tables.io import write_json, write_parquet

pytest.importorskip("flask", reason="extra explore")
HOSTILE = "<script>alert(1)</script> & Sons"
MODELS = ["bprmf", "mcln"]


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two models, trained for one epoch; ten items with a picture, one with a hostile title."""
    folder = tmp_path_factory.mktemp("made")
    small_dataset.write(folder)
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    raw["train"] |= {"epochs": 1, "evaluate_every": 1, "refit": False}
    raw["models"] = MODELS
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    processed = folder / FOLDERS[0]
    items = pl.read_parquet(processed / s.ITEMS_FILE)
    title = pl.when(pl.col(s.ITEM) == 7).then(pl.lit(HOSTILE)).otherwise(pl.lit("A Hat"))
    write_parquet(items.with_columns(title.alias(s.TITLE)), processed / s.ITEMS_FILE)
    write_json({"users": 60, "items": N_ITEMS}, processed / s.STATISTICS_FILE)
    rows = [
        (item, "ok" if item < 10 else "missing", png() if item < 10 else None, 40, 30, "")
        for item in range(N_ITEMS)
    ]
    write_parquet(pl.DataFrame(rows, s.IMAGES, orient="row"), folder / "images.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in MODELS:
            for stage in (train, evaluate, recommend):
                run(stage, model)
    return folder


@pytest.fixture(scope="module")
def site(made):
    """The address of a server that was started as a user starts it."""
    command = ["pipeline.explore.explorer", "sample", *FOLDERS, "images.parquet", "results"]
    server = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", "0"],
        cwd=made,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.communicate(timeout=20)


def get(site, path, **other):
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.get(f"{site}{path}", **other)


def test_the_first_page_has_the_reports_users_and_the_most_popular_items(site):
    response = get(site, "/")

    assert response.status_code == 200
    assert '<input type="search" name="q"' in response.text
    assert '<a href="/user/0"><bdi>u0</bdi></a>' in response.text
    assert len(re.findall(r'class="tile"', response.text)) == 48


def test_a_search_finds_ids_by_their_start_and_titles_by_words(site):
    by_id, by_title, none = (
        get(site, "/", params={"q": q}).text for q in ("i12", "sons", "zz")
    )

    assert re.findall(r'href="/item/(\d+)"', by_id) == ["12", *map(str, range(120, 130))]
    assert re.findall(r'href="/item/(\d+)"', by_title) == ["7"]
    assert "No item id starts with this" in none
    assert "No user id" in none


def test_a_user_has_their_items_and_every_models_top_ten(made, site):
    page = get(site, "/user/3").text

    lists = {
        model: pl.read_parquet(made / f"results/{model}/recommendations.parquet").filter(
            (pl.col("user") == 3) & (pl.col("position") < 10)
        )["item"]
        for model in MODELS
    }
    for model, items in lists.items():
        section = page.partition(f'<h2 id="m-{model}">')[2].partition("</section>")[0]
        assert re.findall(r'href="/item/(\d+)"', section) == [str(item) for item in items]
        assert "of the full ranking" in section
    chosen = page.partition('<h2 id="chosen">')[2].partition("</section>")[0]
    assert len(re.findall(r'href="/item/', chosen)) == 8
    assert chosen.count("held out</p>") == 1
    assert chosen.count("validation</p>") == 1


def test_an_item_has_neighbours_by_each_modality_users_and_its_picture(site):
    page = get(site, "/item/5").text

    for modality in ("visual", "textual"):
        section = page.partition(f'<h2 id="n-{modality}">')[2].partition("</section>")[0]
        near = [float(x) for x in re.findall(r'"badge">([\d.-]+)<', section)]
        assert len(near) == 10
        assert near == sorted(near, reverse=True)
    assert '<img src="/picture/5"' in page
    assert "No picture." in get(site, "/item/50").text


def test_a_picture_is_a_small_jpeg_whatever_the_file_was(site):
    response = get(site, "/picture/5")

    assert response.headers["content-type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(response.content))
    assert (picture.format, picture.size) == ("JPEG", (40, 30))
    assert get(site, "/picture/50").status_code == 404


def test_text_from_outside_is_escaped_and_no_page_may_run_a_script(site):
    responses = [get(site, "/item/7"), get(site, "/", params={"q": HOSTILE})]

    for response in responses:
        assert "<script" not in response.text
        assert "&lt;script&gt;alert(1)" in response.text
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/user/60", "/item/130", "/user/-1", "/user/x", "/etc"])
def test_an_unknown_page_is_a_404(site, path):
    assert get(site, path).status_code == 404


def test_another_host_name_is_refused(site):
    """Another site could let its host name resolve to this address."""
    assert get(site, "/", headers={"Host": "elsewhere.example"}).status_code == 400


def test_open_connections_are_bounded(site):
    """Another site could open any number from the user's browser."""
    place = (explorer.HOST, int(site.rpartition(":")[2]))
    with ExitStack() as stack:
        for _ in range(explorer.MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(place, timeout=20))
        beyond = stack.enter_context(socket.create_connection(place, timeout=20))
        assert beyond.recv(1) == b""

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            assert get(site, "/user/3").status_code == 200
            return
    pytest.fail("expected the server to go on when connections are closed")


def test_an_item_without_a_feature_has_no_neighbours(made, monkeypatch):
    monkeypatch.chdir(made)
    material = gallery.read(made / FOLDERS[0], made / "results", params.load(), "sample")
    catalogue = Catalogue(material, made / FOLDERS[1], made / "images.parquet")
    feature, length = catalogue.feature("visual")
    length = length.copy()
    length[3] = 0
    catalogue.feature = lambda modality: (feature, length)

    assert catalogue.near("visual", 3) is None
    assert 3 not in [item for item, _ in catalogue.near("visual", 4)]


def test_without_the_package_the_command_names_the_extra(made, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setattr(explorer, "find_spec", lambda name: None)

    with pytest.raises(ParamsError, match=r"pip install -e '\.\[explore\]'"):
        explorer.main(["sample", *FOLDERS, "images.parquet", "results"])


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium")
def test_a_browser_shows_the_pages(site, tmp_path):
    """It runs as root where continuous integration does, which Chromium's sandbox refuses."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    done = subprocess.run(
        ["chromium", *options, "--dump-dom", f"{site}/user/3"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert '<h2 id="m-mcln">mcln</h2>' in done.stdout
