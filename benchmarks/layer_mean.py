"""Layer mean by Horner's rule in two buffers, against a plain sum of layers.

    PYTHONPATH=. python benchmarks/layer_mean.py

Forward and backward on a random graph of the Beauty split's size (15,576 users, 8,678 items,
123,742 pairs), 64 columns, 4 layers, one thread. Prints the ratio plain / Horner: the median of
alternating rounds in one run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from model.data import Interactions
from model.graph import Graph, layer_mean, popularity_aware

N_USERS, N_ITEMS, N_PAIRS, DIM, LAYERS, ROUNDS = 15_576, 8_678, 123_742, 64, 4, 15


def plain(graph: Graph, embeddings: Tensor, layers: int) -> Tensor:
    """Return the mean of the layers as in the equation."""
    total = layer = embeddings
    for _ in range(layers):
        layer = graph(layer)
        total = total + layer
    return total / (layers + 1)


def seconds(mean: Callable[[Graph, Tensor, int], Tensor], graph: Graph, x: Tensor) -> float:
    """Return the time of one forward and backward pass."""
    start = time.perf_counter()
    mean(graph, x, LAYERS).sum().backward()
    return time.perf_counter() - start


def main() -> None:
    """Time both alternately and print the ratio."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    users = torch.randint(N_USERS, (N_PAIRS,), generator=generator)
    items = torch.randint(N_ITEMS, (N_PAIRS,), generator=generator)
    graph = popularity_aware(
        Interactions(users, items, n_users=N_USERS, n_items=N_ITEMS), popularity=0.1
    )
    x = torch.randn(N_USERS + N_ITEMS, DIM, generator=generator, requires_grad=True)
    ratios = [seconds(plain, graph, x) / seconds(layer_mean, graph, x) for _ in range(ROUNDS)]
    print(f"layer mean, plain / Horner: {statistics.median(ratios):.2f} times as long")


if __name__ == "__main__":
    main()
