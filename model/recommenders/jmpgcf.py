"""JMP-GCF: graph convolution at several sensitivities to popularity, learned jointly.

Liu et al., "Joint Multi-grained Popularity-aware Graph Convolution Collaborative Filtering
for Recommendation", 2022, https://arxiv.org/abs/2210.04614.  MCLN takes its popularity-aware
norm from it.

Shapes: U users, I items, N = U + I nodes (users first), D dimensions, L layers, G
granularities, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import popularity_aware
from model.losses import bpr, squared_norm
from model.ranking import Scorer, inner_product


class JMPGCF(Recommender):
    """Score: sum of <e_u, e_i> over the last two layers of each granularity.

    Layers of a granularity alpha are E^l = D~^-1/2 A~ D~^-(1/2 - alpha) E^(l-1), all from the
    same E^0.

    Args of the constructor:
        interactions: the training pairs, which make the graphs.
        features: ignored; the model uses no content.
        dim: D.
        layers: L >= 1; layers L - 1 and L are used.
        l2: lambda, on the scale of `model.losses`, on the rows of layer L.
        popularity: alpha of each granularity, in the order in which they are added.
        stage: epochs after which one more granularity is added to training and score (the
            paper's multistage training); 0 for all from the start.
        generator: for the Xavier initialisation.
    """

    epochs: Tensor

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        l2: float,
        popularity: Sequence[float],
        stage: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers, self.l2, self.stage = layers, l2, stage
        self.graphs = nn.ModuleList(popularity_aware(interactions, a) for a in popularity)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        for table in (self.users, self.items):
            nn.init.xavier_uniform_(table, generator=generator)
        # Epochs begun. In the state dict, so that a saved model keeps its granularities.
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))

    def granularities(self) -> int:
        """Return the number of granularities in use, from 1 to G."""
        if not self.stage:
            return len(self.graphs)
        return min(1 + max(int(self.epochs) - 1, 0) // self.stage, len(self.graphs))

    def last_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Return layers L - 1 and L, (N, D) each, of the granularities in use."""
        pairs = []
        for graph in list(self.graphs)[: self.granularities()]:
            layer = torch.cat([self.users, self.items])
            for _ in range(self.layers):
                previous, layer = layer, graph(layer)
            pairs.append((previous, layer))
        return pairs

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Count the epoch and yield its batches."""
        self.epochs += 1
        yield from super().batches(interactions, batch_size, generator)

    def loss(self, batch: Batch) -> Tensor:
        """Return () the sum over granularities of a BPR term for each layer and a penalty.

        Each of the two layers is trained to rank by itself; the penalty is on layer L.
        """
        n_users, losses = len(self.users), []
        rows = torch.cat([batch.users, n_users + batch.positives, n_users + batch.negatives])
        for layers in self.last_layers():
            for layer in layers:
                user, positive, negative = layer.index_select(0, rows).chunk(3)
                losses.append(bpr((user * positive).sum(1), (user * negative).sum(1)))
            losses.append(self.l2 * squared_norm(user, positive, negative))
        return torch.stack(losses).sum()

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product of the concatenated layers."""
        nodes = torch.cat([layer for pair in self.last_layers() for layer in pair], dim=1)
        return inner_product(*nodes.split([len(self.users), len(self.items)]))
