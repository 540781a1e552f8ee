"""Time of an epoch of every model, compared with simple loops for two of them.

    PYTHONPATH=. python benchmarks/epochs.py [--device cuda]

Random pairs and features of the Beauty split's size (15,576 users, 8,678 items, 123,742 pairs,
two modalities of 300 numbers), each model at its settings on beauty_split, one thread. A simple
loop is a first implementation: Python draws each user's items and rejects the user's own,
nn.Embedding, layers by torch.sparse.mm on a COO matrix, all kept and averaged, Adam. Prints
seconds, the budget, and the ratio plain / ours of alternating epochs. InvRL's preparation is
not included. With `--device cuda` the models are timed on the GPU and on the CPU in turn, and
the ratio is CPU / GPU.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.data import Interactions
from model.fit import Training
from pipeline import params
from pipeline.learning.checkpoint import build
from pipeline.learning.command_line import use_threads

N_USERS, N_ITEMS, N_PAIRS, DIM, WIDTH, BATCH = 15_576, 8_678, 123_742, 64, 300, 2048
LR, L2, LAYERS = 0.005, 0.01, 4
DATASET = "beauty_split"
# Seconds allowed for an epoch on two cores; None without a limit.
BUDGETS: dict[str, int | None] = {
    "bprmf": 2, "svdpp": None, "lightgcn": 4, "ngcf": 8, "vbpr": 10,
    "invrl": None, "mcln": 40, "mmgcn": 40, "mgat": 40, "dmrl": 40,
}  # fmt: skip


def pairs(generator: torch.Generator) -> Interactions:
    """Return random pairs of the split's size."""
    users = torch.randint(N_USERS, (N_PAIRS,), generator=generator)
    items = torch.randint(N_ITEMS, (N_PAIRS,), generator=generator)
    return Interactions(users, items, n_users=N_USERS, n_items=N_ITEMS)


class Plain:
    """BPR over embeddings, propagated or not, in a first implementation."""

    def __init__(self, interactions: Interactions, layers: int) -> None:
        """Make the lists of each user's items, the embeddings and the graph."""
        self.items_of: dict[int, list[int]] = {}
        for user, item in zip(
            interactions.users.tolist(), interactions.items.tolist(), strict=True
        ):
            self.items_of.setdefault(user, []).append(item)
        self.layers = layers
        self.nodes = nn.Embedding(N_USERS + N_ITEMS, DIM)
        nn.init.xavier_uniform_(self.nodes.weight)
        self.optimiser = torch.optim.Adam(self.nodes.parameters(), lr=LR)
        users, items = interactions.unique_pairs
        edges = torch.stack([users, items + N_USERS])
        edges = torch.cat([edges, edges.flip(0)], dim=1)
        degree = torch.bincount(edges[0], minlength=N_USERS + N_ITEMS).clamp(min=1)
        values = (degree[edges[0]] * degree[edges[1]]).float().rsqrt()
        size = (N_USERS + N_ITEMS, N_USERS + N_ITEMS)
        self.graph = torch.sparse_coo_tensor(
            edges, values, size, check_invariants=False
        ).coalesce()

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return users, positive and negative items, drawn one by one."""
        users = random.sample(list(self.items_of), BATCH)
        positives, negatives = [], []
        for user in users:
            positives.append(random.choice(self.items_of[user]))  # noqa: S311
            item = random.randrange(N_ITEMS)  # noqa: S311
            while item in self.items_of[user]:
                item = random.randrange(N_ITEMS)  # noqa: S311
            negatives.append(item)
        return torch.tensor(users), torch.tensor(positives), torch.tensor(negatives)

    def run_epoch(self) -> None:
        """Run the steps of an epoch."""
        for _ in range(N_PAIRS // BATCH + 1):
            users, positives, negatives = self.draw()
            layer = total = self.nodes.weight
            for _ in range(self.layers):
                layer = torch.sparse.mm(self.graph, layer)
                total = total + layer
            nodes = total / (self.layers + 1)
            user, i, j = nodes[users], nodes[N_USERS + positives], nodes[N_USERS + negatives]
            rows = (users, N_USERS + positives, N_USERS + negatives)
            penalty = sum(self.nodes(row).square().sum() for row in rows) / (2 * BATCH)
            loss = F.softplus((user * j).sum(1) - (user * i).sum(1)).mean() + L2 * penalty
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


def seconds(epoch: Callable[[], object]) -> float:
    """Return the duration of an epoch."""
    start = time.perf_counter()
    epoch()
    return time.perf_counter() - start


def training(name: str, interactions: Interactions, device: str = "cpu") -> Training:
    """Return a model at its settings on beauty_split, before its first epoch."""
    settings = params.load()
    generator = torch.Generator().manual_seed(1)
    names = settings.model_modalities(name, DATASET)
    features = {m: torch.randn(N_ITEMS, WIDTH, generator=generator) for m in names}
    model = build(settings, DATASET, name, interactions, features, generator)
    lr = settings.model(name, DATASET).lr
    return Training(
        model, interactions, lr=lr, batch_size=BATCH, generator=generator, device=device
    )


def compare_with_cpu(interactions: Interactions, device: str) -> None:
    """Time every model on the device and on the CPU in turn."""
    for name in BUDGETS:
        on_device, on_cpu = (training(name, interactions, d).run_epoch for d in (device, "cpu"))
        seconds(on_device)  # warms up
        ours, cpu = min(seconds(on_device) for _ in range(3)), seconds(on_cpu)
        print(f"{name:9} {ours:6.2f} s an epoch, CPU / {device} {cpu / ours:.1f}", flush=True)


def main() -> None:
    """Warm up each model with one epoch, then time them in turn."""
    parse = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    device = parse.parse_args().device
    use_threads(1)
    torch.manual_seed(1)
    random.seed(1)
    interactions = pairs(torch.Generator().manual_seed(1))
    if device != "cpu":
        return compare_with_cpu(interactions, device)
    plain = {"bprmf": Plain(interactions, 0), "lightgcn": Plain(interactions, LAYERS)}
    for name, budget in BUDGETS.items():
        ours = training(name, interactions)
        loops = [ours.run_epoch] + ([plain[name].run_epoch] if name in plain else [])
        rounds = [[seconds(loop) for loop in loops] for _ in range(3)][1:]
        best = [min(column) for column in zip(*rounds, strict=True)]
        ratio = f", plain loop / ours {best[1] / best[0]:.1f}" if name in plain else ""
        allowed = "" if budget is None else f", budget {budget} s"
        over = "" if budget is None or best[0] <= budget else ": OVER"
        print(f"{name:9} {best[0]:5.1f} s an epoch{allowed}{over}{ratio}", flush=True)
    return None


if __name__ == "__main__":
    main()
