"""VBPR and DMRL compared with Cornac's on one split: ranking quality and time per epoch.

    pip install cornac powerlaw    # on PYTHONPATH; not a dependency of this project
    PYTHONPATH=. python benchmarks/cornac_peers.py data/processed/sample data/features/sample

All have 64 dimensions, Adam at 0.005, batches of 2,048 shuffled pairs, `--epochs`, one
modality, unscaled features and no penalty. Cornac's VBPR (https://cornac.readthedocs.io) runs
its own loop; its DMRL network and ranking loss run in this project's, with four factors and
four negatives, without decorrelation and dropout. Prints HR@10 and NDCG@10 on the validation
candidates (one target among 100), and Cornac's time per epoch divided by ours.

Cornac's VBPR adds the bias <beta', v_i - v_j> of shape (B, 1) to scores of shape (B,), so every
pair of a batch gets the bias of every other one. The row `vbpr, as Cornac` is ours with that
sum; `vbpr` is the paper's. Its DMRL ends the projection of content in a leaky ReLU, and does
not scale the hidden layer to unit length; both are left unchanged.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from recbole_peers import BATCH, DIM, LR, SEED, measured, trained
from torch import Tensor

from model.base import Recommender
from model.data import Batch, Interactions
from model.ranking import Scorer
from model.recommenders import build
from model.recommenders.vbpr import VBPR
from model.sampler import pair_uniform
from pipeline.learning.dataset import Dataset, load_features

FACTORS, NEGATIVES, HIDDEN = 4, 4, 150  # HIDDEN is fixed in Cornac
VBPR_SETTINGS: dict[str, Any] = {
    "dim": DIM,
    "content_dim": DIM,
    "l2": 0.0,
    "l2_projection": 0.0,
    "feature_norm": "none",
}
DMRL_SETTINGS: dict[str, Any] = {
    "dim": DIM,
    "feature_norm": "none",
    "factors": FACTORS,
    "negatives": NEGATIVES,
    "l2": 0.0,
    "decorrelation": 0.0,
    "pairs": "all",
    "decorrelation_rows": 2,
    "dropout": 0.0,
    "hidden": HIDDEN,
    "trained": "all",
}
Result = tuple[float, float, float]  # HR@10, NDCG@10, seconds per epoch


class PairwiseVBPR(VBPR):
    """VBPR over shuffled pairs, as Cornac draws them."""

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield the batches of one pass over the pairs."""
        for batch in pair_uniform(interactions, batch_size, generator, negatives=1):
            yield replace(batch, negatives=batch.negatives.flatten())


class BroadcastVBPR(PairwiseVBPR):
    """VBPR with the sum of Cornac's loss: (B,) + (B, 1)."""

    def loss(self, batch: Batch) -> Tensor:
        """Return () mean over B x B of -ln sigmoid."""
        feature = self.feature[batch.positives] - self.feature[batch.negatives]
        item = self.items[batch.positives] - self.items[batch.negatives]
        score = self.bias[batch.positives] - self.bias[batch.negatives]
        score = score + (self.users[batch.users] * item).sum(1)
        content = feature @ self.projection
        score = score + (self.content_users[batch.users] * content).sum(1)
        return F.softplus(-(score + feature @ self.content_bias)).mean()


