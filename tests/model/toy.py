"""A dataset small enough to train in a second, and each model's settings for it."""

import torch

from model.data import Interactions

N_USERS, N_ITEMS, DIM = 30, 20, 8
N_NEW = 12  # items of `cold_interactions` without a pair

MCLN = {
    "dim": DIM, "layers": 2, "l2": 0.001, "popularity": 0.1, "feature_norm": "unit_mean",
    "intra": True, "counterfactual": True, "identity": True, "counterfactual_layers": 2,
    "attention": "modality", "difference": "distributions", "negatives": "counterfactual",
    "others": "random", "inference": "permutation", "gate": None, "context": None,
    "dropout": 0.0, "modality_weight": 1.0,
}  # fmt: skip
STAGES = {
    "pretrain_epochs": 2, "iterations": 1, "environments": 2, "environment_rounds": 1,
    "environment_epochs": 1, "mask_epochs": 1, "invariance": 1.0, "gate_l2": 0.1,
    "l2_projection": 0.01, "lr": 0.001, "batch_size": 32,
}  # fmt: skip
SETTINGS = {
    "popularity": {},
    "itemknn": {
        "similarity": "both",
        "neighbours": 20,
        "shrinkage": 2.0,
        "content_weight": 0.5,
    },
    "ease": {"l2": 2.0, "content_weight": 0.5},
    "bprmf": {"dim": DIM, "l2": 0.001},
    "svdpp": {"dim": DIM, "l2": 0.001, "exclude_target": False},
    "ngcf": {"dim": DIM, "l2": 0.001, "layers": 2, "variant": "official", "dropout": 0.1},
    "lightgcn": {"dim": DIM, "l2": 0.001, "layers": 2},
    "jmpgcf": {"dim": DIM, "l2": 0.001, "layers": 2, "popularity": [0.2, 0.0], "stage": 0},
    "vbpr": {
        "dim": DIM,
        "content_dim": 4,
        "l2": 0.001,
        "l2_projection": 0.001,
        "feature_norm": "unit_mean",
    },
    "mmgcn": {
        "dim": DIM,
        "layers": 2,
        "content_dim": 8,
        "feature_norm": "none",
        "concat": True,
        "l2": 0.001,
        "learn_ids": True,
    },
    "mgat": {
        "dim": DIM,
        "layers": 2,
        "content_dim": 8,
        "feature_norm": "none",
        "representation": "concat",
        "gate": "receiver",
        "loss_form": "mean",
        "l2": 0.001,
    },
    "invrl": {
        "dim": DIM,
        "negatives": 5,
        "loss": "bce",
        "weights": [1.0, 1.0, 1.0, 1.0],
        "l2": 0.0001,
        "l2_projection": 0.1,
        "init": "xavier",
        "stages": STAGES,
    },
    "dmrl": {
        "dim": DIM,
        "factors": 2,
        "negatives": 3,
        "l2": 0.001,
        "decorrelation": 0.001,
        "pairs": "all",
        "decorrelation_rows": 512,
        "feature_norm": "none",
        "dropout": 0.2,
        "hidden": 8,
        "trained": "all",
    },
    "bm3": {
        "dim": DIM,
        "layers": 1,
        "dropout": 0.3,
        "alignment_weight": 2.0,
        "l2": 0.001,
    },
    "freedom": {
        "dim": DIM,
        "layers": 2,
        "item_layers": 1,
        "neighbours": 3,
        "modality_weights": {"visual": 0.1},
        "edge_dropout": 0.5,
        "content_weight": 0.1,
        "l2": 0.001,
    },
    "mhgcf": {
        "dim": DIM,
        "layers": 2,
        "content_layers": 1,
        "token_layers": 2,
        "popularity": 0.1,
        "l2": 0.001,
        "l2_others": 0.0001,
        "feature_norm": "none",
        "token_loss": 1.0,
        "modality_weights": {"visual": 0.2},
    },
    "mcln": MCLN,
    "mcln_plus": MCLN
    | {
        "token_layers": 2,
        "token_l2": None,
        "item_graph": "before",
        "item_graph_of": "both",
        "item_neighbours": N_ITEMS,  # no ties, which go by the number of an item
        "shrinkage": 2.0,
        "linear_weight": 0.3,
        "linear_l2": 2.0,
        "linear_content": 0.0,
        "linear_tokens": 1.0,
    },
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


def cold_interactions():
    """The same pairs in a catalogue of twelve more items, which are new."""
    known = interactions()
    n_items = N_ITEMS + N_NEW
    return Interactions(
        known.users, known.items, n_users=N_USERS, n_items=n_items, cold_items=True
    )


def features(seed=0, n_items=N_ITEMS):
    generator = torch.Generator().manual_seed(seed)
    return {
        "visual": torch.rand(n_items, 12, generator=generator),
        "textual": torch.randn(n_items, 6, generator=generator),
    }


def tokens(n_items=N_ITEMS):
    """Two kinds: the parity of an item with its half, and one of five colours."""
    items = torch.arange(n_items)
    words = torch.stack([items.repeat(2), torch.cat([items % 2, 2 + items // 10])], 1)
    return {"words": words, "colours": torch.stack([items, items % 5], 1)}


def generator(seed=1):
    return torch.Generator().manual_seed(seed)
