"""The picture features that were published with the Amazon dump of 2014, by asin.

McAuley et al., "Image-based Recommendations on Styles and Substitutes", SIGIR 2015,
https://arxiv.org/abs/1506.04757, section 3: the second fully connected layer of a Caffe
reference network; used by He and McAuley's VBPR (AAAI 2016). `image_features_<Category>.b` is
a run of records without a header: an asin of 10 ASCII characters, then 4096 little-endian
float32. The file of Books has 35 GB, so it is scanned once, in blocks, and the vectors of the
items are read again lazily.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from pipeline.extractors.extraction import Extraction, Machine
from pipeline.extractors.packages import versions
from pipeline.job.errors import RawDataError
from pipeline.params.features import Mcauley
from pipeline.tables.features import Vector

DIM, ASIN = 4096, 10  # numbers; characters
RECORD = np.dtype([("asin", np.uint8, (ASIN,)), ("vector", "<f4", (DIM,))])
BLOCK = 256  # records read at once, 4 MB
GZIP = b"\x1f\x8b"
# For each byte whether it is an ASCII letter or digit.
IN_ASIN = np.isin(np.arange(256), list((string.ascii_letters + string.digits).encode()))
PUBLISHED = "image_features_<Category>.b, as published with the Amazon dump of 2014"


def extract(
    asins: pl.Series,
    settings: Mcauley,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Look the raw ids of an Amazon dataset up in the file `settings.path`.

    Returns:
        One vector per item, read lazily; None where the file has none.

    Raises:
        RawDataError: the file is absent, ends early, has another format or none of the asins;
            or an asin has numbers that are not finite, or two different vectors.
    """
    path = Path(settings.path)
    _check_size(path)
    ids = {asin.encode() for asin in asins.drop_nulls()}
    records, sha256 = _find(path, ids)
    if not records:
        raise RawDataError(
            f"{path}: expected features of the dataset's items, got none of {len(ids)} raw "
            f"ids, such as {next(iter(asins.drop_nulls()), None)!r}; is it the file of another "
            "category?"
        )
    return Extraction(
        dim=DIM,
        weights=path.name,
        weights_sha256=sha256,
        preprocessing={"vectors": "as published with the Amazon dump of 2014"},
        versions=versions("numpy"),
        vectors=_vectors(path, asins, records),
    )


def _check_size(path: Path) -> None:
    """Refuse a file that is gzipped, or not a whole number of records."""
    if not path.is_file():
        raise RawDataError(f"{path}: no such file; `path` of mcauley is {PUBLISHED}")
    with path.open("rb") as file:
        if file.read(len(GZIP)) == GZIP:
            raise RawDataError(
                f"{path}: expected {PUBLISHED}, got gzip; run gunzip on it first"
            )
    n_records, rest = divmod(path.stat().st_size, RECORD.itemsize)
    if rest or not n_records:
        raise RawDataError(
            f"{path}: expected records of {RECORD.itemsize} bytes, got {rest} bytes after "
            f"record {n_records}: the file ends early, or is not {PUBLISHED}; fetch it again"
        )


def _find(path: Path, ids: set[bytes]) -> tuple[dict[bytes, int], str]:
    """Return `{asin: its first record, from 0}` of the ids, and the sha256 of the file."""
    records: dict[bytes, int] = {}
    digest = hashlib.sha256()
    with path.open("rb") as file, path.open("rb") as again:
        for first, block in _blocks(file):
            digest.update(block.data)
            keys = _asins(block, first, path)
            rows = [row for row, asin in enumerate(keys) if asin in ids]
            _check_finite(block, rows, first, path)
            for row in rows:
                record = records.setdefault(keys[row], first + row)
                if _read(again, record, keys[row], path).tobytes() != block[row].tobytes():
                    raise RawDataError(
                        f"{path}: expected one vector for {keys[row].decode()}, got different "
                        f"ones in records {record + 1} and {first + row + 1}"
                    )
    return records, digest.hexdigest()


def _blocks(file: BinaryIO) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of the first record with each block of records."""
    first = 0
    while data := file.read(BLOCK * RECORD.itemsize):
        block = np.frombuffer(data, RECORD)
        yield first, block
        first += len(block)


def _asins(block: np.ndarray, first: int, path: Path) -> list[bytes]:
    keys = np.ascontiguousarray(block["asin"])
    invalid = np.flatnonzero(~IN_ASIN[keys].all(axis=1))
    if invalid.size:
        raise RawDataError(
            f"{path}: expected an asin of {ASIN} letters and digits at the start of record "
            f"{first + invalid[0] + 1}, got {keys[invalid[0]].tobytes()!r}; is it {PUBLISHED}?"
        )
    asins: list[bytes] = keys.view(f"S{ASIN}").ravel().tolist()
    return asins


def _check_finite(block: np.ndarray, rows: Iterable[int], first: int, path: Path) -> None:
    for row in rows:
        if not np.isfinite(block[row]["vector"]).all():
            raise RawDataError(
                f"{path}: expected finite numbers, got NaN or infinity in record "
                f"{first + row + 1}, {block[row]['asin'].tobytes().decode()}"
            )


def _read(file: BinaryIO, record: int, asin: bytes, path: Path) -> np.ndarray:
    """Return a record that is known to be of the asin."""
    file.seek(record * RECORD.itemsize)
    data = file.read(RECORD.itemsize)
    if len(data) != RECORD.itemsize or not data.startswith(asin):
        raise RawDataError(f"{path}: changed while it was read; run again")
    return np.frombuffer(data, RECORD)[0]


def _vectors(
    path: Path, asins: pl.Series, records: dict[bytes, int]
) -> Iterator[Vector | None]:
    with path.open("rb") as file:
        for asin in asins:
            key = (asin or "").encode()
            if key in records:
                yield _read(file, records[key], key, path)["vector"].copy()
            else:
                yield None
