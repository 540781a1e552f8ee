"""The models that params.yaml can name, one file each.

from model import recommenders
model = recommenders.build("lightgcn", interactions, {}, dim=64, layers=4, l2=0.01, generator=g)
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from model.base import Recommender
    from model.data import Interactions

# File -> class. A file is imported when its model is asked for, so that no model depends on
# another one's code. pipeline/params/models.py has a section under each class's name.
MODELS = {
    # Baselines without parameters.
    "popularity": "Popularity",
    "itemknn": "ItemKNN",
    # IDs alone.
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
    "mcln": "MCLN",
    "mcln_released": "ReleasedMCLN",
}


def get(name: str) -> type[Recommender]:
    """Return the class of the model called `name`.

    Raises:
        ValueError: no such model; the message lists the names there are.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}, expected one of {sorted(MODELS)}")
    recommender: type[Recommender] = getattr(import_module(f"{__name__}.{name}"), MODELS[name])
    return recommender


def build(
    name: str, interactions: Interactions, features: Mapping[str, Tensor], **settings: object
) -> Recommender:
    """Return the model called `name`, freshly initialised.

    Args:
        name: a key of `MODELS`.
        interactions: the training pairs.
        features: `{modality: (I, width) float32}`; empty for a model of ids alone.
        settings: keyword arguments of the model's class, among them a `generator`.

    Raises:
        ValueError: no such model.
    """
    return get(name)(interactions, features, **settings)
