"""MGAT: gated attention over the neighbours in each modality's graph.

Tao et al., "MGAT: Multimodal Graph Attention Network for Recommendation", Information
Processing & Management 57(5), 2020, https://doi.org/10.1016/j.ipm.2020.102277.  "Released
code" is github.com/zltao/MGAT.

Shapes: U users, I items, N = U + I nodes (users first), E directed edges, W width of a
modality's vectors (D from layer 1 on), D dimensions, L layers, R rows (requested nodes), B
triples of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Literal

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

Gate = Literal["receiver", "source"]
LossForm = Literal["mean", "released"]
Representation = Literal["concat", "last"]


class MGAT(Recommender):
    """Score <x_u, x_i>, where x is the mean over modalities of their concatenated layers.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: `{modality: (I, width)}`, fixed; one or more.
        dim: D.
        layers: L >= 1 (the released code returns after the first of its two).
        content_dim: W of layer 0; narrower features keep their width. The released code has
            256 for visual and 100 for textual features.
        feature_norm: `none` (the paper), or another of `model.parts.content.scale`.
        representation: all layers concatenated (`concat`, the paper) or the `last` one.
        gate: whose number of neighbours scales the gate: that of the `receiver` (the paper) or
            of the `source`, the neighbour it receives from (released code).
        loss_form: `mean`, the loss of the other models, or `released`: the sum over the batch
            of -log2 sigmoid, and L2 on every parameter through Adam.
        l2: lambda, on the scale of `model.losses`, on rows of the IDs and the user tables;
            with `released` Adam's weight decay.
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
        representation: Representation,
        gate: Gate,
        loss_form: LossForm,
        l2: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.representation, self.loss_form, self.l2 = representation, loss_form, l2
        self.weight_decay = l2 if loss_form == "released" else 0.0
        self.graphs = ModalityGraphs(
            interactions,
            {name: scale(feature, feature_norm) for name, feature in features.items()},
            dim=dim,
            layers=layers,
            content_dim=content_dim,
            project=_projection,
            layer=partial(AttentionLayer, dim=dim, gate=gate),
            generator=generator,
        )

    def representations(self, rows: Tensor) -> Tensor:
        """Return (R, L * D) of the nodes `rows`, or (R, D) of the last layer."""
        modalities = self.graphs(rows)
        if self.representation == "last":
            return torch.stack([layers[-1] for layers in modalities]).mean(0)
        return torch.stack([torch.cat(layers, dim=1) for layers in modalities]).mean(0)

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean -ln sigmoid(s_ui - s_uj) + lambda / (2B) of the tables' rows."""
        rows = self.graphs.rows_of(batch)
        user, positive, negative = self.representations(rows).chunk(3)
        loss = bpr((user * positive).sum(1), (user * negative).sum(1))
        if self.loss_form == "released":
            return loss * (len(batch.users) / math.log(2))
        return loss + self.l2 * squared_norm(*self.graphs.penalised(batch))

    def scorer(self) -> Scorer:
        """Return the scores of all items as one matrix product."""
        identity = self.graphs.identity
        nodes = self.representations(torch.arange(len(identity), device=identity.device))
        return inner_product(nodes[: self.graphs.n_users], nodes[self.graphs.n_users :])


class AttentionLayer(nn.Module):
    """One layer of a modality: LReLU(LReLU(h G + g) + LReLU(x A + a) + id).

    h is sum_j a_ij z_j + bias of length 1, with z = x Theta and j over the neighbours of i.

    Args of the constructor:
        width: W of its input.
        dim: D.
        gate: as in `MGAT`.
    """

    def __init__(self, width: int, dim: int, gate: Gate) -> None:
        super().__init__()
        self.gate = gate
        self.aggregate = nn.Linear(width, width, bias=False)  # Theta
        self.bias = nn.Parameter(torch.empty(width))
        self.transform = nn.Linear(width, dim)  # A, a
        self.combine = nn.Linear(width, dim)  # G, g

    def attention(self, values: Tensor, edges: Edges) -> Tensor:
        """Return (E,) a_ij = softmax_j(c_ij sigmoid(c_ij / sqrt(degree))).

        Args:
            values: (N, W), z; c_ij is <z_i, LReLU(z_j)>.
            edges: the graph.
        """
        affinity = edges.dots(values, F.leaky_relu(values))
        ends = edges.receivers if self.gate == "receiver" else edges.sources
        gate = torch.sigmoid(affinity * edges.degree[ends].to(values.dtype).rsqrt())
        return edges.softmax(affinity * gate)

    def forward(
        self, nodes: Tensor, edges: Edges, identity: Tensor, rows: Tensor | slice
    ) -> Tensor:
        """Return (R, D) from (N, W) nodes and (N, D) IDs."""
        values = self.aggregate(nodes)
        message = edges.sum(self.attention(values, edges), values)[rows] + self.bias
        # A node without neighbours receives 0 and not the direction of the bias, whose gradient
        # is infinite at the initial 0.
        message = F.normalize(message * (edges.degree[rows, None] > 0))
        neighbours = F.leaky_relu(self.combine(message))
        itself = F.leaky_relu(self.transform(nodes[rows]))
        return F.leaky_relu(neighbours + itself + identity[rows])


def _projection(width: int, content_dim: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, content_dim), nn.Tanh())
