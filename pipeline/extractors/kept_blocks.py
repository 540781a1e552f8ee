"""Encode pictures in blocks, each kept on disk until the whole is written.

A stage that was killed goes on behind its last block. A block is written whole or not at all,
and pictures are batched within it, so that the vectors do not depend on where a run stopped or
how many jobs share the work.

    .work/features/<dataset>/<modality>/<what was asked for>/000000.npy ...
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

from pipeline.extractors import BLOCK, PictureEncoder
from pipeline.tables.features import Vector
from pipeline.tables.io import replacing

log = logging.getLogger(__name__)


def key(metadata: Mapping[str, str], device: str, digests: list[bytes]) -> str:
    """Return a name for work that another run may go on with.

    Args:
        metadata: of the features.
        device: cpu, cuda or mps; another kind computes other last digits.
        digests: the sha256 of the pictures, in order.
    """
    said = json.dumps([dict(metadata), device], sort_keys=True).encode()
    return hashlib.sha256(said + b"".join(digests)).hexdigest()[:32]


def bounds(n_pictures: int, number: int, of: int) -> tuple[int, int]:
    """Return where one of several parts begins and ends; all but the last are whole blocks.

    Args:
        n_pictures: of all parts.
        number: the part, from 1.
        of: how many parts; with more parts than blocks some are empty.
    """
    n_blocks = -(-n_pictures // BLOCK)
    first, end = ((n_blocks * n // of) * BLOCK for n in (number - 1, number))
    return min(first, n_pictures), min(end, n_pictures)


def encode_kept(
    encoder: PictureEncoder, pictures: Iterator[bytes], folder: Path
) -> Iterator[Vector]:
    """Yield a vector per picture: first those that were kept, then new ones, which are kept.

    Args:
        encoder: of which the vectors are.
        pictures: all of them, the kept ones too.
        folder: of the blocks; its siblings, left by other work, are removed.

    Yields:
        (dim,) float32.
    """
    _forget(folder.parent, but=folder)
    number = 0
    while (block := _read(folder / _name(number), encoder.dim)) is not None:
        deque(islice(pictures, BLOCK), maxlen=0)
        number += 1
        yield from block
    if number:
        log.info("%s: %d pictures were encoded before; going on", folder, number * BLOCK)
    vectors = encoder.encode(pictures)
    while new := list(islice(vectors, BLOCK)):
        _write(np.stack(new), folder / _name(number))
        number += 1
        yield from new


def forget(folder: Path) -> None:
    """Remove what was kept, once the features are written."""
    shutil.rmtree(folder, ignore_errors=True)


def _name(number: int) -> str:
    return f"{number:06}.npy"


def _read(path: Path, dim: int) -> np.ndarray | None:
    """Return a block; None if it is not there or is not whole."""
    try:
        block: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return block if block.dtype == np.float32 and block.shape == (BLOCK, dim) else None


def _write(block: np.ndarray, path: Path) -> None:
    with replacing(path) as partial, partial.open("wb") as file:
        np.save(file, block, allow_pickle=False)


def _forget(folder: Path, but: Path) -> None:
    for other in folder.glob("*"):
        if other != but:
            shutil.rmtree(other)
