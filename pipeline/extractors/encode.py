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
from pipeline.extractors.arithmetic import arithmetic
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
        precision: see `arithmetic`.

    Returns:
        The encoder; `encode` takes files that `pictures.open_rgb` can decode.
    """
    module = network.module.to(device).to(memory_format=torch.channels_last).eval()

    def forward(images: Tensor) -> Tensor:
        with arithmetic(device, precision):
            features: Tensor = module(images)
            return features.float()

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
    A GPU is given the next batch before anybody waits for the last.
    """
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1)
        for values in (expected.mean, expected.std)
    )
    on_cpu = device.type == "cpu"
    size, ahead, begun = (CPU_BATCH, 0, 0) if on_cpu else (GPU_BATCH, AHEAD, 1)
    source, waiting = iter(pictures), deque[Future[Tensor]]()
    computing = deque[Tensor]()
    with ThreadPoolExecutor(n_cpus()) as pool:
        while True:
            more = islice(source, size + ahead - len(waiting))
            waiting.extend(pool.submit(preprocess, one, expected) for one in more)
            batch = [waiting.popleft().result() for _ in range(min(size, len(waiting)))]
            if not batch:
                break
            images = _on(device, batch).float().div_(255).sub_(mean).div_(std)
            computing.append(forward(images))
            if len(computing) > begun:
                yield from computing.popleft().cpu().numpy()
        for features in computing:
            yield from features.cpu().numpy()


def _on(device: torch.device, pictures: list[Tensor]) -> Tensor:
    """Return (B, 3, crop, crop) uint8 in channels_last on the device.

    Memory that is pinned is copied to a GPU while it computes.
    """
    shape = (len(pictures), *pictures[0].shape)
    pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    moved = torch.stack(pictures, out=pixels).to(device, non_blocking=True)
    return moved.contiguous(memory_format=torch.channels_last)


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
