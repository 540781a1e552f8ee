"""The distinct training items of each user, as one list.

Shapes: U users, B users of a block, P training pairs of a block's users.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.data import Interactions


class Histories(nn.Module):
    """Looks up the items of users.

    Args of the constructor:
        interactions: the training pairs; repeats count once.
    """

    items: Tensor
    starts: Tensor

    def __init__(self, interactions: Interactions) -> None:
        super().__init__()
        users, items = interactions.unique_pairs
        sizes = torch.bincount(users, minlength=interactions.n_users)
        self.register_buffer("items", items, persistent=False)  # of all users, user by user
        self.register_buffer("starts", F.pad(sizes.cumsum(0), (1, 0)), persistent=False)

    def forward(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the items of (B,) users as (P,) places in `users` and (P,) items."""
        users = users.to(self.items.device)
        starts, sizes = self.starts[users], self.starts[users + 1] - self.starts[users]
        place_P = torch.arange(len(users), device=users.device).repeat_interleave(sizes)
        first_P = (sizes.cumsum(0) - sizes)[place_P]  # place of the user's first item
        within_P = torch.arange(len(place_P), device=users.device) - first_P
        return place_P, self.items[starts[place_P] + within_P]
