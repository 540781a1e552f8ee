"""Exact decomposition of a score: by parts of the item, and by items of the user.

By parts of the item: a score that is an inner product with a sum of vectors is the sum of their
inner products. For MCLN the vectors are the summands of Eq. 19 and 22: the propagated ID, each
modality (intra-modality) and the output of the counterfactual layers (inter-modality).

By items of the user: with P the graph's matrix and E the embeddings of layer 0, the mean of
layers 0..L is

    e_u = (E_u + sum_j P_uj H_j) / (L + 1),  H = E + P E + ... + P^(L-1) E,

so that the score is a sum of inner products over the user's items j, and over u itself. H_j
includes what item j has received from its neighbours.

Shapes: U users, I items, D dimensions of a vector, S training items of one user.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.base import Recommender
from model.graph import Graph, layer_mean
from model.parts.mcln_streams import DRAWS
from model.recommenders.lightgcn import LightGCN
from model.recommenders.mcln import MCLN
from model.recommenders.mcln_released import ReleasedMCLN
from model.recommenders.vbpr import VBPR

ID, INTER, CONTENT = "id", "inter", "content"


@dataclass(frozen=True)
class Propagation:
    """How the users' vectors are computed: as the mean over layers 0..L of a graph."""

    graph: Graph  # N x N, users first
    embeddings: Tensor  # (N, D), layer 0
    layers: int


@dataclass(frozen=True)
class Parts:
    """The scores are `users @ sum(items.values()).T`."""

    users: Tensor  # (U, D)
    items: dict[str, Tensor]  # name -> (I, D): `id`, then modalities and `inter`, or `content`
    without: Tensor | None = None  # (I, D): `inter` if the layers subtracted nothing
    propagation: Propagation | None = None  # None if the score does not use the user's items


def parts(model: Recommender) -> Parts | None:
    """Return a trained model's parts; None if its score is not such a sum."""
    functions: dict[type, Callable[..., Parts]] = {
        MCLN: _mcln,
        ReleasedMCLN: _released,
        LightGCN: _lightgcn,
        VBPR: _vbpr,
    }
    return functions[type(model)](model) if type(model) in functions else None


def sources(propagation: Propagation, user: int, n_users: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the summands of a user's vector.

    Args:
        propagation: how the vector is computed.
        user: the user's number.
        n_users: U.

    Returns:
        Items (S,) int64, the summand of each (S, D), and the rest (D,): the user's embedding,
        and the self loop if the graph has one. The second and the third add up to
        `Parts.users[user]`.
    """
    matrix, layers = propagation.graph.matrix, propagation.layers
    start, end = matrix.crow_indices()[user : user + 2].tolist()
    nodes = matrix.col_indices()[start:end]
    weights = matrix.values()[start:end, None]
    # layer_mean of L - 1 divides by L; H is a sum.
    mean = layer_mean(propagation.graph, propagation.embeddings, max(layers - 1, 0))
    summands = weights * (layers * mean)[nodes] / (layers + 1)
    is_item = nodes >= n_users
    rest = propagation.embeddings[user] / (layers + 1) + summands[~is_item].sum(0)
    return nodes[is_item] - n_users, summands[is_item], rest


def _mcln(model: MCLN) -> Parts:
    users, items = model.base()
    summands, without = {ID: items}, None
    if model.intra or model.counterfactual:
        names = [*model.modalities] if model.intra else []
        names += [] if model.output is None else [INTER]
        rows = torch.arange(len(items), device=items.device)
        draws = range(DRAWS if model.inference == "mean" and model.counterfactual else 1)
        drawn = rows if model.inference == "self" else model.permutation
        draws_parts = [
            model.parts(items, rows, model.uninteracted(items, drawn.roll(draw)))
            for draw in draws
        ]
        for name, draws_part in zip(names, zip(*draws_parts, strict=True), strict=True):
            summands[name] = model.modality_weight * torch.stack(draws_part).mean(0)
        if model.output is not None:
            nothing = model.parts(items, rows, [None] * len(model.counterfactual))
            without = model.modality_weight * nothing[-1]
    embeddings = torch.cat([model.users, model.items])
    return Parts(users, summands, without, Propagation(model.graph, embeddings, model.layers))


def _released(model: ReleasedMCLN) -> Parts:
    users, items = model.base()
    rows = torch.arange(len(items), device=items.device)
    content = model.content(rows)
    x_IX = torch.cat([items, *content.values()], dim=1)
    weighted = {m: model.modality_weights.get(m, 1.0) * e for m, e in content.items()}
    summands = {ID: items, **weighted, INTER: model.positive(x_IX, x_IX)}
    embeddings = torch.cat([model.users, model.items])
    propagation = Propagation(model.graph, embeddings, model.layers)
    return Parts(users, summands, model.positive(x_IX, None), propagation)


def _lightgcn(model: LightGCN) -> Parts:
    users, items = model.embeddings()
    embeddings = torch.cat([model.users, model.items])
    return Parts(users, {ID: items}, None, Propagation(model.graph, embeddings, model.layers))


def _vbpr(model: VBPR) -> Parts:
    """Split (gamma_u, theta_u, 1) against (gamma_i, E v_i, b_i + beta' v_i)."""
    ones = torch.ones_like(model.users[:, :1])
    projected, bias = model.feature @ model.projection, model.feature @ model.content_bias
    zeros = torch.zeros_like
    identity = torch.cat([model.items, zeros(projected), model.bias[:, None]], dim=1)
    content = torch.cat([zeros(model.items), projected, bias], dim=1)
    users = torch.cat([model.users, model.content_users, ones], dim=1)
    return Parts(users, {ID: identity, CONTENT: content})
