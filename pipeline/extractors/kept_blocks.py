"""Encode pictures in blocks, each kept on disk until the features are written.

A run that was killed resumes after its last complete block. Blocks are written atomically and
a batch never crosses a block, so the vectors do not depend on where a run stopped or how many
jobs share the work.

    .work/features/<dataset>/<modality>/<part>/<key>/000000.npy ...
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
from pipeline.tables.io import replacing

log = logging.getLogger(__name__)


def work_key(metadata: Mapping[str, str], device: str, digests: list[bytes]) -> str:
    """Return a folder name that is equal for runs whose blocks are interchangeable.

    Args:
        metadata: of the features.
        device: cpu, cuda or mps; the last digits differ between them.
        digests: the sha256 of the pictures, in order.
    """
    description = json.dumps([dict(metadata), device], sort_keys=True).encode()
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
        with replacing(folder / _name(number)) as partial, partial.open("wb") as file:
            np.save(file, np.stack(new), allow_pickle=False)
        number += 1
        yield from new


def remove_kept(folder: Path) -> None:
    """Remove the blocks, once the features are written."""
    shutil.rmtree(folder, ignore_errors=True)


def _name(number: int) -> str:
    return f"{number:06}.npy"


def _read(path: Path, dim: int) -> np.ndarray | None:
    """Return a block; None if it is absent or incomplete."""
    try:
        block: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return block if block.dtype == np.float32 and block.shape == (BLOCK, dim) else None
