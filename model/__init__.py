"""The mathematics: tensors in, tensors out. No files, no params, no printing.

from model import MODELS
model = MODELS["lightgcn"](interactions, {}, dim=64, layers=4, l2=0.01, generator=g)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from model.bprmf import BPRMF
from model.data import Batch, Interactions
from model.lightgcn import LightGCN
from model.mcln import MCLN
from model.ranking import Scorer

__all__ = ["MODELS", "Batch", "Interactions", "Recommender", "build"]


class Recommender(Protocol):
    """What training and evaluation ask of a model, besides being an `nn.Module`."""

    def loss(self, batch: Batch) -> Tensor:
        """Return () the mean loss of a batch."""
        ...

    def scorer(self) -> Scorer:
        """Return a function from (B,) users to (B, I) scores; call it in evaluation mode."""
        ...


MODELS: dict[str, Callable[..., BPRMF | LightGCN | MCLN]] = {
    "bprmf": BPRMF,
    "lightgcn": LightGCN,
    "mcln": MCLN,
}


def build(
    name: str, interactions: Interactions, features: Mapping[str, Tensor], **settings: object
) -> BPRMF | LightGCN | MCLN:
    """Return the model called `name`, or list the names there are.

    Raises:
        ValueError: no such model.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}, expected one of {sorted(MODELS)}")
    return MODELS[name](interactions, features, **settings)
