"""Edges of the user-item graph with computed values, such as attention.

The matrices of `model.graph` have fixed values; these are computed in every step.

Shapes: U users, I items, N = U + I nodes (users first), E directed edges (two for each
distinct training pair), W width of the vectors on the nodes.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.data import Interactions


class Edges(nn.Module):
    """The edges j -> i of the user-item graph, sorted by receiver i.

    Edge values multiply nodes as a sparse matrix and come from sampled products. Gathering the
    (E, W) vectors of both ends instead takes ten times as long, and E * W elements of memory.
    """

    starts: Tensor
    receivers: Tensor
    sources: Tensor
    reverse: Tensor
    degree: Tensor

    def __init__(self, interactions: Interactions) -> None:
        """Take both directions of the distinct pairs."""
        super().__init__()
        users, items = interactions.unique_pairs
        items = items + interactions.n_users
        size = interactions.n_users + interactions.n_items
        ends = torch.cat([users, items]), torch.cat([items, users])
        keys = (ends[0] * size + ends[1]).sort().values
        receivers, sources = keys // size, keys % size
        degree = torch.bincount(receivers, minlength=size)
        starts = F.pad(degree.cumsum(0), (1, 0))
        # Position of i -> j for each j -> i: the transpose has the same pattern.
        reverse = (sources * size + receivers).argsort()
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("receivers", receivers, persistent=False)
        self.register_buffer("sources", sources, persistent=False)
        self.register_buffer("reverse", reverse, persistent=False)
        self.register_buffer("degree", degree, persistent=False)

    def dots(self, receiving: Tensor, sending: Tensor) -> Tensor:
        """Return (E,) inner products <receiving_i, sending_j> of two (N, W) tensors."""
        return _Dots.apply(receiving, sending, self)

    def softmax(self, scores: Tensor) -> Tensor:
        """Return (E,) the softmax of (E,) scores over the edges of each receiver."""
        size = len(self.degree)
        lowest = scores.new_full((size,), float("-inf"))
        # It only limits the range of exp, so it needs no gradient.
        highest = lowest.scatter_reduce(0, self.receivers, scores.detach(), "amax")
        weights = (scores - highest.index_select(0, self.receivers)).exp()
        total = weights.new_zeros(size).index_add(0, self.receivers, weights)
        return weights / total.index_select(0, self.receivers)

    def sum(self, weights: Tensor, nodes: Tensor) -> Tensor:
        """Return (N, W) sums of w_ij x_j over the neighbours j of i, 0 without neighbours.

        Args:
            weights: (E,).
            nodes: (N, W).
        """
        return _Sum.apply(weights, nodes, self)

    def mean(self, nodes: Tensor) -> Tensor:
        """Return (N, W) means over the neighbours, 0 without neighbours."""
        return self.sum(self.degree[self.receivers].to(nodes.dtype).reciprocal(), nodes)

    def matrix(self, values: Tensor) -> Tensor:
        """Return (E,) values as a sparse (N, N) matrix whose row i receives from column j."""
        size = len(self.degree)
        with warnings.catch_warnings():
            # torch announces on every first use that CSR is in beta.
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
            return torch.sparse_csr_tensor(
                self.starts, self.sources, values, (size, size), check_invariants=False
            )


class _Dots(torch.autograd.Function):
    """values_ij = <x_i, y_j>: gradients are V y and V^T x, V the matrix of their gradients."""

    @staticmethod
    def forward(ctx, x: Tensor, y: Tensor, edges: Edges) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x, y)
        ctx.edges = edges
        return _sampled(edges, x, y)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        x, y = ctx.saved_tensors
        edges = ctx.edges
        transposed = edges.matrix(gradient[edges.reverse])
        return edges.matrix(gradient.contiguous()) @ y, transposed @ x, None


class _Sum(torch.autograd.Function):
    """The product of edge values, as a matrix, with nodes; constant values get no gradient."""

    @staticmethod
    def forward(ctx, weights: Tensor, nodes: Tensor, edges: Edges) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(weights, nodes)
        ctx.edges = edges
        return edges.matrix(weights) @ nodes

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:  # type: ignore[override]
        weights, nodes = ctx.saved_tensors
        edges, gradient = ctx.edges, gradient.contiguous()
        values = _sampled(edges, gradient, nodes) if ctx.needs_input_grad[0] else None
        return values, edges.matrix(weights[edges.reverse]) @ gradient, None


def _sampled(edges: Edges, x: Tensor, y: Tensor) -> Tensor:
    pattern = edges.matrix(x.new_zeros(len(edges.sources)))
    return torch.sparse.sampled_addmm(pattern, x, y.T, beta=0.0).values()
