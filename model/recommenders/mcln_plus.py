"""MCLN with a graph of tokens and a graph of items, each of which can be switched off.

    s_ui = <e_u, e_i> + lambda_m <e_u, e_v + e_t + e_vt> + <t_u, t_i>

The first two terms are MCLN's, Eq. 22 of Li et al., SIGIR 2023 (see mcln.py), with their two
BPR terms.

Token graph: nodes are users, items and tokens (words of a title, tags or clusters of a
picture), edges the training pairs and the pairs of items and tokens. With P its matrix after
MCLN's Eq. 2-3 and T learned rows of all nodes,

    [t_u, t_i, .] = P^L T,    L_tokens = BPR(<t_u, t_i>, <t_u, t_j>) + lambda_t ||rows of T||^2

over the batch's rows of users and items. It is the entity stream of MHGCF (Liu et al.,
"Multimodal Hierarchical Graph Collaborative Filtering for Multimedia-based Recommendation",
IEEE TCSS 2022) without the words of reviews, which may be of held-out interactions.

Item graph: S joins each item to its nearest by content and by shrunk co-occurrence (see
model/parts/item_graph.py) and is fixed. With E the embeddings of the items, the rows that enter
MCLN's Eq. 4 are E + S E (`before`), or S E is added to its result (`after`, as in FREEDOM: Zhou
and Shen, ACM MM 2023, https://arxiv.org/abs/2211.06924).

With both off it is `mcln`, to the last bit. Neither content nor tokens of an item need its
interactions: `streams` keeps the terms of the score apart.

Shapes: U users, I items, V tokens of all kinds, D = dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from model.data import Batch, Interactions
from model.graph import Graph, with_tokens
from model.losses import bpr, squared_norm
from model.parts.item_graph import content_neighbours, cooccurrence_neighbours, item_graph
from model.parts.mcln_streams import MCLNStreams

ItemGraph = Literal["none", "before", "after"]
Of = Literal["both", "content", "cooccurrence"]


class MCLNPlus(MCLNStreams):
    """MCLN, a token graph and an item graph.

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
        generator: as for `mcln`, then for the Xavier initialisation of T.
        streams: the settings of `mcln`.

    Raises:
        ValueError: `item_graph_of: content` without features.
    """

    token_users: nn.Parameter
    token_items: nn.Parameter
    tokens: nn.Parameter

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        token_layers: int,
        token_l2: float | None,
        item_graph: ItemGraph,
        item_graph_of: Of,
        item_neighbours: int,
        shrinkage: float,
        generator: torch.Generator,
        **streams: Any,
    ) -> None:
        content = {name: f for name, f in features.items() if f.is_floating_point()}
        kinds = [f for f in features.values() if not f.is_floating_point()]
        super().__init__(interactions, content, generator=generator, **streams)
        self.token_layers, self.item_graph = token_layers, item_graph
        self.token_l2 = self.l2 if token_l2 is None else token_l2
        self.neighbours: Graph | None = None
        self.token_graph: Graph | None = None
        if item_graph != "none":
            self.neighbours = _neighbours(
                interactions, content, item_graph_of, item_neighbours, shrinkage
            )
        if kinds:
            self._add_tokens(interactions, kinds, streams["popularity"])

    def _add_tokens(
        self, interactions: Interactions, kinds: list[Tensor], popularity: float
    ) -> None:
        tokens, n_tokens = numbered(kinds)
        self.token_graph = with_tokens(interactions, tokens, n_tokens, popularity)
        dim = self.items.shape[1]
        for name, size in (
            ("token_users", interactions.n_users),
            ("token_items", interactions.n_items),
            ("tokens", n_tokens),
        ):
            table = nn.Parameter(torch.empty(size, dim))
            nn.init.xavier_uniform_(table, generator=self.generator)
            self.register_parameter(name, table)

    def base(self) -> tuple[Tensor, Tensor]:
        """Return e^base of users (U, D) and items (I, D), with the item graph."""
        if self.neighbours is None:
            return super().base()
        similar = self.neighbours(self.items)
        if self.item_graph == "before":
            return self.propagated(self.items + similar)
        users, items = self.propagated(self.items)
        return users, items + similar

    def token_rows(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return t of users (U, D) and items (I, D), of the token graph."""
        nodes = torch.cat([self.token_users, self.token_items, self.tokens])
        for _ in range(self.token_layers):
            nodes = graph(nodes)
        users, items, _ = nodes.split(
            [len(self.token_users), len(self.token_items), len(self.tokens)]
        )
        return users, items

    def loss(self, batch: Batch) -> Tensor:
        """Return () MCLN's loss + L_tokens."""
        loss = super().loss(batch)
        if self.token_graph is None:
            return loss
        users, items = self.token_rows(self.token_graph)
        user = users[batch.users]
        return loss + bpr(
            (user * items[batch.positives]).sum(1), (user * items[batch.negatives]).sum(1)
        ) + self.token_l2 * squared_norm(
            self.token_users[batch.users],
            self.token_items[batch.positives],
            self.token_items[batch.negatives],
        )  # fmt: skip

    def streams(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return users (U, D) and items (I, D) of each term of the score."""
        users, items = self.base()
        terms = {"ids": (users, items)}
        if (content := self.all_content(items)) is not None:
            terms["content"] = (users, content)
        if self.token_graph is not None:
            terms["tokens"] = self.token_rows(self.token_graph)
        return terms

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return users and items whose inner products are the scores: all streams in a row."""
        vectors = super().vectors()
        if self.token_graph is None:
            return vectors
        users, items = (
            torch.cat(rows, 1) for rows in zip(vectors, self.token_rows(self.token_graph), strict=True)
        )
        return users, items


def numbered(kinds: list[Tensor]) -> tuple[Tensor, int]:
    """Return all kinds as one list of pairs (E, 2), each with tokens of its own, and V."""
    shifted, n_tokens = [], 0
    for pairs in kinds:
        shifted.append(pairs + torch.tensor([0, n_tokens]))
        n_tokens += int(pairs[:, 1].max()) + 1 if len(pairs) else 0
    return torch.cat(shifted), n_tokens


def _neighbours(
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
