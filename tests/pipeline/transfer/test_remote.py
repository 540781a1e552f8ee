"""Files at addresses that are not http."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT
from s3_server import BUCKET, S3_SECRET, S3_USER, s3_client, serving_s3
from web_cases import CONTENT, a_file, fetch

from pipeline import download
from pipeline.job.errors import RawDataError
from pipeline.published.raw_file import RawFile
from pipeline.transfer import ranges, remote
from pipeline.transfer.mirror import find


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(ranges, "RANGE", 100_000)


@pytest.fixture
def place(tmp_path):
    """A file with an address."""
    path = tmp_path / "there/file.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("connections", [1, 4])
def test_a_file_address_is_read(place, tmp_path, connections):
    part = fetch(a_file(place.as_uri()), tmp_path / "work", connections=connections)

    assert part.read_bytes() == CONTENT


def test_what_is_not_there_is_refused(place, tmp_path):
    causes = []

    assert fetch(a_file(f"{place.as_uri()}.gone"), tmp_path / "work", causes, retries=5) is None
    assert causes[0].startswith(f"  {place.as_uri()}.gone: FileNotFoundError: ")


def test_a_folder_is_no_file(place, tmp_path):
    causes = []

    assert fetch(a_file(place.parent.as_uri()), tmp_path / "work", causes, retries=5) is None
    assert causes == [f"  {place.parent.as_uri()}: expected a file, got a folder"]


def test_a_file_that_changes_between_two_ranges_is_begun_again(place, tmp_path, monkeypatch):
    new = CONTENT[::-1]
    real = remote.origin

    def changing(url):
        origin = real(url)

        def read(first, end):
            if first == 300_000 and place.read_bytes() == CONTENT:
                place.write_bytes(new)
            return origin.read(first, end)

        return ranges.Origin(url, origin.version, origin.size, read)

    monkeypatch.setattr(remote, "origin", changing)

    assert fetch(a_file(place.as_uri(), content=new), tmp_path / "work").read_bytes() == new


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import gcsfs"], capture_output=True).returncode == 0,
    reason="gcsfs is installed",
)
def test_a_store_without_its_client_names_the_extra(tmp_path):
    with pytest.raises(RawDataError, match=r"gs://b/f: .*gcsfs.*pip install -e '\.\[gs\]'"):
        fetch(a_file("gs://b/f"), tmp_path)


def test_a_store_that_does_not_answer_is_a_cause(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    causes = []

    assert fetch(a_file("s3://bucket/f"), tmp_path, causes, retries=0) is None
    assert "TemporaryFailure: EndpointConnectionError" in causes[0]


# --- the mirror ---------------------------------------------------------------------------

GIFTS = ("Gift_Cards_5.json.gz", "meta_Gift_Cards.json.gz")


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("s3://bucket/a b/", "s3://bucket/a b/beauty/x y.gz"),
        ("gs://bucket", "gs://bucket/beauty/x y.gz"),
        ("https://host:8/m", "https://host:8/m/beauty/x%20y.gz"),
        ("HTTP://host", "HTTP://host/beauty/x%20y.gz"),
    ],
)
def test_a_mirror_at_an_address_has_the_layout_of_a_folder(value, url):
    mirror = find(value, "beauty")

    assert (mirror.folder, mirror.url("x y.gz")) == (None, url)
    assert mirror.where_to_put == url.rpartition("/")[0] + "/"


def test_a_password_in_an_address_stays_out_of_messages(tmp_path, caplog):
    mirror, causes = find("http://me:secret@127.0.0.1:1/m", "beauty"), []

    fetch(a_file(mirror.url("a")), tmp_path, causes, retries=0)

    assert mirror.where_to_put == "http://127.0.0.1:1/m/beauty/"
    assert causes[0].startswith("  http://127.0.0.1:1/m/beauty/a: ConnectError")
    assert "secret" not in caplog.text + "".join(causes)


def test_a_mirror_named_by_a_file_address_is_the_folder(tmp_path):
    (tmp_path / "a b").mkdir()

    assert find((tmp_path / "a b").as_uri(), "beauty").folder == tmp_path / "a b/beauty"


@pytest.mark.parametrize("value", ["ftp://host/m", "s3:bucket", "file:///nowhere", "nowhere"])
def test_a_mirror_of_another_kind_is_refused(value):
    with pytest.raises(RawDataError, match=rf"DATA_MIRROR: expected a folder .*got '{value}'"):
        find(value, "beauty")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with serving_s3(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def mirror(s3, tmp_path, monkeypatch):
    """Put files into the bucket; DATA_MIRROR names it, the network is out of reach."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("retries: 5 ", "retries: 0 "))
    for name, value in {
        "DATA_MIRROR": f"s3://{BUCKET}/mirror",
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": S3_USER,
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "https_proxy": "http://127.0.0.1:1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    client = s3_client(s3)

    def put(name, content):
        client.put_object(Bucket=BUCKET, Key=f"mirror/{name}", Body=content)

    return put


def test_files_come_from_a_mirror_in_an_object_store(mirror):
    contents = {name: gzip.compress(os.urandom(350_000)) for name in GIFTS}
    for name, content in contents.items():
        mirror(f"gift_cards/{name}", content)

    download.main(["gift_cards", "raw"])

    assert {name: Path("raw", name).read_bytes() for name in GIFTS} == contents


def test_what_the_store_lacks_is_named_with_its_address(mirror):
    mirror("art_split/train.txt", b"0 1\n")

    with pytest.raises(RawDataError) as raised:
        download.main(["art_split", "raw"])

    message = str(raised.value)
    assert f"s3://{BUCKET}/mirror/art_split/" in message
    assert "https://raw.githubusercontent.com/hfutmars/MEGCF" in message


def test_a_folder_of_pictures_in_a_store_is_not_overlooked(mirror):
    mirror("taobao/dim_items.txt", b"1 2\n")
    mirror("taobao/user_bought_history.txt", b"1 2 20150101\n")
    mirror("taobao/images/1.jpg", b"jpeg")

    with pytest.raises(RawDataError, match=r"expected the pictures in an archive.*images\.zip"):
        download.main(["taobao", "raw"])


def test_an_optional_file_that_the_store_lacks_is_left_out(mirror):
    file = RawFile(name="a", urls=(f"s3://{BUCKET}/mirror/none",), required=False)

    assert fetch(file, Path("work")) is None
