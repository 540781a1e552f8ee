"""The user-item graph: normalised adjacency, and its product with embeddings.

Shapes: U users, I items, N = U + I nodes (users first), V tokens, E entries, D dimensions.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from model.data import Interactions


class Graph(nn.Module):
    """A sparse N x N matrix that multiplies embeddings, with its transpose for gradients.

    The transpose is stored because the popularity-aware matrix is not symmetric; CSR because it
    multiplies several times faster than COO. `histories` is not square.
    """

    matrix: Tensor
    transposed: Tensor

    def __init__(
        self, rows: Tensor, columns: Tensor, values: Tensor, size: int | tuple[int, int]
    ) -> None:
        """Store the matrix.

        Args:
            rows: (E,) int64 receiving nodes.
            columns: (E,) int64 neighbours.
            values: (E,) float32.
            size: N, or (receivers, neighbours).
        """
        super().__init__()
        shape = (size, size) if isinstance(size, int) else size
        matrix = _csr(rows, columns, values, shape)
        transposed = _csr(columns, rows, values, shape[::-1])
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("transposed", transposed, persistent=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the product with (N, D) embeddings, (N, D)."""
        return _Product.apply(embeddings, self.matrix, self.transposed)


class _Product(torch.autograd.Function):
    """matrix @ x, whose gradient in x is the transpose times the gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:  # type: ignore[override]
        ctx.transposed = transposed
        return matrix @ x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return ctx.transposed @ gradient.contiguous(), None, None


def symmetric(interactions: Interactions) -> Graph:
    """Return D^-1/2 A D^-1/2 without self loops, the matrix of LightGCN (its Eq. 8).

    Nodes without a neighbour get a row of zeros.
    """
    return _of_pairs(interactions, receiver=0.5, neighbour=0.5, loops=False)


def popularity_aware(interactions: Interactions, popularity: float) -> Graph:
    """Return D~^-1/2 A~ D~^-(1/2 - alpha) with A~ = A + 1, MCLN Eq. 2-3 (from JMP-GCF).

    Row i receives from neighbour j with weight deg(i)^-1/2 deg(j)^-(1/2 - alpha): alpha > 0
    strengthens popular neighbours. The "U" in the index set of Eq. 2 is the self loop.

    Args:
        interactions: the training pairs; repeats count once.
        popularity: alpha >= 0; 0 is the GCN norm with self loops.
    """
    return _of_pairs(interactions, receiver=0.5, neighbour=0.5 - popularity, loops=True)


def with_tokens(
    interactions: Interactions, tokens: Tensor, n_tokens: int, popularity: float
) -> Graph:
    """Return the matrix of `popularity_aware` over users, items and tokens, in this order.

    Edges are the training pairs, the pairs of items and tokens, and the self loops.

    Args:
        interactions: the training pairs; repeats count once.
        tokens: (E, 2) int64, pairs of item and token; repeats count once.
        n_tokens: V.
        popularity: alpha >= 0.
    """
    users, items = interactions.unique_pairs
    first_token = interactions.n_users + interactions.n_items
    pairs = tokens.unique(dim=0) + torch.tensor([interactions.n_users, first_token])
    left = torch.cat([users, pairs[:, 0]])
    right = torch.cat([items + interactions.n_users, pairs[:, 1]])
    size = first_token + n_tokens
    return _normalised(left, right, size, receiver=0.5, neighbour=0.5 - popularity, loops=True)


def row_mean(interactions: Interactions) -> Graph:
    """Return D~^-1 (A + 1), a node's mean over itself and its neighbours.

    The default of NGCF's released code (its `norm`).
    """
    return _of_pairs(interactions, receiver=1.0, neighbour=0.0, loops=True)


def histories(interactions: Interactions) -> Graph:
    """Return |N(u)|^-1/2 at the distinct items of each user u, U x I (Koren's SVD++)."""
    users, items = interactions.unique_pairs
    values = torch.bincount(users).double()[users] ** -0.5
    size = (interactions.n_users, interactions.n_items)
    return Graph(users, items, values.float(), size)


def layer_mean(graph: Graph, embeddings: Tensor, layers: int) -> Tensor:
    """Return the mean over l = 0..L of the graph applied l times (MCLN Eq. 4-5).

    Args:
        graph: N x N.
        embeddings: (N, D), layer 0.
        layers: L >= 0.

    Returns:
        (N, D).
    """
    return _LayerMean.apply(embeddings, graph.matrix, graph.transposed, layers)


def last_layer(graph: Graph, embeddings: Tensor, layers: int) -> Tensor:
    """Return (N, D) embeddings to which the graph is applied `layers` times."""
    for _ in range(layers):
        embeddings = graph(embeddings)
    return embeddings


class _LayerMean(torch.autograd.Function):
    """The polynomial (1 + P + ... + P^L) x / (L + 1), whose gradient is that of P^T.

    By Horner's rule, x + P(x + P(x + ...)): each layer is one fused product and sum, in two
    alternating buffers. Allocating every layer would cost as much as the products, in page
    faults.
    """

    @staticmethod
    def forward(ctx, x: Tensor, matrix: Tensor, transposed: Tensor, layers: int) -> Tensor:  # type: ignore[override]
        ctx.transposed, ctx.layers = transposed, layers
        return _polynomial(matrix, x, layers)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        return _polynomial(ctx.transposed, gradient.contiguous(), ctx.layers), None, None, None


def _polynomial(matrix: Tensor, x: Tensor, layers: int) -> Tensor:
    total, spare = x.clone(), torch.empty_like(x)
    for _ in range(layers):
        torch.addmm(x, matrix, total, out=spare)
        total, spare = spare, total
    return total.div_(layers + 1)


def _of_pairs(
    interactions: Interactions, *, receiver: float, neighbour: float, loops: bool
) -> Graph:
    """Return `_normalised` of the training pairs."""
    users, items = interactions.unique_pairs
    size = interactions.n_users + interactions.n_items
    items = items + interactions.n_users
    return _normalised(users, items, size, receiver=receiver, neighbour=neighbour, loops=loops)


def _normalised(
    left: Tensor, right: Tensor, size: int, *, receiver: float, neighbour: float, loops: bool
) -> Graph:
    """Return D^-receiver A D^-neighbour of undirected edges, whose rows receive.

    Args:
        left: (E,) int64 nodes, like right; each edge is there once.
        right: their neighbours.
        size: N.
        receiver: exponent of the degree of the row's node.
        neighbour: exponent of the degree of the column's node.
        loops: whether every node is a neighbour of itself.
    """
    rows, columns = torch.cat([left, right]), torch.cat([right, left])
    if loops:
        nodes = torch.arange(size)
        rows, columns = torch.cat([rows, nodes]), torch.cat([columns, nodes])
    degree = torch.bincount(rows, minlength=size).double()
    values = degree[rows] ** -receiver * degree[columns] ** -neighbour
    return Graph(rows, columns, values.float(), size)


def _csr(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    coo = torch.sparse_coo_tensor(
        torch.stack([rows, columns]), values, shape, check_invariants=True
    )
    with warnings.catch_warnings():
        # torch announces on every first use that CSR is in beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return coo.coalesce().to_sparse_csr()
