"""The linear model of items from items in closed form, EASE.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019,
https://arxiv.org/abs/1905.03375. Content enters as in Jeunen, Van Balen and Goethals,
"Closed-Form Models for Collaborative Filtering with Side-Information", RecSys 2020,
https://doi.org/10.1145/3383313.3418480 (their collective model).

Shapes: U users, I items, B users of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.data import Interactions
from model.parts.histories import Histories
from model.parts.item_graph import Similarity, common_users

# Items at most: two I x I matrices of float64 are in memory at once, 10 GB for this many.
MOST_ITEMS = 25_000
ROWS = 256  # of these matrices, filled at once


class LinearItems(nn.Module):
    """Row u of X B, where B minimises ||X - X B||^2 + l2 ||B||^2 with a zero diagonal.

    With P = (X^T X + l2 1)^-1 it is B_ij = -P_ij / P_jj (Steck's Eq. 8). Nothing is trained,
    and B is not in the checkpoint.

    Args of the constructor:
        interactions: the training pairs, X (U, I) of 0 and 1; repeats count once.
        l2: above 0, in users.
        content: (weight, similarity) of contents whose reconstruction counts too: their columns
            are further rows of X, whose product is the similarity. With a cosine, two items of
            the same content have `weight` further users in common.
        instead: what to do where the catalogue is too large, for the message.

    Raises:
        ValueError: more than `MOST_ITEMS` items.
    """

    weights: Tensor

    def __init__(
        self,
        interactions: Interactions,
        *,
        l2: float,
        content: Sequence[tuple[float, Similarity]],
        instead: str,
    ) -> None:
        super().__init__()
        n_items = interactions.n_items
        if n_items > MOST_ITEMS:
            raise ValueError(
                f"expected at most {MOST_ITEMS} items, since two matrices of items x "
                f"items in float64 are in memory at once, got {n_items} "
                f"({16e-9 * n_items**2:.0f} GB); {instead}, or make the catalogue smaller "
                "with kcore.k_item"
            )
        parts = [(1.0, common_users(interactions)), *content]
        gram = torch.zeros(n_items, n_items, dtype=torch.float64)
        for block in torch.arange(n_items).split(ROWS):
            for weight, similarity in parts:
                gram[block] += weight * similarity(block)
        self.histories = Histories(interactions)
        self.register_buffer("weights", solution(gram, l2), persistent=False)  # B, (I, I)

    def forward(self, users: Tensor) -> Tensor:
        """Return the sum of the rows of B of the items of (B,) users, (B, I)."""
        place_P, item_P = self.histories(users)
        sizes = torch.bincount(place_P, minlength=len(users))
        return F.embedding_bag(item_P, self.weights, sizes.cumsum(0) - sizes, mode="sum")


def solution(gram: Tensor, l2: float) -> Tensor:
    """Return B_ij = -P_ij / P_jj off the diagonal, with P = (gram + l2 1)^-1.

    Args:
        gram: (I, I) float64, symmetric and not negative; overwritten.
        l2: above 0.

    Returns:
        (I, I) float32. P is computed in float64: float32 loses the small entries of large
        catalogues.
    """
    gram.diagonal().add_(l2)
    torch.linalg.cholesky(gram, out=gram)
    inverse = torch.cholesky_inverse(gram)
    weights = torch.div(inverse, -inverse.diagonal().clone(), out=gram).float()
    weights.fill_diagonal_(0.0)
    return weights
