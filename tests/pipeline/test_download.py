import functools
import gzip
import hashlib
import http.server
import json
import shutil
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from paths import ROOT, SHARED
from web_cases import serving

from pipeline import download, params
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.published import files as published
from pipeline.published.raw_file import RawFile
from pipeline.sources.sample import dump
from pipeline.transfer.fetch import Fetcher
from pipeline.transfer.limits import Limits
from pipeline.transfer.mirror import Mirror

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published data are not in ../shared/data"
)
PACKED = gzip.compress(b"{}\n", mtime=0)
GIFTS = ("Gift_Cards_5.json.gz", "meta_Gift_Cards.json.gz")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with params.yaml, no mirror, and no network worth waiting for."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    # One at a time, so that it is known which file fails first.
    text = text.replace("retries: 5 ", "retries: 0 ").replace(
        "connections: 4 ", "connections: 1 "
    )
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:1")
    return tmp_path


@pytest.fixture
def mirror(project, monkeypatch):
    folder = project / "mirror"
    folder.mkdir()
    monkeypatch.setenv("DATA_MIRROR", str(folder))
    return folder


def put(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def gift_cards(mirror):
    put(mirror / "gift_cards", **dict.fromkeys(GIFTS, PACKED))


def entries(raw):
    return json.loads((raw / "manifest.json").read_text(encoding="utf-8"))


def test_files_come_from_the_mirror_with_their_published_address(project, mirror):
    gift_cards(mirror)

    download.main(["gift_cards", "data/raw/gift_cards"])

    raw = project / "data/raw/gift_cards"
    assert sorted(path.name for path in raw.iterdir()) == sorted([*GIFTS, "manifest.json"])
    assert entries(raw)[0] == {
        "file": "Gift_Cards_5.json.gz",
        "url": "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/categoryFilesSmall/"
        "Gift_Cards_5.json.gz",
        "bytes": len(PACKED),
        "sha256": hashlib.sha256(PACKED).hexdigest(),
    }
    assert entries(raw)[1]["file"] == "meta_Gift_Cards.json.gz"
    assert "/metaFiles2/meta_Gift_Cards.json.gz" in entries(raw)[1]["url"]


def test_the_same_files_make_the_same_manifest(project, mirror):
    gift_cards(mirror)

    download.main(["gift_cards", "one"])
    download.main(["gift_cards", "two"])

    assert Path("one/manifest.json").read_bytes() == Path("two/manifest.json").read_bytes()


def test_a_wrong_checksum_in_the_mirror_is_named(project, mirror):
    names = [file.name for file in published.files(split("Art"))]
    put(mirror / "art_split", **dict.fromkeys(names, b"0 1\n"))

    with pytest.raises(RawDataError) as raised:
        download.main(["art_split", "raw"])

    message = str(raised.value)
    assert "raw/train.txt: the file is unavailable" in message
    assert "art_split/train.txt (DATA_MIRROR): expected sha256 e5e63b9e231963b6..." in message
    assert "https://raw.githubusercontent.com/hfutmars/MEGCF/3022b33" in message
    assert not Path("raw/train.txt").exists()
    assert not Path("raw/manifest.json").exists()


def test_without_mirror_and_network_the_error_says_what_was_tried_and_what_to_do(project):
    with pytest.raises(RawDataError) as raised:
        download.main(["gift_cards", "some/folder"])

    message = str(raised.value)
    assert message.startswith("some/folder/Gift_Cards_5.json.gz: the file is unavailable")
    for server in ("mcauleylab.ucsd.edu", "datarepo.eng.ucsd.edu", "jmcauley.ucsd.edu"):
        assert f"{server}/" in message
    assert "ConnectError" in message
    assert "put the file into <mirror>/gift_cards/, with DATA_MIRROR=<mirror>" in message
    assert list(project.glob("some/folder/*")) == []


def test_a_mirror_that_is_no_folder_is_named(project, monkeypatch):
    monkeypatch.setenv("DATA_MIRROR", str(project / "nowhere"))

    with pytest.raises(RawDataError, match=r"DATA_MIRROR: expected a folder .*nowhere"):
        download.main(["gift_cards", "raw"])


def test_an_unknown_dataset_is_answered_with_the_known_ones(project):
    with pytest.raises(ParamsError, match=r"no dataset 'gifts'; .*'beauty', .*'gift_cards'"):
        download.main(["gifts", "raw"])


def test_tianchi_without_files_says_which_from_where_and_where_to(project):
    with pytest.raises(RawDataError) as raised:
        download.main(["taobao", "data/raw/taobao"])

    message = str(raised.value)
    assert "user_bought_history.txt, dim_items.txt" in message
    assert "https://tianchi.aliyun.com/competition/entrance/231506/information" in message
    assert "<mirror>/taobao/, with DATA_MIRROR=<mirror>" in message


def test_tianchi_names_only_what_is_absent(project, mirror):
    put(mirror / "taobao", **{"dim_items.txt": b"1 2\n"})

    with pytest.raises(RawDataError, match=r"expected user_bought_history\.txt in the mirror"):
        download.main(["taobao", "raw"])


def test_tianchi_takes_pictures_and_optional_files_that_are_there(project, mirror):
    put(
        mirror / "taobao",
        **{"dim_items.txt": b"1 2\n", "user_bought_history.txt": b"1 2 20150101\n"},
    )
    put(mirror / "taobao/images", **{"2.jpg": b"jpeg", "1.jpg": b"jpeg", "notes.txt": b"no"})

    download.main(["taobao", "raw"])

    files = [entry["file"] for entry in entries(Path("raw"))]
    assert files == ["dim_items.txt", "images/1.jpg", "images/2.jpg", "user_bought_history.txt"]
    assert Path("raw/images/2.jpg").read_bytes() == b"jpeg"


def test_files_that_came_from_a_mirror_are_kept_when_it_is_gone(project, mirror, monkeypatch):
    put(
        mirror / "taobao",
        **{"dim_items.txt": b"1 2\n", "user_bought_history.txt": b"1 2 20150101\n"},
    )
    put(mirror / "taobao/images", **{"1.jpg": b"jpeg"})
    download.main(["taobao", "raw"])
    before = Path("raw/manifest.json").read_bytes()
    monkeypatch.delenv("DATA_MIRROR")

    download.main(["taobao", "raw"])

    assert Path("raw/manifest.json").read_bytes() == before
    assert Path("raw/images/1.jpg").exists()


def test_a_kept_file_that_was_changed_by_hand_is_not_trusted(project, mirror, monkeypatch):
    gift_cards(mirror)
    download.main(["gift_cards", "raw"])
    monkeypatch.delenv("DATA_MIRROR")
    Path("raw", GIFTS[0]).write_bytes(PACKED + b"x")

    with pytest.raises(RawDataError, match="the file is unavailable"):
        download.main(["gift_cards", "raw"])


@pytest.mark.parametrize("manifest", ["kept", "removed"])
def test_a_second_download_checks_what_is_there_and_requests_nothing(
    project, monkeypatch, manifest
):
    """DVC leaves the folder as it is; Snakemake removes the manifest, its declared output."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.content = PACKED
        monkeypatch.setenv("DATA_MIRROR", server.url("mirror"))
        download.main(["gift_cards", "raw"])
        before = Path("raw/manifest.json").read_bytes()
        times = {path: path.stat().st_mtime_ns for path in map(Path("raw").joinpath, GIFTS)}
        assert len(server.requests) == len(GIFTS)
        server.requests.clear()
        if manifest == "removed":
            Path("raw/manifest.json").unlink()

        download.main(["gift_cards", "raw"])

        assert len(server.requests) == 0
        assert {path: path.stat().st_mtime_ns for path in times} == times
        assert Path("raw/manifest.json").read_bytes() == before

        # What is no longer right is fetched again, and nothing else.
        Path("raw", GIFTS[0]).write_bytes(PACKED[:-1])
        download.main(["gift_cards", "raw"])

        (request,) = server.requests
        assert request[""].endswith(GIFTS[0])
        assert Path("raw", GIFTS[0]).read_bytes() == PACKED


def test_files_of_an_earlier_source_are_removed(project, mirror):
    gift_cards(mirror)
    download.main(["gift_cards", "raw"])
    put(mirror / "gift_cards", **{"Gift_Cards.json.gz": PACKED})
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(
        text.replace("category: Gift_Cards}", "category: Gift_Cards, reviews: full}")
    )

    download.main(["gift_cards", "raw"])

    assert not Path("raw/Gift_Cards_5.json.gz").exists()
    assert [entry["file"] for entry in entries(Path("raw"))] == [
        "Gift_Cards.json.gz",
        "meta_Gift_Cards.json.gz",
    ]


def test_a_metadata_file_outside_the_mirror_is_refused(project, mirror):
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(
        text.replace("category: Gift_Cards}", "category: Gift_Cards, metadata: ../secret}")
    )

    with pytest.raises(ParamsError, match=r"metadata: expected a file name, got '\.\./secret'"):
        download.main(["gift_cards", "raw"])


@pytest.fixture
def site(project, monkeypatch):
    """A static web server over <project>/site."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (project / "site").mkdir()
    quiet = type(
        "Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None}
    )
    handler = functools.partial(quiet, directory=str(project / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_the_mirror_lacks_comes_from_the_network(project, site):
    put(project / "site", **{"b.txt": b"bbb"})
    put(project / "mirror/ours", **{"a.txt": b"aaa"})
    files = [RawFile(name=name, urls=(f"{site}/{name}",)) for name in ("a.txt", "b.txt")]
    raw, fetcher = project / "raw", Fetcher(retries=0, timeout=5)

    mirror = Mirror(dataset="ours", folder=project / "mirror/ours")
    download.download(files, raw, project / "work", mirror, fetcher)

    assert (raw / "a.txt").read_bytes() == b"aaa"
    assert (raw / "b.txt").read_bytes() == b"bbb"


def test_a_mirror_on_the_web_comes_before_the_published_addresses(project, site, monkeypatch):
    monkeypatch.setenv("DATA_MIRROR", f"{site}/m")
    put(project / "site/m/gift_cards", **dict.fromkeys(GIFTS, PACKED))

    download.main(["gift_cards", "raw"])

    assert Path("raw", GIFTS[0]).read_bytes() == PACKED
    assert {urlsplit(entry["url"]).hostname for entry in entries(Path("raw"))} == {
        "mcauleylab.ucsd.edu"
    }


def test_several_files_come_at_once_and_the_first_failure_stops_the_others(
    project, tmp_path, monkeypatch
):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.pace = 0.1  # six seconds a file
        names = ("a.bin", "b.bin", "c.bin")
        files = [RawFile(name=name, urls=(server.url(name),)) for name in names]
        gone = RawFile(name="gone.bin", urls=("http://127.0.0.1:1/gone.bin",))
        fetcher = Fetcher(retries=1, timeout=5, limits=Limits(3))  # tried again after 0.5 s
        begun = time.monotonic()

        with pytest.raises(RawDataError, match=r"gone\.bin: the file is unavailable"):
            download.download(
                [*files[:2], gone, files[2]], project / "raw", tmp_path / "work",
                Mirror(dataset="ours"), fetcher,
            )  # fmt: skip

        assert time.monotonic() - begun < 3
        assert server.most_at_once == 2  # the third waits behind `gone`
    assert not (project / "raw").exists()


def test_a_failure_keeps_finished_files_for_the_next_run_but_not_under_their_name(
    project, site
):
    """Engines delete declared outputs before a run; an hour's download must survive that."""
    put(project / "site", **{"a.txt": b"aaa"})
    files = [RawFile(name=name, urls=(f"{site}/{name}",)) for name in ("a.txt", "b.txt")]
    raw, work, fetcher = project / "raw", project / "work", Fetcher(retries=0, timeout=5)

    with pytest.raises(RawDataError, match=r"b\.txt: the file is unavailable"):
        download.download(files, raw, work, Mirror(dataset="ours"), fetcher)

    assert not raw.exists()
    assert (work / "a.txt.part").read_bytes() == b"aaa"


def test_the_generated_dataset_lists_its_files_but_not_its_ground_truth(project, monkeypatch):
    def generate(settings, seed, folder):
        put(folder, **{"Sample.json.gz": PACKED, "meta_Sample.json.gz": PACKED})
        put(folder / "images", **{"a.jpg": b"jpeg"})
        put(folder / "ground_truth", **{"factors.json": b"[]"})

    monkeypatch.setattr(dump, "generate", generate)

    download.main(["sample", "data/raw/sample"])

    raw = project / "data/raw/sample"
    assert [entry["file"] for entry in entries(raw)] == [
        "Sample.json.gz",
        "images/a.jpg",
        "meta_Sample.json.gz",
    ]
    assert {entry["url"] for entry in entries(raw)} == {"generated:sample?scale=1.0&seed=2023"}
    assert (raw / "ground_truth/factors.json").exists()
    assert not list(project.glob(".work/download/*"))


@needs_shared
@pytest.mark.parametrize("name", ["beauty_split", "gift_cards"])
def test_the_published_files_pass_their_checks(project, monkeypatch, name):
    monkeypatch.setenv("DATA_MIRROR", str(SHARED.resolve()))

    download.main([name, "raw"])

    source = params.load().source(name)
    wanted = {file.name: file.sha256 for file in published.files(source)}
    assert {entry["file"] for entry in entries(Path("raw"))} == set(wanted)
    for entry in entries(Path("raw")):
        assert entry["sha256"].startswith(wanted[entry["file"]])


@needs_shared
def test_one_changed_byte_in_a_published_split_is_refused(project, mirror):
    shutil.copytree(SHARED / "beauty_split", mirror / "beauty_split", copy_function=shutil.copy)
    changed = mirror / "beauty_split/i2e_visual.txt"
    content = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(content[:-2] + b"7\n")

    with pytest.raises(RawDataError, match=r"expected sha256 d306b6e673fedf65\.\.\., got"):
        download.main(["beauty_split", "raw"])


def split(folder):
    return params.PublishedSplitSource(format="published_split", folder=folder)


def test_a_file_that_is_another_than_last_time_is_named(mirror, caplog):
    """Also when an engine has removed the manifest in between."""
    gift_cards(mirror)
    download.main(["gift_cards", "raw"])
    shutil.rmtree("raw")
    other = gzip.compress(b"{}\n{}\n", mtime=0)
    (mirror / "gift_cards" / GIFTS[0]).write_bytes(other)
    caplog.clear()

    download.main(["gift_cards", "raw"])
    download.main(["gift_cards", "raw"])

    (said,) = [line for line in caplog.messages if "changed since the last download" in line]
    before, now = (hashlib.sha256(data).hexdigest()[:16] for data in (PACKED, other))
    assert said == (
        f"raw/{GIFTS[0]}: changed since the last download: {len(PACKED)} bytes, "
        f"sha256 {before}, now {len(other)} bytes, sha256 {now}"
    )
