"""From picture files to vectors: decoded by all CPUs, encoded in batches.

Shapes: B pictures of a batch, 3 channels, a square of `crop` pixels.

Pillow resizes on the CPU, as torchvision's own transforms do; pixels go to the device as bytes,
and are normalised there. The network runs in channels_last and stops at the wanted layer.
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

from pipeline.extractors import BLOCK, PictureEncoder, n_cpus, pixels
from pipeline.extractors.arithmetic import arithmetic
from pipeline.extractors.networks import Input, Network
from pipeline.params.features import Precision
from pipeline.tables.features import Vector
from pipeline.tables.pictures import IN_WORDS

# Fixed, since the last digits of a feature may depend on it. More fall out of a CPU's cache:
# benchmarks/extraction.py.
CPU_BATCH, GPU_BATCH = 8, BLOCK
CHUNK = 8  # pictures that a process decodes at once; divides GPU_BATCH


@dataclass(frozen=True, kw_only=True)
class Feed:
    """How pictures come to a device; `batch` alone may change a feature's last digits."""

    batch: int  # pictures
    chunk: int  # pictures decoded by one call; divides `batch`
    ahead: int  # chunks that are decoded meanwhile, per CPU
    begun: int  # batches that the device is given before anybody waits for the first
    pool: Callable[[], AbstractContextManager[Executor]]


# On a CPU threads decode in turn with the network, since both want the same cores, and a
# network whose threads wait for each other slows down by more.
ON_CPU = Feed(batch=CPU_BATCH, chunk=1, ahead=0, begun=0, pool=pixels.threads)
ON_GPU = Feed(batch=GPU_BATCH, chunk=CHUNK, ahead=2, begun=1, pool=pixels.processes)


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
                for features in computing:  # what came before is whole, and may be kept
                    yield from features()
                raise
            if not batch:
                break
            images = _on(device, batch).float().div_(255).sub_(mean).div_(std)
            computing.append(_fetched(forward(images)))
            if len(computing) > feed.begun:
                yield from computing.popleft()()
        for features in computing:
            yield from features()


def _chunks(pictures: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    source = iter(pictures)
    while chunk := list(islice(source, size)):
        yield chunk


def _on(device: torch.device, chunks: list[np.ndarray]) -> Tensor:
    """Return (B, 3, crop, crop) uint8, in channels_last, on the device.

    Pinned memory is copied without waiting for what the GPU computes. From any other, such a
    copy may read what has been freed meanwhile.
    """
    shape = (sum(map(len, chunks)), *chunks[0].shape[1:])
    pinned = device.type == "cuda"
    batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
    np.concatenate(chunks, out=batch.numpy())
    moved = batch.to(device, non_blocking=pinned)
    return moved.contiguous(memory_format=torch.channels_last)


def _fetched(features: Tensor) -> Callable[[], np.ndarray]:
    """Return what waits for (B, dim) features and returns them.

    The copy is asked for now: asked for later it would wait for the batches begun since.
    """
    if features.device.type != "cuda":
        return lambda: features.cpu().numpy()
    here = torch.empty(features.shape, pin_memory=True)
    here.copy_(features, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(features.device))

    def wait() -> np.ndarray:
        arrived.synchronize()
        return here.numpy()

    return wait


def _preprocessing(network: Network, precision: Precision) -> dict[str, Any]:
    """Say in words what was done; stored with the features."""
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
