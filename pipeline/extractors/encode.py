"""From picture files to vectors: decoded on all CPUs, encoded in batches.

Shapes: B pictures of a batch, 3 channels, a square of `crop` pixels.

Pillow resizes on the CPU, as torchvision's transforms do. Pixels go to the device as bytes and
are normalised there. The network runs in channels_last, up to the feature's layer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor

from pipeline.extractors import pixels
from pipeline.extractors.extraction import BLOCK, PictureEncoder, n_cpus
from pipeline.extractors.network import Input, Network, arithmetic
from pipeline.params.features import Precision
from pipeline.tables.features import Vector
from pipeline.tables.pictures import IN_WORDS

# Fixed, since the last digits of a feature may depend on it. Larger batches do not fit in a
# CPU's cache: benchmarks/extraction.py.
CPU_BATCH, GPU_BATCH = 8, BLOCK
CHUNK = 8  # pictures that a process decodes per task; divides GPU_BATCH


@dataclass(frozen=True, kw_only=True)
class Feed:
    """How a device gets its pictures; only `batch` may change a feature's last digits."""

    batch: int  # pictures
    chunk: int  # pictures decoded by one task; divides `batch`
    ahead: int  # chunks decoded in advance, per CPU
    begun: int  # batches queued on the device before the first result is waited for
    pool: Callable[[], AbstractContextManager[Executor]]


# On a CPU decoding and the network take turns: both need the same cores, and competing threads
# slow the network down by more.
ON_CPU = Feed(batch=CPU_BATCH, chunk=1, ahead=0, begun=0, pool=pixels.threads)
ON_GPU = Feed(batch=GPU_BATCH, chunk=CHUNK, ahead=2, begun=1, pool=pixels.processes)


def picture_encoder(
    network: Network, device: torch.device, precision: Precision
) -> PictureEncoder:
    """Return the encoder that runs a network on a device.

    Args:
        network: with its weights.
        device: where it runs.
        precision: see `arithmetic`.

    Returns:
        The encoder; `encode` takes files that `tables.pictures.open_rgb` can decode.
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
    """Yield a vector per picture, in order."""
    feed = ON_CPU if device.type == "cpu" else ON_GPU
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1)
        for values in (expected.mean, expected.std)
    )
    size, ahead = feed.batch // feed.chunk, feed.ahead * n_cpus()
    chunks, waiting = _chunks(pictures, feed.chunk), deque[Future[np.ndarray]]()
    computing = deque[Callable[[], np.ndarray]]()
    with feed.pool() as pool:
        while True:
            more = islice(chunks, size + ahead - len(waiting))
            try:
                waiting.extend(pool.submit(pixels.decode, chunk, expected) for chunk in more)
                batch = [waiting.popleft().result() for _ in range(min(size, len(waiting)))]
            except Exception:
                for features in computing:  # the batches before the error are complete
                    yield from features()
                raise
            if not batch:
                break
            images = _copied_to(device, batch).float().div_(255).sub_(mean).div_(std)
            computing.append(_fetch(forward(images)))
            if len(computing) > feed.begun:
                yield from computing.popleft()()
        for features in computing:
            yield from features()


def _chunks(pictures: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    source = iter(pictures)
    while chunk := list(islice(source, size)):
        yield chunk


def _copied_to(device: torch.device, chunks: list[np.ndarray]) -> Tensor:
    """Return (B, 3, crop, crop) uint8, in channels_last, on the device.

    Pinned memory is copied without waiting for the GPU. From other memory, a copy that does not
    wait may read what has been freed since.
    """
    shape = (sum(map(len, chunks)), *chunks[0].shape[1:])
    pinned = device.type == "cuda"
    batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
    np.concatenate(chunks, out=batch.numpy())
    moved = batch.to(device, non_blocking=pinned)
    return moved.contiguous(memory_format=torch.channels_last)


def _fetch(features: Tensor) -> Callable[[], np.ndarray]:
    """Start copying (B, dim) features; return the function that waits for and returns them.

    The copy is queued now: queued later it would wait for the batches queued in between.
    """
    if features.device.type != "cuda":
        return lambda: features.cpu().numpy()
    rows = torch.empty(features.shape, pin_memory=True)
    rows.copy_(features, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(features.device))

    def wait() -> np.ndarray:
        copied.synchronize()
        return rows.numpy()

    return wait


def _preprocessing(network: Network, precision: Precision) -> dict[str, Any]:
    """Describe the preprocessing in words; stored with the features."""
    expected = network.input
    return {
        "decoded": IN_WORDS,
        "resized": f"shorter side to {expected.resize}, {expected.interpolation.value} with "
        "antialiasing",
        "cropped": f"centre, {expected.crop} x {expected.crop}; beyond 1 : "
        f"{pixels.MAX_ASPECT} also before resizing",
        "mean": expected.mean,
        "std": expected.std,
        "layer": network.layer,
        "precision": precision,
    }
