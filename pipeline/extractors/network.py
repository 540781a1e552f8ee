"""A picture network: what it expects, what it returns, in which precision it computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torchvision.transforms import InterpolationMode

from pipeline.params.features import Precision


@dataclass(frozen=True)
class Input:
    """What a network's weights were trained on: RGB pixels in 0..1, shifted and scaled."""

    resize: int  # of the shorter side, in pixels
    crop: int  # side of a square in the centre
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: InterpolationMode = InterpolationMode.BILINEAR


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network, cut after the layer whose output is the feature, with its weights."""

    module: nn.Module  # (B, 3, crop, crop) float32 -> (B, dim)
    dim: int
    layer: str  # in words
    input: Input
    weights: str
    weights_sha256: str
    versions: dict[str, str]


def width(module: nn.Module, expected: Input) -> int:
    """Return the length of the vector that a network makes of one picture."""
    side = expected.crop
    training = module.training
    with torch.inference_mode():
        row = module.eval()(torch.zeros(1, 3, side, side))
    module.train(training)
    return int(row.shape[1])


@contextmanager
def arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute without gradients, in a precision; on CUDA by deterministic cuDNN algorithms.

    By default torch lets cuDNN round the inputs of a convolution to TensorFloat-32, so that
    features of a GPU differ from those of a CPU in the fourth digit. Here `float32` means
    float32 (https://docs.pytorch.org/docs/stable/notes/cuda.html).

    Args:
        device: where the network runs.
        precision: `float32`; `tensorfloat32`, which differs from it on CUDA alone; or
            `bfloat16` for the operations that torch's autocast lowers.
    """
    rounded = precision == "tensorfloat32"
    before = torch.backends.cuda.matmul.allow_tf32
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=rounded),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        torch.backends.cuda.matmul.allow_tf32 = rounded
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before
