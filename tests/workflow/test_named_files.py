from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.params.features import Precomputed
from pipeline.tables.io import sha256_of
from workflow import named_files
from workflow.named_files import pictures_checksum, remembered_sha256


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def memory(tmp_path):
    return tmp_path / ".work/checksums.json"


@pytest.fixture
def read(monkeypatch):
    """The files whose bytes were read."""
    files = []

    def counted(path: Path) -> str:
        files.append(path)
        return sha256_of(path)

    monkeypatch.setattr(named_files, "sha256_of", counted)
    return files


def test_an_unchanged_file_is_read_once(file, memory, read):
    first = remembered_sha256(file, memory)

    assert first == sha256_of(file)
    assert remembered_sha256(file, memory) == first
    assert read == [file]


def test_another_size_or_another_time_is_read_again(file, memory, read):
    remembered_sha256(file, memory)
    os.utime(file, ns=(0, 7))
    remembered_sha256(file, memory)
    file.write_bytes(b"longer")
    os.utime(file, ns=(0, 7))

    assert remembered_sha256(file, memory) == sha256_of(file)
    assert len(read) == 3


def test_several_files_are_remembered_side_by_side(file, memory, read, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(b"two")
    for path in (file, other, file, other):
        assert remembered_sha256(path, memory) == sha256_of(path)

    assert read == [file, other]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"NAME": null}',
        b'{"NAME": []}',
        b'{"NAME": [3, STAMP]}',
        b'{"NAME": [3, STAMP, "x"]}',
        b'{"NAME": [3, STAMP, "SHA"]}',
        b'{"NAME": [3, STAMP, "SHA", "0123456789abcdef"]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_memory_is_started_anew(file, memory, read, content):
    stamp = str(file.stat().st_mtime_ns).encode()
    for key, value in ((b"NAME", str(file).encode()), (b"STAMP", stamp), (b"SHA", b"0" * 64)):
        content = content.replace(key, value)
    memory.parent.mkdir()
    memory.write_bytes(content)

    assert remembered_sha256(file, memory) == sha256_of(file)
    assert read == [file]
    assert str(file) in json.loads(memory.read_text())


def test_an_absent_file_and_a_folder_have_no_checksum(tmp_path, memory):
    assert remembered_sha256(tmp_path / "nowhere", memory) is None
    assert remembered_sha256(tmp_path, memory) is None
    assert not memory.exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path, memory):
    path = tmp_path / ("x" * 300)

    with pytest.raises(RawDataError, match=r"xxx, named in params\.yaml: expected a file"):
        remembered_sha256(path, memory)


# --- the user's own tables and pictures -----------------------------------------------------


@pytest.fixture
def source(tmp_path):
    """A source with two tables, one of which has an address, and two pictures."""
    (tmp_path / "shop/photos/of").mkdir(parents=True)
    for name in ("visits.csv", "photos/a.jpg", "photos/of/b.PNG", "photos/notes.txt"):
        (tmp_path / "shop" / name).write_bytes(b"one")
    return params.TablesSource(
        format="tables",
        folder=str(tmp_path / "shop"),
        interactions="visits.csv",
        items="https://shop.example/items.csv",
        columns={"user": "who", "item": "what"},
        pictures="photos",
    )


def test_the_users_tables_have_checksums(source, tmp_path, monkeypatch):
    """Not one that is to be fetched, nor one in the mirror."""
    monkeypatch.chdir(tmp_path)
    sha256 = sha256_of(tmp_path / "shop/visits.csv")

    found = named_files.source_checksums(source)

    assert found == {"visits.csv": sha256, "items.csv": None}
    in_mirror = source.model_copy(update={"folder": None})
    assert named_files.source_checksums(in_mirror) == {}
    assert pictures_checksum(in_mirror) is None


@pytest.mark.parametrize("name", ["a.jpg", "of/b.PNG", "new.png"])
def test_another_new_or_renamed_picture_is_another_checksum(source, memory, tmp_path, name):
    photos = tmp_path / "shop/photos"
    before = pictures_checksum(source, memory)
    (photos / "notes.txt").write_bytes(b"not a picture")
    os.utime(photos / "a.jpg", ns=(0, 7))
    assert pictures_checksum(source, memory) == before

    (photos / name).write_bytes(b"other")
    after = pictures_checksum(source, memory)
    (photos / name).rename(photos / "renamed.jpg")

    assert len({before, after, pictures_checksum(source, memory)}) == 3


def test_pictures_are_read_once_and_remembered_together(source, memory, read):
    pictures_checksum(source, memory)
    pictures_checksum(source, memory)

    assert [path.name for path in read] == ["a.jpg", "b.PNG"]


# --- published benchmarks -------------------------------------------------------------------


def test_the_features_beside_a_benchmark_are_files_of_its_source(tmp_path):
    (tmp_path / "audio.npy").write_bytes(b"one")
    source = params.InterSource(
        format="inter", interactions="a.inter", files=["audio.npy"], folder=str(tmp_path)
    )

    found = named_files.source_checksums(source)

    assert found == {"a.inter": None, "audio.npy": sha256_of(tmp_path / "audio.npy")}


def test_a_feature_that_the_download_brings_depends_on_the_manifest(tmp_path, monkeypatch):
    """Its content is no part of the slice, which is written before the download."""
    monkeypatch.chdir(tmp_path)
    brought, own = (
        Precomputed(extractor="precomputed", path=path, rows="item_id")
        for path in ("data/raw/bench/audio.npy", "audio.npy")
    )
    (tmp_path / "data/raw/bench").mkdir(parents=True)
    (tmp_path / "data/raw/bench/audio.npy").write_bytes(b"one")

    assert named_files.checksums(brought) == {}
    assert named_files.checksums(own) == {"path": None}
    assert [named_files.reads_downloaded(feature) for feature in (brought, own)] == [
        True,
        False,
    ]
