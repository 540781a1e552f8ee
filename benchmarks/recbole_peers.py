"""BPRMF, LightGCN and NGCF compared with RecBole's on one split: ranking quality and time.

    pip install recbole    # on PYTHONPATH; not a dependency of this project
    PYTHONPATH=. python benchmarks/recbole_peers.py data/processed/sample

RecBole's own networks, losses and initialisation (https://recbole.io) run with the same loop,
batches and candidates. Settings are equal: 64 dimensions, Adam at 0.005, batches of 2,048, 3
layers, `--epochs`, no dropout; the penalty is 0, except for LightGCN, where both take half the
squared norm of the batch's layer-0 rows. NGCF is the paper's variant; RecBole's feeds each
layer the normalised rows, which the paper does not. Prints HR@10 and NDCG@10 on the validation
candidates (one target among 100), and RecBole's time per epoch divided by ours.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.base import Recommender
from model.data import Batch, Interactions
from model.fit import Training
from model.metrics import at_cutoffs
from model.ranking import Scorer, sampled_ranks
from model.recommenders import build
from pipeline.learning.dataset import Dataset
from pipeline.tables.schema import VALIDATION

DIM, LR, BATCH, LAYERS, L2, SEED = 64, 0.005, 2048, 3, 0.01, 2023
OURS: dict[str, dict[str, Any]] = {
    "bprmf": {"dim": DIM, "l2": 0.0},
    "lightgcn": {"dim": DIM, "l2": L2, "layers": LAYERS},
    "ngcf": {"dim": DIM, "l2": 0.0, "layers": LAYERS, "variant": "paper", "dropout": 0.0},
}
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "bprmf": ("BPR", {}),
    "lightgcn": ("LightGCN", {"n_layers": LAYERS, "reg_weight": L2, "require_pow": True}),
    "ngcf": (
        "NGCF",
        {
            "hidden_size_list": [DIM] * LAYERS,
            "node_dropout": 0.0,
            "message_dropout": 0.0,
            "reg_weight": 0.0,
        },
    ),
}
CONFIG = {
    "USER_ID_FIELD": "user",
    "ITEM_ID_FIELD": "item",
    "NEG_PREFIX": "neg_",
    "embedding_size": DIM,
    "device": torch.device("cpu"),
}


class Tables:
    """The interface of a data set that RecBole's models use."""

    def __init__(self, interactions: Interactions) -> None:
        """Keep the pairs."""
        self.interactions = interactions

    def num(self, field: str) -> int:
        """Return the number of users or items."""
        return self.interactions.n_users if field == "user" else self.interactions.n_items

    def inter_matrix(self, form: str) -> Any:
        """Return the pairs as a SciPy matrix."""
        sparse = importlib.import_module("scipy.sparse")
        users, items = (x.numpy() for x in self.interactions.unique_pairs)
        shape = (self.interactions.n_users, self.interactions.n_items)
        return sparse.coo_matrix(([1.0] * len(users), (users, items)), shape=shape)


class Peer(Recommender):
    """A model of RecBole with this project's interface."""

    def __init__(self, name: str, interactions: Interactions) -> None:
        """Build RecBole's `name`."""
        super().__init__()
        network, settings = THEIRS[name]
        module = importlib.import_module("recbole.model.general_recommender")
        matrix = importlib.import_module("scipy.sparse").dok_matrix
        if not hasattr(matrix, "_update"):  # RecBole 1.2 calls it; SciPy no longer has it
            matrix._update = lambda self, entries: self._dict.update(entries)
        torch.manual_seed(SEED)  # RecBole draws from the global generator
        self.peer = getattr(module, network)(CONFIG | settings, Tables(interactions))

    def loss(self, batch: Batch) -> Tensor:
        """Return RecBole's loss."""
        fields = {"user": batch.users, "item": batch.positives, "neg_item": batch.negatives}
        loss: Tensor = self.peer.calculate_loss(fields)
        return loss.sum()  # LightGCN's has the shape (1,)

    def scorer(self) -> Scorer:
        """Return RecBole's full ranking."""
        return lambda users: self.peer.full_sort_predict({"user": users}).view(len(users), -1)


def trained(
    model: Recommender, data: Dataset, pairs: Interactions, epochs: int
) -> tuple[float, float, float]:
    """Return HR@10 and NDCG@10 on validation after the epochs, and seconds per epoch."""
    training = Training(
        model, pairs, lr=LR, batch_size=BATCH, generator=torch.Generator().manual_seed(SEED)
    )
    start = time.perf_counter()
    for _ in range(epochs):
        training.run_epoch()
    seconds = (time.perf_counter() - start) / epochs
    with torch.inference_mode():
        return *measured(model.eval().scorer(), data), seconds


def measured(scorer: Scorer, data: Dataset) -> tuple[float, float]:
    """Return HR@10 and NDCG@10 on the validation candidates."""
    sampled = sampled_ranks(scorer, *data.candidates(VALIDATION), data.n_items)
    values = at_cutoffs("sampled", sampled, [10])
    return values["hr@10"], values["ndcg@10"]


def main() -> None:
    """Train each pair of models and print them side by side."""
    parse = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("processed", type=Path, nargs="?", default=Path("data/processed/sample"))
    parse.add_argument("--epochs", type=int, default=20)
    args = parse.parse_args()
    if importlib.util.find_spec("recbole") is None:
        print("skipped: recbole is not installed; the module's docstring says how")
        return
    if not args.processed.exists():
        print(f"skipped: no {args.processed}; run `make run` first")
        return
    torch.set_num_threads(1)
    data = Dataset(args.processed)
    pairs = data.pairs(validation=False)
    print(f"{args.processed}, {args.epochs} epochs, validation, one target among 100")
    for name, settings in OURS.items():
        generator = torch.Generator().manual_seed(SEED)
        ours = trained(
            build(name, pairs, {}, generator=generator, **settings), data, pairs, args.epochs
        )
        theirs = trained(Peer(name, pairs), data, pairs, args.epochs)
        print(
            f"{name:9} HR@10 {ours[0]:.4f} | RecBole {theirs[0]:.4f}"
            f"   NDCG@10 {ours[1]:.4f} | {theirs[1]:.4f}"
            f"   epoch, RecBole / ours: {theirs[2] / ours[2]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
