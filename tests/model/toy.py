"""A world small enough to train in a second, and each model's settings for it."""

import torch

from model import Interactions

N_USERS, N_ITEMS, DIM = 30, 20, 8

MCLN = {
    "dim": DIM, "layers": 2, "l2": 0.001, "popularity": 0.1, "feature_norm": "unit_mean",
    "intra": True, "counterfactual": True, "identity": True, "counterfactual_layers": 2,
    "attention": "modality", "difference": "distributions", "negatives": "counterfactual",
    "others": "random", "inference": "permutation", "gate": None,
    "modality_weight": 1.0,
}  # fmt: skip
SETTINGS = {
    "bprmf": {"dim": DIM, "l2": 0.001},
    "lightgcn": {"dim": DIM, "l2": 0.001, "layers": 2},
    "mcln": MCLN,
    "mcln_released": {
        "dim": DIM,
        "layers": 2,
        "l2": 0.001,
        "popularity": 0.1,
        "counterfactual_layers": 2,
        "modality_weights": {"visual": 0.3},
    },
}


def interactions(seed=0):
    """Users like items of their own parity; five distinct ones each."""
    generator = torch.Generator().manual_seed(seed)
    users = torch.arange(N_USERS).repeat_interleave(5)
    picks = torch.stack(
        [torch.randperm(N_ITEMS // 2, generator=generator)[:5] for _ in range(N_USERS)]
    )
    items = (picks * 2 + torch.arange(N_USERS)[:, None] % 2).flatten()
    return Interactions(users, items, n_users=N_USERS, n_items=N_ITEMS)


def features(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "visual": torch.rand(N_ITEMS, 12, generator=generator),
        "textual": torch.randn(N_ITEMS, 6, generator=generator),
    }


def generator(seed=1):
    return torch.Generator().manual_seed(seed)
