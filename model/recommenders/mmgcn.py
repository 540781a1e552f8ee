"""MMGCN: a graph convolution for each modality, connected by ID embeddings.

Wei et al., "MMGCN: Multi-modal Graph Convolution Network for Personalized Recommendation of
Micro-video", ACM Multimedia 2019, https://doi.org/10.1145/3343031.3351034.  "Released code" is
github.com/weiyinwei/MMGCN.

Shapes: U users, I items, N = U + I nodes (users first), W width of a modality's vectors (D
from layer 1 on), D dimensions, L layers, R rows (requested nodes), B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.losses import bpr, squared_norm
from model.parts.content import FeatureNorm, scale
from model.parts.edges import Edges
from model.parts.modality_graph import ModalityGraphs
from model.ranking import Scorer, inner_product


class MMGCN(Recommender):
    """Score <x_u, x_i>, where x is the mean over modalities of their last layers.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: `{modality: (I, width)}`, fixed; one or more.
        dim: D.
        layers: L >= 1 (always three in the released code, whatever its option).
        content_dim: W of layer 0. Wider features are projected to it, others are unchanged. The
            released code has 256 and projects only visual features.
        feature_norm: `none` (the paper), or another of `model.parts.content.scale`.
        concat: whether to combine a node with its neighbours by concatenation (always so in the
            released code, whatever its option) or by addition.
        l2: lambda, on the scale of `model.losses`, on rows of the IDs and the user tables.
        learn_ids: whether these are learned (the paper). In the released code the optimiser
            does not have them; `l2` then has no effect.
        generator: for the Xavier initialisation.

    Raises:
        ValueError: there is no modality.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        content_dim: int,
        feature_norm: FeatureNorm,
        concat: bool,
        l2: float,
        learn_ids: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.l2 = l2
        self.graphs = ModalityGraphs(
            interactions,
            {name: scale(feature, feature_norm) for name, feature in features.items()},
            dim=dim,
            layers=layers,
            content_dim=content_dim,
            project=_projection,
            layer=partial(MeanLayer, dim=dim, concat=concat),
            generator=generator,
        )
        for table in (self.graphs.identity, *self.graphs.user_tables):
            table.requires_grad_(learn_ids)

    def representations(self, rows: Tensor) -> Tensor:
        """Return (R, D) of the nodes `rows`."""
        # Deviation: the paper sums the modalities. The mean, as released, gives the same order,
        # and its scale does not depend on their number.
        return torch.stack([layers[-1] for layers in self.graphs(rows)]).mean(0)

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - s_uj) + lambda / (2B) of the tables' rows."""
        rows = self.graphs.rows_of(batch)
        user, positive, negative = self.representations(rows).chunk(3)
        scores = (user * positive).sum(1), (user * negative).sum(1)
        return bpr(*scores) + self.l2 * squared_norm(*self.graphs.penalised(batch))

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        identity = self.graphs.identity
        nodes = self.representations(torch.arange(len(identity), device=identity.device))
        return inner_product(nodes[: self.graphs.n_users], nodes[self.graphs.n_users :])


class MeanLayer(nn.Module):
    """One layer of a modality: the neighbours' mean, and the node itself with its ID.

    With h = LReLU(mean_j x_j Theta) and y = LReLU(x A + a) + id it is
    LReLU([h, y] G + g) with `concat`, else LReLU(h G + g + y).

    Args of the constructor:
        width: W of its input.
        dim: D.
        concat: as in `MMGCN`.
    """

    def __init__(self, width: int, dim: int, concat: bool) -> None:
        super().__init__()
        self.concat = concat
        self.aggregate = nn.Linear(width, width, bias=False)  # Theta
        self.transform = nn.Linear(width, dim)  # A, a
        self.combine = nn.Linear(width + dim if concat else width, dim)  # G, g

    def forward(
        self, nodes: Tensor, edges: Edges, identity: Tensor, rows: Tensor | slice
    ) -> Tensor:
        """Return (R, D) from (N, W) nodes and (N, D) IDs."""
        # The mean of products is the product of the mean, which is only needed at `rows`.
        neighbours = F.leaky_relu(self.aggregate(edges.mean(nodes)[rows]))
        itself = F.leaky_relu(self.transform(nodes[rows])) + identity[rows]
        if self.concat:
            return F.leaky_relu(self.combine(torch.cat([neighbours, itself], dim=1)))
        return F.leaky_relu(self.combine(neighbours) + itself)


def _projection(width: int, content_dim: int) -> nn.Module:
    return nn.Linear(width, content_dim) if width > content_dim else nn.Identity()
