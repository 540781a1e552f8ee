"""Pictures in zip files, kind and hostile."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from picture_cases import memory, numbered

from pipeline.job.errors import RawDataError
from pipeline.pictures.archives import Archives
from pipeline.transfer.status import Unavailable

DATA = numbered(1)


@pytest.fixture
def raw(folder):
    (folder / "raw").mkdir()
    return folder / "raw"


def zipped(path: Path, members: dict, **options) -> None:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def read(raw: Path, place: str, max_megabytes: float = 0.1) -> bytes:
    with Archives([place], raw, raw.parent, max_megabytes) as archives:
        assert place in archives
        return archives.read(place)


def test_members_in_any_order(raw):
    zipped(raw / "a.ZIP", {f"in/{n}.png": numbered(n) for n in range(20)})
    places = [f"a.ZIP/in/{n}.png" for n in (7, 19, 0, 7)]

    with Archives([None, "", *places], raw, raw.parent, 1) as archives:
        assert [archives.read(place) for place in places] == [
            numbered(n) for n in (7, 19, 0, 7)
        ]


@pytest.mark.parametrize(
    "place", ["a.zip/in/b.png", "a.zip/./in/b.png", "a.zip/in//b.png", "./a.zip/in/b.png"]
)
def test_names_are_compared_without_dots_and_double_slashes(raw, place):
    zipped(raw / "a.zip", {"./in/b.png": DATA}, compression=zipfile.ZIP_DEFLATED)

    assert read(raw, place) == DATA


def test_of_two_members_with_one_name_the_later_counts(raw):
    zipped(raw / "a.zip", {"b.png": b"old", "./b.png": DATA})

    assert read(raw, "a.zip/b.png") == DATA


def test_what_is_in_no_archive_is_not_one(raw):
    (raw / "b.zip").mkdir()
    (raw / "b.zip/c.png").write_bytes(DATA)
    (raw / "d.zip").write_bytes(b"")

    with Archives(["b.zip/c.png", "d.zip", "e.zip/f.png"], raw, raw.parent, 1) as archives:
        assert not any(place in archives for place in ("b.zip/c.png", "d.zip", "e.zip/f.png"))


def test_an_archive_below_a_folder_that_is_named_like_one(raw):
    (raw / "b.zip").mkdir()
    zipped(raw / "b.zip/c.zip", {"d.png": DATA})

    assert read(raw, "b.zip/c.zip/d.png") == DATA


@pytest.mark.parametrize("member", ["../a.png", "in/../../a.png", "/etc/a.png"])
def test_names_that_lead_out_of_the_archive_are_refused(raw, member):
    """Even where a member has such a name."""
    zipped(raw / "a.zip", {member: DATA})

    with pytest.raises(Unavailable, match="refused, no plain name of a member"):
        read(raw, f"a.zip/{member}")


def test_links_are_refused(raw):
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    zipped(raw / "a.zip", {link: "/etc/passwd"})

    with pytest.raises(Unavailable, match="refused, a link in its archive"):
        read(raw, "a.zip/a.png")


def test_a_folder_of_the_archive_is_no_member(raw):
    zipped(raw / "a.zip", {"in/": b"", "in/a.png": DATA})

    with pytest.raises(Unavailable, match="no such member of the archive"):
        read(raw, "a.zip/in")


def test_members_that_declare_more_than_is_allowed_are_not_read(raw):
    zipped(raw / "a.zip", {"a.png": bytes(10_000_000)}, compression=zipfile.ZIP_DEFLATED)

    with pytest.raises(Unavailable, match=r"more than images\.max_megabytes = 0\.1"):
        read(raw, "a.zip/a.png")


def test_members_that_hold_more_than_they_declare_are_damaged(raw):
    """The size in both headers is changed from 10 MB to 10 bytes."""
    zipped(raw / "a.zip", {"a.png": bytes(10_000_000)}, compression=zipfile.ZIP_DEFLATED)
    data = (raw / "a.zip").read_bytes()
    declared = (10_000_000).to_bytes(4, "little")
    assert data.count(declared) == 2
    (raw / "a.zip").write_bytes(data.replace(declared, (10).to_bytes(4, "little")))

    with (
        memory(megabytes=1),
        pytest.raises(RawDataError, match=r"damaged in its archive \(BadZipFile\)"),
    ):
        read(raw, "a.zip/a.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_bound_are_refused(raw, method):
    zipped(raw / "a.zip", {"a.png": DATA}, compression=method)

    with pytest.raises(Unavailable, match="neither stored nor deflated"):
        read(raw, "a.zip/a.png")


def test_encrypted_members_are_missing(raw):
    zipped(raw / "a.zip", {"a.png": DATA})
    data = bytearray((raw / "a.zip").read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # APPNOTE 4.4.4, bit 0
    (raw / "a.zip").write_bytes(data)

    with pytest.raises(Unavailable, match="encrypted"):
        read(raw, "a.zip/a.png")


def test_a_damaged_member_is_broken_and_its_neighbour_is_not(raw):
    zipped(raw / "a.zip", {"a.png": DATA, "b.png": numbered(2)})
    data = (raw / "a.zip").read_bytes()
    (raw / "a.zip").write_bytes(data.replace(DATA, DATA[:-9] + b"!" + DATA[-8:]))

    with pytest.raises(RawDataError, match=r"damaged in its archive \(BadZipFile\)"):
        read(raw, "a.zip/a.png")
    assert read(raw, "a.zip/b.png") == numbered(2)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
@pytest.mark.parametrize("data", [b"", b"PK\3\4 nothing", bytes(2000)[1:] + b"x"])
def test_what_is_no_archive_says_so(raw, name, data):
    (raw / name).write_bytes(data)

    with pytest.raises(Unavailable, match=r"its archive cannot be read|no such member"):
        read(raw, f"{name}/a.png")


def test_a_zip_that_is_cut_short_cannot_be_read(raw):
    zipped(raw / "a.zip", {"a.png": DATA})
    (raw / "a.zip").write_bytes((raw / "a.zip").read_bytes()[:-30])

    with pytest.raises(Unavailable, match=r"its archive cannot be read \(BadZipFile\)"):
        read(raw, "a.zip/a.png")
