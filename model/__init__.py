"""The mathematics: tensors in, tensors out. No files, no params, no printing.

from model import MODELS
model = MODELS["lightgcn"](interactions, {}, dim=64, layers=4, l2=0.01, generator=g)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from model.base import Recommender
from model.bprmf import BPRMF
from model.data import Batch, Interactions
from model.lightgcn import LightGCN
from model.mcln import MCLN
from model.mcln_released import ReleasedMCLN

__all__ = ["MODELS", "Batch", "Interactions", "Recommender", "build"]


MODELS: dict[str, Callable[..., Recommender]] = {
    "bprmf": BPRMF,
    "lightgcn": LightGCN,
    "mcln": MCLN,
    "mcln_released": ReleasedMCLN,
}


def build(
    name: str, interactions: Interactions, features: Mapping[str, Tensor], **settings: object
) -> Recommender:
    """Return the model called `name`, or list the names there are.

    Raises:
        ValueError: no such model.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}, expected one of {sorted(MODELS)}")
    return MODELS[name](interactions, features, **settings)
