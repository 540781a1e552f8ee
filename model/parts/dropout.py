"""Dropout with a generator of one's own."""

from __future__ import annotations

import torch
from torch import Tensor


def drop(rows: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Return the rows with a share of their numbers at 0, and the rest divided by 1 - share.

    `nn.Dropout` draws from the global generator, which a resumed training does not have.

    Args:
        rows: any shape.
        share: below 1; with 0 nothing is drawn.
        generator: on the CPU, whatever the device of the rows.
    """
    if not share:
        return rows
    kept = torch.empty(rows.shape, dtype=torch.bool)
    kept.bernoulli_(1 - share, generator=generator)
    return rows * kept.to(rows.device, rows.dtype).div_(1 - share)
