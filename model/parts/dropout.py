"""Dropout that draws from a given generator."""

from __future__ import annotations

import torch
from torch import Tensor


def drop(rows: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Set a random share of the elements to 0, and divide the others by 1 - share.

    `nn.Dropout` draws from the global generator, whose state a checkpoint does not have.

    Args:
        rows: any shape.
        share: below 1; with 0 nothing is drawn.
        generator: on the CPU, for rows on any device.
    """
    if not share:
        return rows
    kept = torch.empty(rows.shape, dtype=torch.bool)
    kept.bernoulli_(1 - share, generator=generator)
    return rows * kept.to(rows.device, rows.dtype).div_(1 - share)
