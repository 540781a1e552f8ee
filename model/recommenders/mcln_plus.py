"""MCLN with a graph of tokens, a graph of items and a linear model, each of which can be off.

    s_ui = <e_u, e_i> + lambda_m <e_u, e_v + e_t + e_vt> + <t_u, t_i>
         + w (sigma_s / sigma_b) b_ui

The first two terms are MCLN's, Eq. 22 of Li et al., SIGIR 2023 (see mcln.py), with their two
BPR terms.

Token graph: nodes are users, items and tokens (words of a title, tags or clusters of a
picture), edges the training pairs and the pairs of items and tokens. With P its matrix after
MCLN's Eq. 2-3 and T learned rows of all nodes,

    [t_u, t_i, .] = P^L T,    L_tokens = BPR(<t_u, t_i>, <t_u, t_j>) + lambda_t ||rows of T||^2

over the batch's rows of users and items. It is the entity stream of MHGCF (see mhgcf.py)
without the words of reviews, which may be of held-out interactions.

Item graph: S joins each item to its nearest by content and by shrunk co-occurrence (see
model/parts/item_graph.py) and is fixed. With E the embeddings of the items, the rows that enter
MCLN's Eq. 4 are E + S E (`before`), or S E is added to its result (`after`, as in FREEDOM: Zhou
and Shen, ACM MM 2023, https://arxiv.org/abs/2211.06924).

Linear model: b_ui = sum over the items j of u of B_ji, with B in closed form (EASE, see
model/parts/linear_items.py). It is added to the trained score and changes no training: a pair
that B was fitted to would seem too easy there. sigma_s and sigma_b are the mean standard
deviations of the trained score and of b over the items, so that w is a share of the spread and
means the same on every dataset.

With all three off it is `mcln`, to the last bit.

Shapes: U users, I items, V tokens of all kinds, D = dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from model.data import Batch, Interactions
from model.graph import Graph
from model.parts.item_graph import (
    Similarity,
    content_neighbours,
    cooccurrence_neighbours,
    item_graph,
    shared_tokens,
)
from model.parts.item_graph import content as joined
from model.parts.linear_items import LinearItems
from model.parts.mcln_streams import MCLNStreams
from model.parts.token_stream import TokenStream, apart, numbered
from model.ranking import Scorer

Place = Literal["none", "before", "after"]
Of = Literal["both", "content", "cooccurrence"]

SAMPLE = 1000  # users, evenly over all, from which the spread of scores is measured


class MCLNPlus(MCLNStreams):
    """MCLN, a token graph, an item graph and a linear model.

    Args of the constructor:
        interactions: the training pairs, which make the graphs.
        features: as for `mcln`; and `{kind: (E, 2) int64}`, pairs of item and token. Without
            these there is no token graph.
        token_layers: L of the token graph.
        token_l2: lambda_t, on the scale of `model.losses`; None for MCLN's `l2`.
        item_graph: where S E is added; `none` for no item graph.
        item_graph_of: the neighbours in S. Without features, `both` is co-occurrence alone.
        item_neighbours: of each item, in each of the two.
        shrinkage: of the co-occurrence, n_ij / (sqrt(n_i n_j) + shrinkage).
        linear_weight: w; 0 for no linear model, so that scores are inner products.
        linear_l2: the penalty of B, above 0, in users.
        linear_content: further users that two items of the same features have in common in X.
        linear_tokens: likewise of the same tokens; see `item_graph.shared_tokens`.
        generator: as for `mcln`, then for the rows T.
        streams: the settings of `mcln`.

    Raises:
        ValueError: `item_graph_of: content` without features.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        token_layers: int,
        token_l2: float | None,
        item_graph: Place,
        item_graph_of: Of,
        item_neighbours: int,
        shrinkage: float,
        linear_weight: float,
        linear_l2: float,
        linear_content: float,
        linear_tokens: float,
        generator: torch.Generator,
        **streams: Any,
    ) -> None:
        content, kinds = apart(features)
        super().__init__(interactions, content, generator=generator, **streams)
        self.token_l2, self.place = self.l2 if token_l2 is None else token_l2, item_graph
        self.item_graph: Graph | None = None
        if item_graph != "none":
            lists = item_graph_of, item_neighbours, shrinkage
            self.item_graph = _item_graph(interactions, content, *lists)
        self.tokens: TokenStream | None = None
        if kinds:
            self.tokens = TokenStream(
                interactions,
                kinds,
                dim=self.items.shape[1],
                layers=token_layers,
                popularity=streams["popularity"],
                generator=generator,
            )
        parts = _similarities(interactions, content, kinds, linear_content, linear_tokens)
        self.linear_weight = linear_weight
        self.linear = _linear(interactions, linear_l2, parts) if linear_weight else None
        graph_content = content if item_graph_of != "cooccurrence" and self.item_graph else {}
        self.scores_new_items |= bool(kinds or graph_content or (self.linear and parts))

    def base(self) -> tuple[Tensor, Tensor]:
        """Return e^base of users (U, D) and items (I, D), with the item graph."""
        if self.item_graph is None:
            return super().base()
        rows = self.item_rows()
        similar = self.item_graph(rows)
        if self.place == "before":
            return self.propagated(rows + similar)
        users, items = self.propagated(rows)
        return users, items + similar

    def loss(self, batch: Batch) -> Tensor:
        """Return () MCLN's loss + L_tokens."""
        loss = super().loss(batch)
        if self.tokens is None:
            return loss
        users, items, _ = self.tokens()
        return loss + self.tokens.loss(batch, users, items, self.token_l2)

    def scorer(self) -> Scorer:
        """Return the scores of all items: inner products, and the linear model if it is on."""
        trained, linear = super().scorer(), self.linear
        if linear is None:
            return trained
        last, n = len(self.users) - 1, min(len(self.users), SAMPLE)
        users = torch.linspace(0, last, n, dtype=torch.float64).long()
        sigma_s, sigma_b = (scores(users).std(1).mean() for scores in (trained, linear))
        if not sigma_b:  # none of these users has an item
            return trained
        weight = self.linear_weight * sigma_s / sigma_b
        return lambda users: trained(users) + weight * linear(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of MCLN with those of the tokens beside them.

        Their inner products are the score without the linear model.
        """
        users, items = super().vectors()
        if self.tokens is None:
            return users, items
        token_users, token_items, _ = self.tokens()
        return torch.cat([users, token_users], 1), torch.cat([items, token_items], 1)


def _item_graph(
    interactions: Interactions, content: Mapping[str, Tensor], of: Of, k: int, shrinkage: float
) -> Graph:
    """Return S."""
    lists = []
    if of != "cooccurrence" and content:
        lists.append((1.0, content_neighbours(content, k)))
    if of != "content":
        lists.append((1.0, cooccurrence_neighbours(interactions, k, shrinkage)))
    if not lists:
        raise ValueError("item_graph_of: content: expected features, got none")
    return item_graph(lists)


def _linear(
    interactions: Interactions, l2: float, parts: list[tuple[float, Similarity]]
) -> LinearItems:
    return LinearItems(interactions, l2=l2, content=parts, instead="set linear_weight to 0")


def _similarities(
    interactions: Interactions,
    content: Mapping[str, Tensor],
    kinds: list[Tensor],
    of_content: float,
    of_tokens: float,
) -> list[tuple[float, Similarity]]:
    """Return the contents of the linear model with their weights, of those that are there."""
    parts = []
    if of_content and content:
        parts.append((of_content, joined(content)))
    if of_tokens and kinds:
        pairs, _ = numbered(kinds)
        parts.append((of_tokens, shared_tokens(pairs, interactions.n_items)))
    return parts
