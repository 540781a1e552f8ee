"""Files at addresses that are not http."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from paths import ROOT
from s3_server import BUCKET, S3_SECRET, S3_USER, s3_client, serving_s3
from web_cases import CONTENT, a_file, fetch, serving

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


SECRET = "s3cr3t"  # noqa: S105 (made up)
SECRETS = [
    f"http://{SECRET}-user:{SECRET}@127.0.0.1:1/m",
    f"https://{SECRET}@127.0.0.1:1/m?token={SECRET}&key={SECRET}#{SECRET}",
    f"http://127.0.0.1:1/m?X-Amz-Signature={SECRET}",
    f"http://me:{SECRET}/word@127.0.0.1/m",
    f"http://me:{SECRET}#word@127.0.0.1/m",
    f"s3://key:{SECRET}@bucket/m?token={SECRET}",
    f"gs://key:{SECRET}@bucket/m",
    f"ftp://me:{SECRET}@host/m?token={SECRET}",
    f"https:/me:{SECRET}@host/m",
    f"{SECRET}:{SECRET}@host/m",
    f"file:///nowhere?token={SECRET}",
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with params.yaml; neither stores nor the network answer."""
    monkeypatch.chdir(tmp_path)
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["download"] |= {"retries": 0, "timeout": 2}
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    closed = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "AWS_ENDPOINT_URL")
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in (dict.fromkeys(closed, "http://127.0.0.1:1") | keys).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def written() -> str:
    """What all files below the working directory have, as text."""
    files = (path for path in Path().rglob("*") if path.is_file())
    return "".join(f"{path} {path.read_bytes()!r}" for path in files)


@pytest.mark.parametrize("value", SECRETS)
def test_a_mirror_that_fails_shows_none_of_its_secrets(project, monkeypatch, caplog, value):
    caplog.set_level("DEBUG", "pipeline")
    monkeypatch.setenv("DATA_MIRROR", value)

    with pytest.raises(RawDataError) as error:
        download.main(["gift_cards", "raw"])

    assert SECRET not in f"{error.value}{caplog.text}{written()}"


def test_a_mirror_that_answers_is_told_its_secrets_and_nobody_else(
    project, monkeypatch, caplog
):
    caplog.set_level("DEBUG", "pipeline")
    with serving() as server:
        server.content = gzip.compress(b"{}", mtime=0)
        address = server.url("m").replace("//", f"//me:{SECRET}@")
        monkeypatch.setenv("DATA_MIRROR", f"{address}?token={SECRET}")

        download.main(["gift_cards", "raw"])

        asked = {request[""] for request in server.requests}
        assert asked == {f"/m/gift_cards/{name}?token={SECRET}" for name in GIFTS}
        assert all("Authorization" in request for request in server.requests)
    assert SECRET not in caplog.text + written()


def test_the_passwords_of_netrc_are_not_sent(project, monkeypatch):
    netrc = Path(".netrc").resolve()
    netrc.write_text(f"default login me password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(netrc.parent))
    with serving() as server:
        server.content = gzip.compress(b"{}", mtime=0)
        monkeypatch.setenv("DATA_MIRROR", server.url("m"))

        download.main(["gift_cards", "raw"])

        assert not any("Authorization" in request for request in server.requests)


def test_another_signature_resumes_the_same_file(tmp_path):
    with serving() as server:
        server.drops = [100_000]
        fetch(a_file(server.url(f"file.bin?sig={SECRET}1")), tmp_path, retries=0)
        part = fetch(a_file(server.url(f"file.bin?sig={SECRET}2")), tmp_path)

        assert part.read_bytes() == CONTENT
        assert server.asked()[1].startswith("bytes=")


def test_the_manifest_has_no_password_of_an_address_in_params(project, monkeypatch):
    with serving() as server:
        server.content = b"user,item\na,b\n"
        raw = yaml.safe_load(Path("params.yaml").read_text())
        raw["datasets"] = ["own"]
        raw["sources"]["own"] = {
            "format": "tables",
            "interactions": server.url("pairs.csv").replace("//", f"//me:{SECRET}@"),
            "columns": {"user": "user", "item": "item"},
        }
        raw["features"]["own"] = {"textual": {"extractor": "sif", "field": "raw_id"}}
        raw = {key: raw[key] for key in raw if key not in ("study", "extractors", "sweep")}
        Path("params.yaml").write_text(yaml.safe_dump(raw))

        download.main(["own", "raw"])
        download.main(["own", "raw"])  # knows the file by its checksum

        assert len(server.requests) == 1
    assert server.url("pairs.csv") in Path("raw/manifest.json").read_text()
    assert SECRET not in Path("raw/manifest.json").read_text()


@pytest.mark.parametrize("where", ["dataset", "file", "folder of pictures", "picture"])
def test_a_link_that_leads_out_of_the_mirror_is_refused(project, monkeypatch, where):
    for folder in ("outside/images", "mirror/taobao/images"):
        Path(folder).mkdir(parents=True)
    for folder in ("outside", "mirror/taobao"):
        for name in ("dim_items.txt", "user_bought_history.txt", "images/1.jpg"):
            Path(folder, name).write_text("secret\n")
    name = {
        "dataset": "",
        "file": "user_bought_history.txt",
        "folder of pictures": "images",
        "picture": "images/1.jpg",
    }[where]
    inside = Path("mirror/taobao", name)
    shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
    inside.symlink_to(Path("outside", name).resolve())
    monkeypatch.setenv("DATA_MIRROR", "mirror")

    with pytest.raises(RawDataError, match=r"expected a file in the folder mirror, got a link"):
        download.main(["taobao", "raw"])


def test_links_within_a_mirror_and_to_it_are_followed(project, monkeypatch):
    Path("disk/store").mkdir(parents=True)
    Path("disk/gift_cards").mkdir()
    for name in GIFTS:
        Path("disk/store", name).write_bytes(gzip.compress(b"{}", mtime=0))
        Path("disk/gift_cards", name).symlink_to(f"../store/{name}")
    Path("mirror").symlink_to("disk")
    monkeypatch.setenv("DATA_MIRROR", "mirror")

    download.main(["gift_cards", "raw"])

    assert Path("raw", GIFTS[0]).is_file()


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
