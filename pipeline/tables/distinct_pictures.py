"""The packed pictures, each different one once.

A picture that several items share is encoded once. Not a stage: what `features` reads.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.job.errors import RawDataError, SchemaError
from pipeline.tables.features import Vector
from pipeline.tables.schema import IMAGES, ITEM

ROWS = 256  # pictures in memory at once


def picture_digests(images: Path, n_items: int) -> list[bytes | None]:
    """Return the sha256 of each item's picture; None where it has none.

    Raises:
        SchemaError: the table is absent, or its items are not 0 to n_items - 1.
        RawDataError: no item has a picture.
    """
    digests = [_digest(picture) for picture in _pictures(images)]
    if len(digests) != n_items:
        raise SchemaError(
            f"{images}: expected one row for each of {n_items} items, got {len(digests)}; run "
            "the stage `images` again"
        )
    if not any(digests):
        raise RawDataError(
            f"{images}: expected pictures, got none for {n_items} items; its column `source` "
            "says why. Mend that, or leave this modality out of `features`"
        )
    return digests


def distinct_pictures(images: Path) -> Iterator[bytes]:
    """Yield each different picture once, in the order of its first item."""
    seen: set[bytes] = set()
    for picture in _pictures(images):
        digest = _digest(picture)
        if picture is not None and digest is not None and digest not in seen:
            seen.add(digest)
            yield picture


def spread(
    vectors: Iterable[Vector | None], digests: list[bytes | None]
) -> Iterator[Vector | None]:
    """Yield the vector of each item's picture, from those of the distinct pictures.

    Only vectors that are needed again are kept, so that memory does not grow with the items.
    """
    left, source = Counter(digests), iter(vectors)
    kept: dict[bytes, Vector | None] = {}
    for digest in digests:
        left[digest] -= 1
        if digest is None:
            yield None
            continue
        vector = kept.pop(digest) if digest in kept else next(source)
        if left[digest]:
            kept[digest] = vector
        yield vector


def _pictures(images: Path) -> Iterator[bytes | None]:
    """Yield each item's picture, ascending by item."""
    if not images.exists():
        raise SchemaError(f"{images}: no such table; run the stage `images` first")
    with pq.ParquetFile(images) as file:
        absent = sorted(set(IMAGES) - set(file.schema_arrow.names))
        if absent:
            raise SchemaError(
                f"{images}: expected columns {list(IMAGES)}, got none for {absent}"
            )
        n_rows = 0
        for batch in file.iter_batches(batch_size=ROWS, columns=[ITEM, "status", "bytes"]):
            items = batch.column(ITEM).to_pylist()
            if items != list(range(n_rows, n_rows + len(items))):
                raise SchemaError(f"{images}: expected items ascending from 0, got {items[:5]}")
            n_rows += len(items)
            for status, picture in zip(batch["status"], batch["bytes"], strict=True):
                yield picture.as_py() if status.as_py() == "ok" else None


def _digest(picture: bytes | None) -> bytes | None:
    return None if picture is None else hashlib.sha256(picture).digest()
