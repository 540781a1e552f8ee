"""The network of MCLN: the graph of IDs, the projected features, the counterfactual layers.

Li et al., "Multimodal Counterfactual Learning Network for Multimedia-based Recommendation",
SIGIR 2023, https://doi.org/10.1145/3539618.3591739.  Equation numbers are the paper's.

What the settings mean is in model/recommenders/mcln.py. `mcln` is this network as it is,
`mcln_plus` adds graphs to it.

Shapes: U users, I items, D = dim, T tokens (one per modality, plus the ID embedding),
X = T * D (d_x), B triples of a batch, R rows (items), C draws of i*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from model.base import Recommender, without_new
from model.data import Batch, Interactions
from model.graph import layer_mean, popularity_aware
from model.losses import bpr, squared_norm
from model.parts.content import FeatureNorm, scale
from model.parts.counterfactual import Attention, CounterfactualLayer, Difference, Other
from model.parts.dropout import drop
from model.ranking import Scorer, inner_product
from model.sampler import popular, uninteracted

Others = Literal["random", "popular", "hard"]
Inference = Literal["self", "permutation", "mean"]

DRAWS = 8  # of i*: candidates of `others: hard`, terms of `inference: mean`


class MCLNStreams(Recommender):
    """The score of MCLN, Eq. 22, and its loss, Eq. 23-25; see model/recommenders/mcln.py.

    The embedding of a new item is zero: its score is that of its content.
    """

    permutation: Tensor
    new_items: Tensor | None
    scores_new_items = True  # with `intra` or `counterfactual`, and features

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        popularity: float,
        l2: float,
        feature_norm: FeatureNorm,
        intra: bool,
        counterfactual: bool,
        identity: bool,
        counterfactual_layers: int,
        attention: Attention,
        context: int | None,
        difference: Difference,
        negatives: Literal["counterfactual", "factual"],
        others: Others,
        inference: Inference,
        dropout: float,
        gate: float | None,
        modality_weight: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers, self.l2, self.modality_weight = layers, l2, modality_weight
        self.intra, self.identity = intra and bool(features), identity
        self.others, self.inference, self.negatives = others, inference, negatives
        self.graph = popularity_aware(interactions, popularity)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self._add_content(features, feature_norm, dim)
        tokens = len(features) + identity
        self.dropout, self.generator = dropout, generator
        layer = partial(
            CounterfactualLayer, tokens, dim, attention, difference, context=context
        )
        self._add_layers(layer, counterfactual_layers if counterfactual and tokens else 0, gate)
        self._initialise(interactions, generator)

    def _add_layers(
        self, layer: partial[CounterfactualLayer], depth: int, gate: float | None
    ) -> None:
        self.counterfactual = nn.ModuleList(
            layer(dropout=self.dropout, generator=self.generator) for _ in range(depth)
        )
        self.scores_new_items = bool(self.modalities) and (self.intra or depth > 0)
        self.output = self.gate = None
        if depth:
            # Deviation: Eq. 19 adds a d_x vector to d vectors; the released code projects.
            dim = self.items.shape[1]
            tokens = len(self.modalities) + self.identity
            self.output = nn.Linear(tokens * dim, dim, bias=False)
            self.gate = None if gate is None else nn.Parameter(torch.tensor(gate))

    def _initialise(self, interactions: Interactions, generator: torch.Generator) -> None:
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)
        order = torch.randperm(len(self.items), generator=generator)
        self.register_buffer("permutation", interactions.known_for(order))
        self.register_buffer("new_items", interactions.new_items, persistent=False)

    def _add_content(self, features: Mapping[str, Tensor], norm: FeatureNorm, dim: int) -> None:
        self.modalities = list(features)
        for name, feature in features.items():
            self.register_buffer(f"feature_{name}", scale(feature, norm), False)
        self.project = nn.ModuleDict(  # W_v, W_t
            {name: nn.Linear(f.shape[1], dim, bias=False) for name, f in features.items()}
        )

    def base(self) -> tuple[Tensor, Tensor]:
        """Return e^base of users (U, D) and items (I, D), Eq. 2-5."""
        return self.propagated(self.item_rows())

    def item_rows(self) -> Tensor:
        """Return the embeddings of the items (I, D), zero for new ones."""
        return without_new(self.items, self.new_items)

    def propagated(self, items_ID: Tensor) -> tuple[Tensor, Tensor]:
        """Return Eq. 2-5 of the users' embeddings and of these of the items."""
        nodes = layer_mean(self.graph, torch.cat([self.users, items_ID]), self.layers)
        users, items = nodes.split([len(self.users), len(self.items)])
        return users, items

    def content(self, rows: Tensor) -> list[Tensor]:
        """Return e_v, e_t, ... of (R,) items: one (R, D) for each modality."""
        return [
            self.project[name](self.get_buffer(f"feature_{name}")[rows])
            for name in self.modalities
        ]

    def uninteracted(self, items_base: Tensor, others: Tensor) -> list[Other | None]:
        """Return Eq. 11 of (R,) items i* for each counterfactual layer.

        It does not depend on i: X_i* is the same in every layer, and only X_i is updated
        (Eq. 18).
        """
        if not self.counterfactual:
            return []
        other_RX = self._joined(items_base, others, self.content(others))
        return [layer.others(other_RX) for layer in self.counterfactual]  # type: ignore[operator]

    def parts(
        self, items_base: Tensor, rows: Tensor, others: list[Other | None]
    ) -> list[Tensor]:
        """Return the summands of Eq. 19 for (R,) items, given their i*: (R, D) each."""
        content = self.content(rows)
        parts = content if self.intra else []
        if self.output is None:
            return parts
        x_RX = self._joined(items_base, rows, content)  # Eq. 6
        if self.training:
            x_RX = drop(x_RX, self.dropout, self.generator)
        for layer, other in zip(self.counterfactual, others, strict=True):  # Eq. 18
            x_RX = layer(x_RX, other)
        output = self.output(x_RX)
        return [*parts, output if self.gate is None else self.gate * output]

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield the batches of one epoch, with i* drawn according to `others`."""
        for batch in super().batches(interactions, batch_size, generator):
            if self.others == "popular":
                batch = replace(batch, others=popular(interactions, batch.users, generator))
            elif self.others == "hard":
                users = batch.users.repeat_interleave(DRAWS)
                drawn = uninteracted(interactions, users, generator).view(-1, DRAWS)
                batch = replace(batch, others=drawn)
            yield batch

    def loss(self, batch: Batch) -> Tensor:
        """Return () L_base + L_m, Eq. 23-25."""
        users, items = self.base()
        user = users[batch.users]
        loss = bpr(
            (user * items[batch.positives]).sum(1), (user * items[batch.negatives]).sum(1)
        ) + self.l2 * squared_norm(  # Eq. 23; H_1 is layer 0
            self.users[batch.users], self.items[batch.positives], self.items[batch.negatives]
        )
        if not self.intra and not self.counterfactual:
            return loss
        chosen = batch.others if batch.others.dim() == 1 else _hardest(user, items, batch)
        others = self.uninteracted(items, chosen)
        positive = self.parts(items, batch.positives, others)
        if self.negatives == "factual":
            others = [None] * len(others)
        negative = self.parts(items, batch.negatives, others)
        return loss + bpr(  # Eq. 24
            (user * _sum(positive)).sum(1), (user * _sum(negative)).sum(1)
        ) + self.l2 * squared_norm(*positive, *negative)  # fmt: skip

    def scorer(self) -> Scorer:
        """Return the scores of Eq. 22 for all items, as one matrix product.

        With `attention: batch` an item's context is the whole catalogue or every n-th item of
        it, so that its score does not depend on the other users of the call.
        """
        return inner_product(*self.vectors())

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the users (U, D) and items (I, D) whose inner products are the scores."""
        users, items = self.base()
        content = self.all_content(items)
        return users, items if content is None else items + content

    def all_content(self, items: Tensor) -> Tensor | None:
        """Return lambda_m (e_v + e_t + e_vt) of all items (I, D), Eq. 19 and 22; None without.

        `items` is e^base, which the counterfactual layers read with `identity`.
        """
        if not self.intra and not self.counterfactual:
            return None
        rows = torch.arange(len(items), device=items.device)
        shifts = range(DRAWS if self.inference == "mean" and self.counterfactual else 1)
        drawn = rows if self.inference == "self" else self.permutation
        sums = [
            _sum(self.parts(items, rows, self.uninteracted(items, drawn.roll(shift))))
            for shift in shifts
        ]
        return self.modality_weight * torch.stack(sums).mean(0)

    def _joined(self, items_base: Tensor, rows: Tensor, content: list[Tensor]) -> Tensor:
        return torch.cat([items_base[rows], *content] if self.identity else content, dim=1)


def _hardest(user_BD: Tensor, items: Tensor, batch: Batch) -> Tensor:
    """Return for each user the one of its (B, C) draws with Base's highest score, (B,)."""
    with torch.no_grad():
        scores_BC = (items[batch.others] @ user_BD[:, :, None]).squeeze(2)
        return batch.others.gather(1, scores_BC.argmax(1, keepdim=True)).squeeze(1)


def _sum(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(0)
