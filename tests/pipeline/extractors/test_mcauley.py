from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from paths import ROOT

from pipeline.extractors import mcauley
from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import RawDataError
from pipeline.params.features import Mcauley

RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(size=4096).astype(np.float32) for _ in range(3))


def record(asin: str, vector: np.ndarray) -> bytes:
    """Written as the format is described, not as the reader reads it."""
    return asin.encode() + struct.pack("<4096f", *vector)


def file_of(folder: Path, *records: bytes) -> Path:
    path = folder / "image_features_Beauty.b"
    path.write_bytes(b"".join(records))
    return path


def asins(*names: str | None) -> pl.Series:
    return pl.Series("raw_id", names, pl.String)


def extract(ids: pl.Series, path: Path):
    settings = Mcauley(extractor="mcauley", path=str(path))
    return mcauley.extract(ids, settings, 1, Machine())


def test_each_item_gets_the_vector_of_its_asin(tmp_path):
    path = file_of(tmp_path, record("B000000001", A), record("0000000002", B))
    settings = Mcauley(extractor="mcauley", path=str(path))

    extraction = EXTRACTORS["mcauley"].texts(
        asins("0000000002", "B000000009", "B000000001", "0000000002", None),
        settings,
        1,
        Machine(),
    )

    vectors = list(extraction.vectors)
    assert [v is not None for v in vectors] == [True, False, True, True, False]
    np.testing.assert_array_equal(np.stack([vectors[n] for n in (0, 2, 3)]), [B, A, B])
    assert vectors[0].dtype == np.float32
    assert extraction.dim == 4096
    assert extraction.weights == "image_features_Beauty.b"
    assert extraction.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_vectors_beyond_the_first_block(tmp_path):
    """Record numbers go on from one block to the next."""
    names = [f"B{n:09d}" for n in range(600)]
    path = file_of(tmp_path, *(record(name, A + n) for n, name in enumerate(names)))

    vectors = list(extract(asins(names[599], names[256], names[255]), path).vectors)

    for vector, n in zip(vectors, (599, 256, 255), strict=True):
        np.testing.assert_array_equal(vector, A + n)


def test_an_asin_that_recurs_with_the_same_vector_counts_once(tmp_path):
    path = file_of(tmp_path, *[record("B000000001", A)] * 2, record("B000000002", B))

    (vector,) = extract(asins("B000000001"), path).vectors

    np.testing.assert_array_equal(vector, A)


def test_an_asin_with_two_vectors_is_refused_if_an_item_has_it(tmp_path):
    twice = record("B000000001", A), record("B000000002", B), record("B000000001", C)
    path = file_of(tmp_path, *twice)

    with pytest.raises(
        RawDataError, match="for B000000001, got different ones in records 1 and 3"
    ):
        extract(asins("B000000001"), path)
    assert len(list(extract(asins("B000000002"), path).vectors)) == 1


def test_a_file_that_ends_early(tmp_path):
    path = file_of(tmp_path, record("B000000001", A), record("B000000002", B)[:-3])

    with pytest.raises(
        RawDataError, match=r"got 16391 bytes after record 1: the file ends early"
    ):
        extract(asins("B000000001"), path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(tmp_path, value):
    broken = A.copy()
    broken[7] = value
    path = file_of(tmp_path, record("B000000001", B), record("B000000002", broken))

    with pytest.raises(RawDataError, match="NaN or infinity in record 2, B000000002"):
        extract(asins("B000000002"), path)


def test_files_of_another_kind(tmp_path):
    other = file_of(tmp_path, record("B000000001", A), record("B00-000002", B))
    zipped = tmp_path / "image_features_Beauty.b.gz"
    zipped.write_bytes(gzip.compress(record("B000000001", A)))
    empty = tmp_path / "empty.b"
    empty.touch()

    with pytest.raises(RawDataError, match=r"start of record 2, got b'B00-000002'"):
        extract(asins("B000000001"), other)
    with pytest.raises(RawDataError, match="got gzip; run gunzip on it first"):
        extract(asins("B000000001"), zipped)
    with pytest.raises(RawDataError, match="got 0 bytes after record 0"):
        extract(asins("B000000001"), empty)
    with pytest.raises(RawDataError, match="no such file; `path` of mcauley is"):
        extract(asins("B000000001"), tmp_path / "nowhere.b")


def test_a_file_of_another_category(tmp_path):
    path = file_of(tmp_path, record("B000000001", A))

    with pytest.raises(RawDataError, match="none of 2 raw ids, such as 'B000000008'"):
        extract(asins("B000000008", "é"), path)


def test_a_file_that_changes_before_the_vectors_are_read(tmp_path):
    path = file_of(tmp_path, record("B000000001", A))
    extraction = extract(asins("B000000001"), path)
    file_of(tmp_path, record("B000000002", B))

    with pytest.raises(RawDataError, match="changed while it was read"):
        list(extraction.vectors)


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 200 MB within 60 MB above what the imports take."""
    path = tmp_path / "image_features_Books.b"
    block = b"".join(record(f"B{n:09d}", A) for n in range(500))
    with path.open("wb") as file:
        for n in range(25):
            file.write(block.replace(b"B000000", b"B%06d" % n))
    code = (
        "import polars as pl, resource\n"
        "from pipeline.extractors import mcauley\n"
        "from pipeline.extractors.extraction import Machine\n"
        "from pipeline.params.features import Mcauley\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "ids = pl.Series('raw_id', [f'B000024{n:03d}' for n in range(500)])\n"
        f"settings = Mcauley(extractor='mcauley', path={str(path)!r})\n"
        "vectors = mcauley.extract(ids, settings, 1, Machine()).vectors\n"
        "n = sum(vector is not None for vector in vectors)\n"
        "print(n, peak() - before)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout

    n_found, kilobytes = (int(word) for word in printed.split())
    assert path.stat().st_size > 200e6
    assert n_found == 500
    assert kilobytes < 60e3
