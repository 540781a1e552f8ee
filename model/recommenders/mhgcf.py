"""MHGCF: multimodal hierarchical graph collaborative filtering.

Liu et al., "Multimodal Hierarchical Graph Collaborative Filtering for Multimedia-Based
Recommendation", IEEE TCSS 2022, https://doi.org/10.1109/TCSS.2022.3226862. After the authors'
program (github.com/hfutmars/MHGCF at bb6053e), since the paper is not open; docs/paper.md lists
what differs.

    s_ui = <e_u, e_i> + <t_u, t_i> + sum_m lambda_m <u_m, W_m f_i>

Three kinds of streams, each with user rows of its own and propagated by itself, so that noise
of the content does not flow into the collaborative signal. The last layer counts:

- collaborative: the IDs, L layers of the user-item graph;
- semantic: users, items and tokens ("entities"), over the graph of model/parts/token_stream.py;
- content: for each modality m a user table and the projected features, by default one layer of
  the user-item graph.

Each stream has a BPR term. Tokens have one more: an item and one of its tokens against an item
and another token.

Shapes: U users, I items, D = dim, B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import last_layer, popularity_aware
from model.losses import bpr, squared_norm
from model.parts.content import FeatureNorm, scale
from model.parts.token_stream import TokenStream, apart, numbered
from model.ranking import Scorer, inner_product
from model.sampler import user_uniform


class MHGCF(Recommender):
    """Separate streams of IDs, tokens and each modality.

    Args of the constructor:
        interactions: the training pairs, which make the graphs.
        features: `{modality: (I, width)}`, fixed, and `{kind: (E, 2) int64}`, pairs of item and
            token; either may be missing, and so is its stream.
        dim: D.
        layers: of the collaborative stream.
        content_layers: of the content streams.
        token_layers: of the semantic stream.
        popularity: alpha of all graphs, as in MCLN Eq. 2-3.
        l2: on the batch's rows of the collaborative stream, on the scale of `model.losses`.
        l2_others: on those of the other streams.
        feature_norm: `none` (released) or another of `model.parts.content.scale`.
        token_loss: the weight of the BPR term of items and tokens.
        modality_weights: lambda_m, in ranking only; 1 for those that are not named.
        generator: for the Xavier initialisation, and the items and tokens of every step.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        content_layers: int,
        token_layers: int,
        popularity: float,
        l2: float,
        l2_others: float,
        feature_norm: FeatureNorm,
        token_loss: float,
        modality_weights: Mapping[str, float],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        content, kinds = apart(features)
        self.layers, self.content_layers, self.generator = layers, content_layers, generator
        self.l2, self.l2_others, self.token_loss = l2, l2_others, token_loss
        self.modality_weights = modality_weights
        self.graph = popularity_aware(interactions, popularity)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.content_users = nn.ParameterDict(
            {name: torch.empty(interactions.n_users, dim) for name in content}
        )
        self.project = nn.ModuleDict(
            {name: nn.Linear(f.shape[1], dim, bias=False) for name, f in content.items()}
        )
        for name, feature in content.items():
            self.register_buffer(f"feature_{name}", scale(feature, feature_norm), False)
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter, generator=generator)
        self.tokens: TokenStream | None = None
        if kinds:
            self._add_tokens(interactions, kinds, token_layers, popularity)

    def _add_tokens(
        self, interactions: Interactions, kinds: list[Tensor], layers: int, popularity: float
    ) -> None:
        self.tokens = TokenStream(
            interactions,
            kinds,
            dim=self.items.shape[1],
            layers=layers,
            popularity=popularity,
            generator=self.generator,
        )
        pairs, n_tokens = numbered(kinds)
        sizes = interactions.n_items, n_tokens
        # Items take the place of users, tokens that of items.
        self.pairs = Interactions(pairs[:, 0], pairs[:, 1], n_users=sizes[0], n_items=sizes[1])

    def collaborative(self) -> tuple[Tensor, Tensor]:
        """Return e of users (U, D) and items (I, D)."""
        return self._propagated(self.users, self.items, self.layers)

    def content(self, name: str) -> tuple[Tensor, Tensor]:
        """Return layer 0 of a modality: its users (U, D) and the projected items (I, D)."""
        return self.content_users[name], self.project[name](self.get_buffer(f"feature_{name}"))

    def loss(self, batch: Batch) -> Tensor:
        """Return () the BPR term and the penalty of every stream."""
        loss = _bpr(batch, *self.collaborative()) + self.l2 * _penalty(
            batch, self.users, self.items
        )
        for name in self.project:
            tables = self.content(name)
            rows = self._propagated(*tables, self.content_layers)
            loss = loss + _bpr(batch, *rows) + self.l2_others * _penalty(batch, *tables)
        if self.tokens is None:
            return loss
        users, items, tokens = self.tokens()
        loss = loss + self.tokens.loss(batch, users, items, self.l2_others)
        return loss + self.token_loss * self._of_tokens(items, tokens, len(batch.users))

    def _of_tokens(self, items: Tensor, tokens: Tensor, size: int) -> Tensor:
        """Return () BPR of `size` items, a token of each, and a token that it does not have."""
        pairs = next(iter(user_uniform(self.pairs, size, self.generator))).to(items.device)
        return _bpr(pairs, items, tokens)

    def _propagated(self, users: Tensor, items: Tensor, layers: int) -> tuple[Tensor, Tensor]:
        nodes = last_layer(self.graph, torch.cat([users, items]), layers)
        users, items = nodes.split([len(users), len(items)])
        return users, items

    def scorer(self) -> Scorer:
        """Return the scores as one matrix product, of all streams side by side."""
        streams = [self.collaborative()]
        for name in self.project:
            users, items = self._propagated(*self.content(name), self.content_layers)
            streams.append((users, self.modality_weights.get(name, 1.0) * items))
        if self.tokens is not None:
            streams.append(self.tokens()[:2])
        users, items = (torch.cat(rows, 1) for rows in zip(*streams, strict=True))
        return inner_product(users, items)


def _bpr(batch: Batch, users: Tensor, items: Tensor) -> Tensor:
    user = users[batch.users]
    return bpr((user * items[batch.positives]).sum(1), (user * items[batch.negatives]).sum(1))


def _penalty(batch: Batch, users: Tensor, items: Tensor) -> Tensor:
    return squared_norm(users[batch.users], items[batch.positives], items[batch.negatives])
