"""Losses, on the scale that the MCLN authors' code and its relatives use.

Papers write sums; the codes take the batch mean of the BPR term and halve and divide the
penalty by the batch size. The paper's search range of lambda makes sense on this scale only.
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
    for more in rows[1:]:
        total = total + more.square().sum()
    return total / (2 * len(rows[0]))
