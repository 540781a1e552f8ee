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
from model.dmrl import DMRL
from model.invrl import InvRL
from model.itemknn import ItemKNN
from model.jmpgcf import JMPGCF
from model.lightgcn import LightGCN
from model.mcln import MCLN
from model.mcln_released import ReleasedMCLN
from model.mgat import MGAT
from model.mmgcn import MMGCN
from model.ngcf import NGCF
from model.popularity import Popularity
from model.svdpp import SVDPP
from model.vbpr import VBPR

__all__ = ["MODELS", "Batch", "Interactions", "Recommender", "build"]


MODELS: dict[str, Callable[..., Recommender]] = {
    # Yardsticks, which only count.
    "popularity": Popularity,
    "itemknn": ItemKNN,
    # IDs alone.
    "bprmf": BPRMF,
    "svdpp": SVDPP,
    "ngcf": NGCF,
    "lightgcn": LightGCN,
    "jmpgcf": JMPGCF,
    # With content.
    "vbpr": VBPR,
    "mmgcn": MMGCN,
    "mgat": MGAT,
    "invrl": InvRL,
    "dmrl": DMRL,
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
