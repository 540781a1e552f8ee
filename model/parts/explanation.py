"""A score taken apart: which parts of an item made it, and through which of the user's items.

Only scores that are inner products with a sum of vectors can be taken apart without a rest. Of
MCLN these are the summands of Eq. 19 and 22: the propagated ID, each modality (intra-modality)
and the output of the counterfactual layers (inter-modality).

The other way is the user's vector. With P the graph's matrix and E the embeddings of layer 0,
the mean of layers 0..L is

    e_u = (E_u + sum_j P_uj H_j) / (L + 1),  H = E + P E + ... + P^(L-1) E,

so that the score is a sum over the user's items j, and over u itself, of inner products. H_j is
what item j is and has gathered from its own neighbours.

Shapes: U users, I items, D dimensions of a vector, S training items of one user.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.base import Recommender
from model.graph import Graph, layer_mean
from model.recommenders.lightgcn import LightGCN
from model.recommenders.mcln import DRAWS, MCLN
from model.recommenders.mcln_released import ReleasedMCLN
from model.recommenders.vbpr import VBPR

ID, INTER, CONTENT = "id", "inter", "content"


@dataclass(frozen=True)
class Propagation:
    """What makes the users' vectors: the mean over layers 0..L of a graph's powers."""

    graph: Graph  # N x N, users first
    embeddings: Tensor  # (N, D), layer 0
    layers: int


@dataclass(frozen=True)
class Parts:
    """The scores are `users @ sum(items.values()).T`."""

    users: Tensor  # (U, D)
    items: dict[str, Tensor]  # name -> (I, D): `id`, then modalities and `inter`, or `content`
    without: Tensor | None = None  # (I, D): `inter` if the layers subtracted nothing
    propagation: Propagation | None = None  # None where the user's items are not in the score


def parts(model: Recommender) -> Parts | None:
    """Return a trained model's parts; None where the score is not such a sum."""
    known: dict[type, Callable[..., Parts]] = {
        MCLN: _mcln,
        ReleasedMCLN: _released,
        LightGCN: _lightgcn,
        VBPR: _vbpr,
    }
    return known[type(model)](model) if type(model) in known else None


def sources(of: Propagation, user: int, n_users: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the summands of a user's vector.

    Args:
        of: what made it.
        user: its number.
        n_users: U.

    Returns:
        Items (S,) int64, what came through each (S, D), and the rest (D,): the user's own
        embedding, and the self loop where the graph has one. All of `Parts.users[user]` is
        the sum of the second and the third.
    """
    start, end = of.graph.matrix.crow_indices()[user : user + 2].tolist()
    nodes = of.graph.matrix.col_indices()[start:end]
    weights = of.graph.matrix.values()[start:end, None]
    # layer_mean of L - 1 divides by L; H is a sum.
    gathered = of.layers * layer_mean(of.graph, of.embeddings, max(of.layers - 1, 0))
    through = weights * gathered[nodes] / (of.layers + 1)
    is_item = nodes >= n_users
    own = of.embeddings[user] / (of.layers + 1) + through[~is_item].sum(0)
    return nodes[is_item] - n_users, through[is_item], own


def _mcln(model: MCLN) -> Parts:
    users, items = model.base()
    found, without = {ID: items}, None
    if model.intra or model.counterfactual:
        names = [*model.modalities] if model.intra else []
        names += [] if model.output is None else [INTER]
        rows = torch.arange(len(items), device=items.device)
        draws = range(DRAWS if model.inference == "mean" and model.counterfactual else 1)
        drawn = rows if model.inference == "self" else model.permutation
        every = [
            model.parts(items, rows, model.uninteracted(items, drawn.roll(draw)))
            for draw in draws
        ]
        for name, summands in zip(names, zip(*every, strict=True), strict=True):
            found[name] = model.modality_weight * torch.stack(summands).mean(0)
        if model.output is not None:
            nothing = model.parts(items, rows, [None] * len(model.counterfactual))
            without = model.modality_weight * nothing[-1]
    embeddings = torch.cat([model.users, model.items])
    return Parts(users, found, without, Propagation(model.graph, embeddings, model.layers))


def _released(model: ReleasedMCLN) -> Parts:
    users, items = model.base()
    rows = torch.arange(len(items), device=items.device)
    content = model.content(rows)
    x_IX = torch.cat([items, *content.values()], dim=1)
    weighted = {m: model.modality_weights.get(m, 1.0) * e for m, e in content.items()}
    found = {ID: items, **weighted, INTER: model.positive(x_IX, x_IX)}
    embeddings = torch.cat([model.users, model.items])
    propagation = Propagation(model.graph, embeddings, model.layers)
    return Parts(users, found, model.positive(x_IX, None), propagation)


def _lightgcn(model: LightGCN) -> Parts:
    users, items = model.embeddings()
    embeddings = torch.cat([model.users, model.items])
    return Parts(users, {ID: items}, None, Propagation(model.graph, embeddings, model.layers))


def _vbpr(model: VBPR) -> Parts:
    """Split (gamma_u, theta_u, 1) against (gamma_i, E v_i, b_i + beta' v_i)."""
    one = torch.ones_like(model.users[:, :1])
    projected, bias = model.feature @ model.projection, model.feature @ model.content_bias
    nothing = torch.zeros_like(projected), torch.zeros_like(model.items)
    identity = torch.cat([model.items, nothing[0], model.bias[:, None]], dim=1)
    content = torch.cat([nothing[1], projected, bias], dim=1)
    users = torch.cat([model.users, model.content_users, one], dim=1)
    return Parts(users, {ID: identity, CONTENT: content})
