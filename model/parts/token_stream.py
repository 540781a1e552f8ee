"""The stream of tokens: users, items and tokens propagated over one graph.

Users, items and tokens (words of a title, tags or clusters of a picture) have learned rows of
their own. Edges are the training pairs and the pairs of items and tokens. The stream of MHGCF's
semantic entities: Liu et al., "Multimodal Hierarchical Graph Collaborative Filtering for
Multimedia-Based Recommendation", IEEE TCSS 2022, https://doi.org/10.1109/TCSS.2022.3226862.

Shapes: U users, I items, V tokens of all kinds, D = dim, E pairs of item and token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from model.base import without_new
from model.data import Batch, Interactions
from model.graph import last_layer, with_tokens
from model.losses import bpr, squared_norm


class TokenStream(nn.Module):
    """P^L T: the rows T of all nodes after L propagations, of which the last is used.

    P is the popularity-aware matrix over users, items and tokens (MCLN Eq. 2-3). The row of a
    new item is zero, and it gets those of its tokens.
    """

    new_items: Tensor | None

    def __init__(
        self,
        interactions: Interactions,
        kinds: Sequence[Tensor],
        *,
        dim: int,
        layers: int,
        popularity: float,
        generator: torch.Generator,
    ) -> None:
        """Make the graph, and Xavier's rows of users, items and tokens.

        Args:
            interactions: the training pairs.
            kinds: (E, 2) int64 each, pairs of item and token; at least one.
            dim: D.
            layers: L.
            popularity: alpha of the matrix.
            generator: for the rows.
        """
        super().__init__()
        pairs, n_tokens = numbered(kinds)
        self.layers = layers
        self.register_buffer("new_items", interactions.new_items, persistent=False)
        self.graph = with_tokens(interactions, pairs, n_tokens, popularity)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.tokens = nn.Parameter(torch.empty(n_tokens, dim))
        for table in (self.users, self.items, self.tokens):
            nn.init.xavier_uniform_(table, generator=generator)

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows of users (U, D), items (I, D) and tokens (V, D)."""
        tables = self.users, without_new(self.items, self.new_items), self.tokens
        nodes = last_layer(self.graph, torch.cat(tables), self.layers)
        users, items, tokens = nodes.split([len(table) for table in tables])
        return users, items, tokens

    def loss(self, batch: Batch, users: Tensor, items: Tensor, l2: float) -> Tensor:
        """Return () BPR on the stream's rows, and the penalty of the batch's rows of T."""
        user = users[batch.users]
        return bpr(
            (user * items[batch.positives]).sum(1), (user * items[batch.negatives]).sum(1)
        ) + l2 * squared_norm(
            self.users[batch.users], self.items[batch.positives], self.items[batch.negatives]
        )  # fmt: skip


def apart(features: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return the dense features, and the tokens of every kind."""
    dense = {name: f for name, f in features.items() if f.is_floating_point()}
    return dense, [f for name, f in features.items() if name not in dense]


def numbered(kinds: Sequence[Tensor]) -> tuple[Tensor, int]:
    """Return all kinds as one list of pairs (E, 2), each with tokens of its own, and V."""
    shifted, n_tokens = [], 0
    for pairs in kinds:
        shifted.append(pairs + torch.tensor([0, n_tokens]))
        n_tokens += int(pairs[:, 1].max()) + 1 if len(pairs) else 0
    return torch.cat(shifted), n_tokens
