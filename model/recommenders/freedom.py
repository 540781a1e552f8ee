"""FREEDOM: a frozen item-item graph of content, and a user-item graph without some edges.

Zhou and Shen, "A Tale of Two Graphs: Freezing and Denoising Graph Structures for Multimodal
Recommendation", ACM MM 2023, https://arxiv.org/abs/2211.06924.

Shapes: U users, I items, N = U + I nodes (users first), E edges, D dimensions, W width of a
modality's features, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from model.base import Recommender, without_new
from model.data import Batch, Interactions
from model.graph import Graph, layer_mean, symmetric
from model.losses import bpr, squared_norm
from model.parts.item_graph import content_neighbours, item_graph
from model.ranking import Scorer, inner_product


class FREEDOM(Recommender):
    """Score <e_u, e_i + S^K E_i>: e is LightGCN's, E its layer 0, S the item-item graph.

    The paper has two modalities; here each has its neighbours, its projection and its term of
    the loss. E_i of a new item is zero: its score is that of its neighbours.

    Args of the constructor:
        interactions: the training pairs, which make the user-item graph.
        features: `{modality: (I, W)}`, fixed.
        dim: D.
        layers: of the user-item graph, at least 0.
        item_layers: K; 0 leaves the item-item graph out.
        neighbours: nearest items by each modality, beside the item itself, from which it
            receives too.
        modality_weights: of the modalities in S, 1 for those not named. Only their ratios
            count, since S is normalised.
        edge_dropout: share of the edges left out of an epoch. Scores use all.
        content_weight: of the loss that ranks by projected features alone.
        l2: lambda, on the scale of `model.losses`, on layer-0 rows; the paper: 0.
        generator: for the Xavier initialisation.

    Raises:
        ValueError: no modality has a weight above 0, but `item_layers` is not 0.
    """

    new_items: Tensor | None
    scores_new_items = True  # with `item_layers`

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        item_layers: int,
        neighbours: int,
        modality_weights: Mapping[str, float],
        edge_dropout: float,
        content_weight: float,
        l2: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers, self.item_layers = layers, item_layers
        self.edge_dropout, self.content_weight, self.l2 = edge_dropout, content_weight, l2
        self.scores_new_items = item_layers > 0
        self.register_buffer("new_items", interactions.new_items, persistent=False)
        self.graph = symmetric(interactions)
        self.pruned: Graph | None = None  # of this epoch
        weights = {name: modality_weights.get(name, 1.0) for name in features}
        if item_layers:
            self.item_graph = _frozen(features, weights, neighbours)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.projections = nn.ParameterDict()
        for name, feature in features.items() if content_weight else ():
            self.register_buffer(f"feature_{name}", feature, persistent=False)
            self.projections[name] = nn.Parameter(torch.empty(feature.shape[1], dim))
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter, generator=generator)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Return user (U, D) and item (I, D) embeddings; in training, of the epoch's graph."""
        graph = self.pruned if self.training and self.pruned else self.graph
        rows = without_new(self.items, self.new_items)
        nodes = layer_mean(graph, torch.cat([self.users, rows]), self.layers)
        users, items = nodes.split([len(self.users), len(rows)])
        if self.item_layers:
            near = rows
            for _ in range(self.item_layers):
                near = self.item_graph(near)
            items = items + near
        return users, items

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Draw the edges of the epoch, and yield its batches."""
        if self.edge_dropout:
            kept = kept_edges(interactions, self.edge_dropout, generator)
            self.pruned = symmetric(kept).to(self.users.device)
        yield from super().batches(interactions, batch_size, generator)

    def loss(self, batch: Batch) -> Tensor:
        """Return () the BPR loss, the penalty, and the BPR losses of projected features.

        Modality m scores <e_u, W_m x_i>. A bias of the projection would be the same for i and
        j, and is left out.
        """
        users, items = self.embeddings()
        user = users[batch.users]
        positive = (user * items[batch.positives]).sum(1)
        negative = (user * items[batch.negatives]).sum(1)
        penalty = squared_norm(
            self.users[batch.users], self.items[batch.positives], self.items[batch.negatives]
        )
        loss = bpr(positive, negative) + self.l2 * penalty
        for name, projection in self.projections.items():
            feature = getattr(self, f"feature_{name}")
            difference = feature[batch.positives] - feature[batch.negatives]
            content = (user * (difference @ projection)).sum(1)
            loss = loss + self.content_weight * bpr(content, torch.zeros_like(content))
        return loss

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        return inner_product(*self.embeddings())


def kept_edges(
    interactions: Interactions, share: float, generator: torch.Generator
) -> Interactions:
    """Return the pairs without a random share, drawn by 1 / sqrt(deg(u) deg(i)).

    Edges between popular nodes are likelier to be left out: the paper's degree-sensitive edge
    pruning.

    Args:
        interactions: the training pairs; repeats count once.
        share: below 1; at least one pair is kept.
        generator: on the CPU.
    """
    users, items = interactions.unique_pairs
    degrees = torch.bincount(users)[users] * torch.bincount(items)[items]
    # The first arrivals of E exponential clocks are a draw without replacement by their rates;
    # torch.multinomial takes at most 2^24 edges.
    arrival = torch.empty(len(users), dtype=torch.float64).exponential_(generator=generator)
    arrival *= degrees.double().sqrt()
    kept = arrival.topk(max(1, round(len(users) * (1 - share))), largest=False).indices
    sizes = interactions.n_users, interactions.n_items
    return Interactions(users[kept], items[kept], n_users=sizes[0], n_items=sizes[1])


def _frozen(
    features: Mapping[str, Tensor], weights: Mapping[str, float], neighbours: int
) -> Graph:
    """Return S, in which each row is the weighted mean of an item and its neighbours."""
    read = {name: feature for name, feature in features.items() if weights[name]}
    if not read:
        raise ValueError("expected at least one modality for item_layers above 0, got none")
    parts = [
        (weights[name], content_neighbours(feature, neighbours))
        for name, feature in read.items()
    ]
    return item_graph(parts, undirected=False, self_loops=True)
