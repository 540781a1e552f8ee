"""The models that params.yaml can name, one file each.

To add one: a file here with a subclass of `model.base.Recommender`, a line in `MODELS`, and a
section of settings with the class's name in pipeline/params/models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from model.base import Recommender
    from model.data import Interactions

# File -> class. A file is only imported with its model, so that no model depends on the code of
# another one.
MODELS = {
    # Without parameters.
    "popularity": "Popularity",
    "itemknn": "ItemKNN",
    "ease": "EASE",
    # Only IDs.
    "bprmf": "BPRMF",
    "svdpp": "SVDPP",
    "ngcf": "NGCF",
    "lightgcn": "LightGCN",
    "jmpgcf": "JMPGCF",
    # With content.
    "vbpr": "VBPR",
    "mmgcn": "MMGCN",
    "mgat": "MGAT",
    "invrl": "InvRL",
    "dmrl": "DMRL",
    "bm3": "BM3",
    "freedom": "FREEDOM",
    "mhgcf": "MHGCF",
    "mcln": "MCLN",
    "mcln_plus": "MCLNPlus",
    "mcln_released": "ReleasedMCLN",
}


def get(name: str) -> type[Recommender]:
    """Return the class of the model called `name`.

    Raises:
        ValueError: there is no such model; the message lists the names.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}, expected one of {sorted(MODELS)}")
    recommender: type[Recommender] = getattr(import_module(f"{__name__}.{name}"), MODELS[name])
    return recommender


def build(
    name: str, interactions: Interactions, features: Mapping[str, Tensor], **settings: object
) -> Recommender:
    """Return a newly initialised model.

    Args:
        name: a key of `MODELS`.
        interactions: the training pairs.
        features: `{modality: (I, width) float32}`; may be empty for models of IDs. For models
            that read tokens also `{kind: (E, 2) int64}`, pairs of item and token.
        settings: keyword arguments of the model's class, including its `generator`.

    Raises:
        ValueError: there is no such model.
    """
    return get(name)(interactions, features, **settings)
