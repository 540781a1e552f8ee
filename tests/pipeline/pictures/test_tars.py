"""Pictures in tar files, plain and compressed, kind and hostile."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from picture_cases import memory, numbered

from pipeline.job.errors import NotWritten, RawDataError
from pipeline.pictures import tars as picture_tars
from pipeline.pictures.tars import Tar
from pipeline.transfer.status import Unavailable

DATA = numbered(1)
KINDS = ["a.tar", "a.tar.gz", "a.tgz"]


def tar_bytes(members: list[tuple[str | tarfile.TarInfo, bytes]], **options) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if isinstance(name, str):
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def made(path: Path, data: bytes) -> Path:
    path.write_bytes(data if path.suffix == ".tar" else gzip.compress(data))
    return path


@pytest.fixture
def opened():
    """Open tar files that are closed after the test."""
    with ExitStack() as files:

        def one(path: Path, *wanted: str) -> Tar:
            tar = Tar(path, set(wanted), path.parent, max_megabytes=0.1)
            files.callback(tar.close)
            return tar

        yield one


@pytest.fixture(params=KINDS)
def archive(request, tmp_path):
    """A file name of each kind."""
    return tmp_path / request.param


def test_members_in_any_order_after_one_pass(opened, archive, monkeypatch):
    """A compressed archive is opened once however many of its pictures are read."""
    members = [(f"./in/{n}.png", numbered(n)) for n in range(50)]
    made(archive, tar_bytes(members))
    begun = []
    real = picture_tars._unpacked
    monkeypatch.setattr(
        picture_tars, "_unpacked", lambda *args: begun.append(args) or real(*args)
    )

    tar = opened(archive, *(f"in/{n}.png" for n in range(0, 50, 7)))

    assert [tar.read(f"in/{n}.png") for n in (49, 0, 28)] == [numbered(n) for n in (49, 0, 28)]
    with pytest.raises(Unavailable, match="no such member of the archive"):
        tar.read("in/1.png")  # nobody wanted it
    assert len(begun) == 1
    assert list(archive.parent.iterdir()) == [archive]


def test_members_that_nobody_wants_take_no_memory(opened, archive):
    made(archive, tar_bytes([(f"{n}.png", b"") for n in range(20_000)]))

    with memory(megabytes=5):  # the headers of all take nine
        opened(archive, "19999.png")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names(opened, archive, form):
    name = "folder/" * 40 + "ä.png"
    made(archive, tar_bytes([(name, DATA)], format=form))

    assert opened(archive, name).read(name) == DATA


def test_of_two_members_with_one_name_the_later_counts(opened, archive):
    made(archive, tar_bytes([("a.png", b"old"), ("a.png", DATA), ("b.png", b"b")]))

    assert opened(archive, "a.png").read("a.png") == DATA


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "refused, a link"),
        (tarfile.LNKTYPE, "refused, a link"),
        (tarfile.DIRTYPE, "no plain file"),
        (tarfile.CHRTYPE, "no plain file"),
        (tarfile.FIFOTYPE, "no plain file"),
    ],
)
def test_only_plain_files_are_read(opened, archive, kind, reason):
    info = tarfile.TarInfo("a.png")
    info.type, info.linkname = kind, "/etc/passwd"
    made(archive, tar_bytes([(info, b""), ("b.png", DATA)]))

    tar = opened(archive, "a.png", "b.png")

    with pytest.raises(Unavailable, match=reason):
        tar.read("a.png")
    assert tar.read("b.png") == DATA


def test_members_larger_than_is_allowed_are_skipped(opened, archive):
    made(archive, tar_bytes([("a.png", bytes(200_000)), ("b.png", DATA)]))

    tar = opened(archive, "a.png", "b.png")

    with pytest.raises(Unavailable, match=r"more than images\.max_megabytes = 0\.1"):
        tar.read("a.png")
    assert tar.read("b.png") == DATA


def test_a_tar_that_is_cut_short_gives_what_came_before(opened, archive):
    data = tar_bytes([(f"{n}.png", bytes([n]) * 5000) for n in range(9)])
    made(archive, data)
    whole = archive.read_bytes()
    if archive.suffix == ".tar":
        archive.write_bytes(data[: 512 + 5120 + 512 + 900])
    else:
        flushed = gzip.compress(data[: 512 + 5120 + 512 + 900])
        archive.write_bytes(flushed[:-8])  # without its end
    assert archive.stat().st_size < len(whole) or archive.suffix != ".tar"

    tar = opened(archive, "0.png", "1.png", "2.png")

    assert tar.read("0.png") == bytes(5000)
    with pytest.raises(RawDataError, match="cut short in its archive"):
        tar.read("1.png")
    with pytest.raises(Unavailable, match="no such member of the archive"):
        tar.read("2.png")


def test_what_unpacks_to_a_thousand_times_its_size_is_not_unpacked(opened, tmp_path):
    """A gigabyte of zeros in a megabyte: it is declared, and not looked at."""
    info = tarfile.TarInfo("zeros")
    info.size = 1_000_000_000
    start = tar_bytes([("a.png", DATA)])[:1024] + info.tobuf()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(start + bytes(1_000_000)))

    tar = opened(tmp_path / "a.tgz", "a.png", "b.png")

    assert tar.read("a.png") == DATA
    with pytest.raises(
        Unavailable, match=r"no such member.* unpacks to more than 100 times its si"
    ):
        tar.read("b.png")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", [50_000_000, -512])
def test_headers_of_an_absurd_length_are_not_read(opened, archive, kind, size):
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, size
    header = info.tobuf(tarfile.GNU_FORMAT)
    made(archive, tar_bytes([("a.png", DATA)])[:1024] + header + bytes(60_000_000))

    tar = opened(archive, "a.png", "b.png")

    assert tar.read("a.png") == DATA
    with pytest.raises(
        Unavailable, match=r"no such member of the archive, which is damaged \(Read"
    ):
        tar.read("b.png")


def test_a_negative_size_does_not_lead_back(opened, archive):
    info = tarfile.TarInfo("b.png")
    info.size = -2048
    made(archive, tar_bytes([("a.png", DATA)])[:1024] + info.tobuf(tarfile.GNU_FORMAT))

    tar = opened(archive, "a.png", "b.png")

    assert tar.read("a.png") == DATA
    with pytest.raises(Unavailable, match=r"no such member of the archive, which is damaged"):
        tar.read("b.png")


def test_no_room_for_what_a_compressed_archive_holds(opened, tmp_path):
    """/dev/full takes no byte."""
    path = made(tmp_path / "a.tgz", tar_bytes([("a.png", DATA)]))
    tar = opened(path)
    tar._file.close()

    with (
        Path("/dev/full").open("r+b", buffering=0) as tar._file,
        pytest.raises(NotWritten, match=r"cannot be written: .*No space left"),
    ):
        tar._find(path, {"a.png"}, compressed=True)
