"""From picture files to pixels, by all CPUs.

Shapes: 3 channels, a square of `crop` pixels.

A GPU computes faster than threads of one process decode: more than a few of them wait for each
other, and keep the one that feeds the GPU waiting too. So processes decode for a GPU.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from pipeline.extractors import n_cpus
from pipeline.extractors.networks import Input
from pipeline.job.errors import RawDataError
from pipeline.tables.pictures import open_rgb

# Longer pictures are cut to this first: a 1 x 50000 strip would be resized to gigabytes.
MAX_ASPECT = 20


@contextmanager
def threads() -> Iterator[Executor]:
    """Decode in this process."""
    with ThreadPoolExecutor(n_cpus()) as pool:
        yield pool


@contextmanager
def processes() -> Iterator[Executor]:
    """Decode in one process per CPU; they have nothing of what this one keeps on a GPU.

    Raises:
        RawDataError: one of them ended too early.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # or each imports torch by itself
    try:
        with ProcessPoolExecutor(n_cpus(), context, initializer=_end_with_parent) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise RawDataError(
            "a process that decoded pictures ended, perhaps for want of memory; run the stage "
            "again (what was encoded is kept)"
        ) from error


def _end_with_parent() -> None:
    """End this process when the one that it works for was killed and can no longer say so."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def decode(files: list[bytes], expected: Input) -> np.ndarray:
    """Return several pictures as `preprocess` does, (n, 3, crop, crop) uint8."""
    return np.stack([preprocess(one, expected).numpy() for one in files])


def preprocess(data: bytes, expected: Input) -> Tensor:
    """Return a picture as the network's weights want it, but for the normalisation.

    Args:
        data: a picture file.
        expected: sizes and interpolation.

    Returns:
        (3, crop, crop) uint8.
    """
    image = _central_part(open_rgb(data))
    size, crop = [expected.resize], [expected.crop, expected.crop]
    image = functional.resize(image, size, expected.interpolation, antialias=True)
    pixels: Tensor = functional.pil_to_tensor(functional.center_crop(image, crop))
    return pixels


def _central_part(image: Image.Image) -> Image.Image:
    longest = MAX_ASPECT * min(image.size)
    if max(image.size) <= longest:
        return image
    size = [min(image.height, longest), min(image.width, longest)]
    part: Image.Image = functional.center_crop(image, size)
    return part
