from __future__ import annotations

import hashlib

import numpy as np
import pytest

from pipeline.extractors.extraction import BLOCK, PictureEncoder
from pipeline.extractors.kept_blocks import encode_resumable, part_bounds, remove_kept, work_key
from pipeline.tables.kept import HEADER

PICTURES = [f"picture {number}".encode() for number in range(2 * BLOCK + 10)]


class KilledError(Exception):
    """Stands for kill -9; tests/pipeline/test_features.py has the real one."""


def encoder(seen: list[bytes], dies_at: int | None = None) -> PictureEncoder:
    """Two numbers of each picture; `seen` collects the encoded pictures."""

    def encode(pictures):
        for data in pictures:
            if len(seen) == dies_at:
                raise KilledError
            seen.append(data)
            yield np.array([sum(data), len(data)], np.float32)

    return PictureEncoder(
        dim=2, weights="", weights_sha256="", preprocessing={}, versions={}, encode=encode
    )


def rows(vectors) -> list[list[float]]:
    return [row.tolist() for row in vectors]


def test_a_stopped_run_resumes_after_its_last_complete_block(tmp_path):
    whole = rows(encode_resumable(encoder([]), iter(PICTURES), tmp_path / "a" / "key"))
    first: list[bytes] = []
    with pytest.raises(KilledError):
        rows(
            encode_resumable(encoder(first, BLOCK + 5), iter(PICTURES), tmp_path / "b" / "key")
        )
    second: list[bytes] = []

    again = rows(encode_resumable(encoder(second), iter(PICTURES), tmp_path / "b" / "key"))

    assert again == whole
    assert second == PICTURES[BLOCK:]


def cut(data: bytes) -> bytes:
    return data[:100]


def flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def not_finite(data: bytes) -> bytes:
    """As `write_kept` would write it."""
    content = data[HEADER:-4] + np.float32(np.nan).tobytes()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


@pytest.mark.parametrize("damage", [cut, flipped, not_finite])
def test_a_damaged_block_is_named_and_it_and_later_ones_are_encoded_again(
    tmp_path, caplog, damage
):
    folder = tmp_path / "key"
    whole = rows(encode_resumable(encoder([]), iter(PICTURES), folder))
    block = folder / "000001.float32"
    block.write_bytes(damage(block.read_bytes()))
    seen: list[bytes] = []

    assert rows(encode_resumable(encoder(seen), iter(PICTURES), folder)) == whole
    assert seen == PICTURES[BLOCK:]
    assert f"{block}: thrown away: " in caplog.text


def test_blocks_of_other_work_are_not_used_but_removed(tmp_path):
    rows(encode_resumable(encoder([]), iter(PICTURES), tmp_path / "old"))
    seen: list[bytes] = []

    rows(encode_resumable(encoder(seen), iter(PICTURES), tmp_path / "new"))

    assert seen == PICTURES
    assert not (tmp_path / "old").exists()
    remove_kept(tmp_path)
    assert not tmp_path.exists()


def test_the_key_depends_on_everything_that_changes_the_numbers():
    metadata = {"weights": "one"}
    keys = {
        work_key(metadata, "cpu", "code", [b"a", b"b"]),
        work_key({"weights": "two"}, "cpu", "code", [b"a", b"b"]),
        work_key(metadata, "cuda", "code", [b"a", b"b"]),
        work_key(metadata, "cpu", "edited", [b"a", b"b"]),
        work_key(metadata, "cpu", "code", [b"b", b"a"]),
    }

    assert len(keys) == 5
    assert work_key(dict(metadata), "cpu", "code", [b"a", b"b"]) in keys


@pytest.mark.parametrize(("n", "of"), [(0, 3), (1, 8), (BLOCK, 2), (10 * BLOCK + 7, 4)])
def test_parts_are_whole_blocks_and_cover_all_pictures(n, of):
    parts = [part_bounds(n, number, of) for number in range(1, of + 1)]

    assert [first for first, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == n
    assert all(first % BLOCK == 0 or first == n for first, _ in parts)
    sizes = [end - first for first, end in parts]
    assert max(sizes) - min(sizes) <= 2 * BLOCK
