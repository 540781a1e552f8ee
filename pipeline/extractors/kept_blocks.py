"""Encode pictures in blocks, each kept on disk until the features are written.

A run that was killed resumes after its last complete block. Blocks are written atomically and
a batch never crosses a block, so the vectors do not depend on where a run stopped or how many
jobs share the work.

    .work/features/<dataset>/<modality>/<part>/<key>/000000.float32 ...
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.extractors.extraction import BLOCK, PictureEncoder
from pipeline.tables.features import Vector
from pipeline.tables.kept import read_kept, throw_away, write_kept

VALUE_BYTES = 4  # of float32
log = logging.getLogger(__name__)


def work_key(
    metadata: Mapping[str, str], arithmetic: str, code: str, digests: list[bytes]
) -> str:
    """Return a folder name that is equal for runs whose blocks are interchangeable.

    Args:
        metadata: of the features.
        arithmetic: see `job.devices`; the last digits depend on it.
        code: a hash of the code that makes the blocks.
        digests: the sha256 of the pictures, in order.
    """
    description = json.dumps([dict(metadata), arithmetic, code], sort_keys=True).encode()
    return hashlib.sha256(description + b"".join(digests)).hexdigest()[:32]


def part_bounds(n_pictures: int, number: int, of: int) -> tuple[int, int]:
    """Return the first and the end index of a part; all parts but the last are whole blocks.

    Args:
        n_pictures: in all parts.
        number: of the part, from 1.
        of: the number of parts; with more parts than blocks some are empty.
    """
    n_blocks = -(-n_pictures // BLOCK)
    first, end = ((n_blocks * n // of) * BLOCK for n in (number - 1, number))
    return min(first, n_pictures), min(end, n_pictures)


def encode_resumable(
    encoder: PictureEncoder, pictures: Iterator[bytes], folder: Path
) -> Iterator[Vector]:
    """Yield a vector per picture: first from kept blocks, then new ones, which are kept.

    Args:
        encoder: makes the vectors.
        pictures: all of them, including those of kept blocks.
        folder: of the blocks; other folders beside it are removed.

    Yields:
        (dim,) float32.
    """
    for sibling in folder.parent.glob("*"):
        if sibling != folder:
            log.warning("%s: thrown away: made of other pictures, settings or code", sibling)
            shutil.rmtree(sibling)
    number = 0
    while (block := _read(folder / _name(number), encoder.dim)) is not None:
        deque(islice(pictures, BLOCK), maxlen=0)
        number += 1
        yield from block
    if number:
        log.info("%s: resuming after %d encoded pictures", folder, number * BLOCK)
    vectors = encoder.encode(pictures)
    while new := list(islice(vectors, BLOCK)):
        write_kept(np.stack(new, dtype=np.float32).tobytes(), folder / _name(number))
        number += 1
        yield from new


def remove_kept(folder: Path) -> None:
    """Remove the blocks, once the features are written."""
    shutil.rmtree(folder, ignore_errors=True)


def _name(number: int) -> str:
    return f"{number:06}.float32"


def _read(path: Path, dim: int) -> np.ndarray | None:
    """Return a block; None if it is absent, damaged, or the last one and not full."""
    content = read_kept(path)
    if content is None or len(content) != BLOCK * dim * VALUE_BYTES:
        return None
    block = np.frombuffer(content, np.float32).reshape(BLOCK, dim)
    if not np.isfinite(block).all():
        throw_away(path, "it has numbers that are not finite")
        return None
    return block
