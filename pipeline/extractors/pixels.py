"""From picture files to pixels, on all CPUs.

Shapes: 3 channels, a square of `crop` pixels.

For a GPU, processes decode: more than a few threads of one process block each other, and block
the thread that feeds the GPU.
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

from pipeline.extractors.extraction import n_cpus
from pipeline.extractors.network import Input
from pipeline.job.errors import RawDataError
from pipeline.tables.pictures import open_rgb

# Cropped to this aspect ratio first: a 1 x 50000 strip would be resized to gigabytes.
MAX_ASPECT = 20


@contextmanager
def threads() -> Iterator[Executor]:
    """Decode in this process."""
    with ThreadPoolExecutor(n_cpus()) as pool:
        yield pool


@contextmanager
def processes() -> Iterator[Executor]:
    """Decode in one process per CPU; none of them inherits this process's GPU memory.

    Raises:
        RawDataError: a process ended too early.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # otherwise every process imports torch again
    try:
        with ProcessPoolExecutor(n_cpus(), context, initializer=_end_with_parent) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise RawDataError(
            "a process that decodes pictures ended, perhaps for lack of memory; run the stage "
            "again (encoded pictures are kept)"
        ) from error


def _end_with_parent() -> None:
    """End this process when its parent is killed, which cannot tell it to stop."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def decode(files: list[bytes], expected: Input) -> np.ndarray:
    """Apply `preprocess` to several pictures; return (n, 3, crop, crop) uint8."""
    return np.stack([preprocess(file, expected).numpy() for file in files])


def preprocess(data: bytes, expected: Input) -> Tensor:
    """Decode, resize and crop a picture as the network's weights expect; not normalised.

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
    cropped: Image.Image = functional.center_crop(image, size)
    return cropped
