"""How a network computes: without gradients, in the precision that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.params.features import Precision


@contextmanager
def arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute in a precision, and on CUDA by cuDNN's deterministic algorithms.

    torch lets cuDNN round the inputs of a convolution to TensorFloat-32 unless it is told not
    to, which makes features of a GPU differ from those of a CPU in the fourth digit; here
    `float32` means float32 (https://docs.pytorch.org/docs/stable/notes/cuda.html).

    Args:
        device: where.
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