class PeerDMRL(Recommender):
    """Cornac's DMRL network and ranking loss with this project's interface."""

    feature: Tensor

    def __init__(self, interactions: Interactions, feature: Tensor) -> None:
        """Build it for one modality, passed as its text: (I, width)."""
        super().__init__()
        module = importlib.import_module("cornac.models.dmrl.dmrl")
        self.register_buffer("feature", feature, persistent=False)
        torch.manual_seed(SEED)  # some of its layers draw from the global generator
        self.peer = module.DMRLModel(
            interactions.n_users,
            interactions.n_items,
            DIM,
            feature.shape[1],
            None,
            dropout=0.0,
            num_neg=NEGATIVES,
            num_factors=FACTORS,
        )
        self.ranking = module.DMRLLoss(decay_c=0.0, num_factors=FACTORS, num_neg=NEGATIVES)

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield the batches of this project's DMRL."""
        return pair_uniform(interactions, batch_size, generator, negatives=NEGATIVES)

    def scores(self, users: Tensor, items: Tensor) -> tuple[Any, Tensor]:
        """Return Cornac's factors and its (B, C) scores of (B, C) items."""
        self.peer.num_neg = items.shape[1] - 1
        self.peer.ui_ratings.clear()  # it keeps a norm of every batch
        self.peer.ut_ratings.clear()
        found: tuple[Any, Tensor] = self.peer(
            torch.cat([users[:, None], items], dim=1), self.feature[items], None
        )
        return found

    def loss(self, batch: Batch) -> Tensor:
        """Return Cornac's loss."""
        items = torch.cat([batch.positives[:, None], batch.negatives], dim=1)
        loss: Tensor = self.ranking(*self.scores(batch.users, items))
        return loss / len(batch.users)

    def scorer(self) -> Scorer:
        """Return the scores of all items, a few users at a time."""
        everything = torch.arange(len(self.feature))
        return lambda users: torch.cat(
            [
                self.scores(few, everything.expand(len(few), -1))[1]
                for few in users.split(max(1, (1 << 18) // len(everything)))
            ]
        )


def cornac_vbpr(data: Dataset, pairs: Interactions, feature: Tensor, epochs: int) -> Result:
    """Train Cornac's VBPR by its own loop, and rank."""
    tables, models = (importlib.import_module(f"cornac.{part}") for part in ("data", "models"))
    users, items = (x.numpy() for x in (pairs.users, pairs.items))
    split = tables.Dataset(
        pairs.n_users,
        pairs.n_items,
        {n: n for n in range(pairs.n_users)},
        {n: n for n in range(pairs.n_items)},
        (users, items, np.ones(len(users))),
        seed=SEED,
    )
    split.add_modalities(item_image=tables.ImageModality(features=feature.numpy()))
    peer = models.VBPR(
        k=DIM,
        k2=DIM,
        n_epochs=epochs,
        batch_size=BATCH,
        learning_rate=LR,
        lambda_w=0.0,
        lambda_b=0.0,
        lambda_e=0.0,
        verbose=False,
        seed=SEED,
    )
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        peer.fit(split)
    seconds = (time.perf_counter() - start) / epochs
    user_side = torch.from_numpy(np.hstack([peer.gamma_user, peer.theta_user]))
    item_side = torch.from_numpy(np.hstack([peer.gamma_item, peer.theta_item]))
    bias = torch.from_numpy(peer.beta_item + peer.visual_bias)
    return *measured(lambda rows: user_side[rows] @ item_side.T + bias, data), seconds


def line(name: str, ours: Result, theirs: Result) -> None:
    """Print two results side by side."""
    print(
        f"{name:15} HR@10 {ours[0]:.4f} | Cornac {theirs[0]:.4f}"
        f"   NDCG@10 {ours[1]:.4f} | {theirs[1]:.4f}"
        f"   epoch, Cornac / ours: {theirs[2] / ours[2]:.2f}",
        flush=True,
    )


def main() -> None:
    """Train each pair of models and print them side by side."""
    parse = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("processed", type=Path, nargs="?", default=Path("data/processed/sample"))
    parse.add_argument("features", type=Path, nargs="?", default=Path("data/features/sample"))
    parse.add_argument("--modality", default="textual")
    parse.add_argument("--epochs", type=int, default=20)
    args = parse.parse_args()
    if importlib.util.find_spec("cornac") is None:
        print("skipped: cornac is not installed; the module's docstring says how")
        return
    if not (args.processed.exists() and args.features.exists()):
        print(f"skipped: no {args.processed} or {args.features}; run `make run` first")
        return
    torch.set_num_threads(1)
    data = Dataset(args.processed)
    pairs = data.pairs(validation=False)
    features = load_features(args.features, [args.modality], data.n_items)
    feature = features[args.modality]
    print(
        f"{args.processed}, {args.modality}, {args.epochs} epochs, validation, one target "
        "among 100"
    )

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(SEED)

    peer = cornac_vbpr(data, pairs, feature, args.epochs)
    for name, kind in (("vbpr", PairwiseVBPR), ("vbpr, as Cornac", BroadcastVBPR)):
        ours = kind(pairs, features, generator=seeded(), **VBPR_SETTINGS)
        line(name, trained(ours, data, pairs, args.epochs), peer)
    dmrl = build("dmrl", pairs, features, generator=seeded(), **DMRL_SETTINGS)
    ours_dmrl = trained(dmrl, data, pairs, args.epochs)
    line("dmrl", ours_dmrl, trained(PeerDMRL(pairs, feature), data, pairs, args.epochs))


if __name__ == "__main__":
    main()
