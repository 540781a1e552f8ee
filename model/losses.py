"""Losses, on the scale of the MCLN authors' code and of the code it derives from.

Papers write sums; the code takes the batch mean of the BPR term, and divides the penalty by
twice the batch size. The paper's search range of lambda only makes sense on this scale.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Return the batch mean of -ln sigmoid(positive - negative) (MCLN Eq. 23).

    Args:
        positive: (B,) scores of interacted items.
        negative: (B,) scores of uninteracted items.

    Returns:
        () mean; softplus does not overflow where log(sigmoid) would.
    """
    return F.softplus(negative - positive).mean()


def squared_norm(*rows: Tensor) -> Tensor:
    """Return sum ||row||^2 / (2 B) over the rows that occur in a batch.

    Args:
        rows: tensors of B rows each.

    Returns:
        () penalty, to be multiplied by lambda.
    """
    total = rows[0].square().sum()
    for tensor in rows[1:]:
        total = total + tensor.square().sum()
    return total / (2 * len(rows[0]))
