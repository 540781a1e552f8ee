"""From picture files to vectors: decoded in threads, encoded in batches.

Shapes: B pictures of a batch, 3 channels, a square of `crop` pixels.

Pillow resizes on the CPU, as torchvision's own transforms do; pixels go to the device as bytes,
and are normalised there. The network runs in channels_last and stops at the wanted layer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from pipeline.extractors import BLOCK, PictureEncoder, n_cpus
from pipeline.extractors.networks import Input, Network
from pipeline.feature_settings import Precision
from pipeline.feature_table import Vector
from pipeline.pictures import IN_WORDS, open_rgb

# Longer pictures are cut to this first: a 1 x 50000 strip would be resized to gigabytes.
MAX_ASPECT = 20
# Fixed, since the last digits of a feature may depend on it. More fall out of a CPU's cache:
# benchmarks/extraction.py.
CPU_BATCH, GPU_BATCH = 8, BLOCK
AHEAD = 2 * GPU_BATCH  # pictures decoded while a GPU computes


def picture_encoder(
    network: Network, device: torch.device, precision: Precision
) -> PictureEncoder:
    """Return what encodes pictures with a network.

    Args:
        network: with its weights.
        device: where it runs.
        precision: `float32`, or `bfloat16` for the operations that torch's autocast lowers.

    Returns:
        The encoder; `encode` takes files that `pictures.open_rgb` can decode.
    """
    module = network.module.to(device).to(memory_format=torch.channels_last).eval()

    def forward(images: Tensor) -> Tensor:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            return module(images)

    return PictureEncoder(
        dim=network.dim,
        weights=network.weights,
        weights_sha256=network.weights_sha256,
        preprocessing=_preprocessing(network, precision),
        versions={
            "torch": torch.__version__,
            "pillow": PIL.__version__,
            "numpy": np.__version__,
            **network.versions,
        },
        encode=lambda pictures: encode(forward, network.input, device, pictures),
    )


def encode(
    forward: Callable[[Tensor], Tensor],
    expected: Input,
    device: torch.device,
    pictures: Iterable[bytes],
) -> Iterator[Vector]:
    """Yield a vector per picture, in order.

    Threads decode: for a GPU ahead of the network, on a CPU in turn with it, since there both
    want the same cores, and a network whose threads wait for each other slows down by more.
    """
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1)
        for values in (expected.mean, expected.std)
    )
    size, ahead = (CPU_BATCH, 0) if device.type == "cpu" else (GPU_BATCH, AHEAD)
    source, waiting = iter(pictures), deque[Future[Tensor]]()
    with ThreadPoolExecutor(n_cpus()) as pool:
        while True:
            more = islice(source, size + ahead - len(waiting))
            waiting.extend(pool.submit(preprocess, one, expected) for one in more)
            batch = [waiting.popleft().result() for _ in range(min(size, len(waiting)))]
            if not batch:
                return
            images = torch.stack(batch).to(device, memory_format=torch.channels_last)
            images = images.float().div_(255).sub_(mean).div_(std)
            yield from forward(images).float().cpu().numpy()


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


def _preprocessing(network: Network, precision: Precision) -> dict[str, Any]:
    """Say in words what was done; stored with the features."""
    expected = network.input
    return {
        "decoded": IN_WORDS,
        "resized": f"shorter side to {expected.resize}, {expected.interpolation.value} with "
        "antialiasing",
        "cropped": f"centre, {expected.crop} x {expected.crop}; beyond 1 : {MAX_ASPECT} also "
        "before resizing",
        "mean": expected.mean,
        "std": expected.std,
        "layer": network.layer,
        "precision": precision,
    }
