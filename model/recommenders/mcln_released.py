"""MCLN as its authors released it, which is not the network of the paper.

github.com/hfutmars/MCLN at 78279aa, described in docs/paper.md. It shows how the published
program behaves and should not be used: positives and negatives have different output
projections, so the loss can fall whatever the items are.

Shapes: U users, I items, D = dim, T tokens, X = T * D, B triples of a batch, R rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base import Recommender
from model.data import Batch, Interactions
from model.graph import layer_mean, popularity_aware
from model.losses import bpr, squared_norm
from model.parts.counterfactual import Other, attend_batch
from model.ranking import Scorer, inner_product


class ReleasedLayer(nn.Module):
    """A counterfactual layer with an output projection and a ReLU on both sides of the FFN."""

    def __init__(self, width: int) -> None:
        """Create the weights; only the FFN and the norms have biases."""
        super().__init__()
        self.query, self.key, self.value, self.other_query, self.other_key, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(6)
        )
        self.first, self.second = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.zeros_(self.first.bias)
        nn.init.zeros_(self.second.bias)
        self.attention_norm, self.output_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x_RX: Tensor, other_RX: Tensor | None) -> Tensor:
        """Attend over the rows, by softmax(S - S*), or by softmax(S) without `other_RX`.

        Returns:
            (R, X).
        """
        other = None
        if other_RX is not None:
            other = Other(self.other_query(other_RX), self.other_key(other_RX))
        attended_RX = attend_batch(
            self.query(x_RX), self.key(x_RX), self.value(x_RX), other, difference="logits"
        )
        ln_RX = self.attention_norm(self.out(attended_RX) + x_RX)
        ffn_RX = self.second(self.first(ln_RX).relu()).relu()
        return self.output_norm(ffn_RX + ln_RX)


class ReleasedMCLN(Recommender):
    """Score <e_u, e_i^base> + sum_m w_m <e_u, e_m> + <e_u, e_vt>, e_vt by whole batches.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: `{modality: (I, width)}`, at least one, not scaled.
        dim: D.
        layers: L.
        popularity: alpha of Eq. 2-3.
        l2: lambda, on the scale of `model.losses`.
        counterfactual_layers: M.
        modality_weights: w_m, 1 for modalities that are not in it; only at ranking. The
            released code has 0.3 for `visual` on Beauty and 0.2 on Taobao.
        generator: for the Xavier initialisation.

    Deviation: at ranking an item attends to the whole catalogue, not to the 100 candidates of
    one user as in the program, so that full ranking is defined.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        popularity: float,
        l2: float,
        counterfactual_layers: int,
        modality_weights: Mapping[str, float],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layers, self.l2, self.modality_weights = layers, l2, dict(modality_weights)
        self.graph = popularity_aware(interactions, popularity)
        self.users = nn.Parameter(torch.empty(interactions.n_users, dim))
        self.items = nn.Parameter(torch.empty(interactions.n_items, dim))
        self.modalities = list(features)
        for name, feature in features.items():
            self.register_buffer(f"feature_{name}", feature, False)
        self.project = nn.ModuleDict(
            {name: nn.Linear(f.shape[1], dim, bias=False) for name, f in features.items()}
        )
        width = (len(features) + 1) * dim
        self.counterfactual = nn.ModuleList(
            ReleasedLayer(width) for _ in range(counterfactual_layers)
        )
        self.positive_output, self.negative_output = (
            nn.Linear(width, dim, bias=False) for _ in range(2)
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)

    def base(self) -> tuple[Tensor, Tensor]:
        """Return e^base of users (U, D) and items (I, D)."""
        nodes = layer_mean(self.graph, torch.cat([self.users, self.items]), self.layers)
        users, items = nodes.split([len(self.users), len(self.items)])
        return users, items

    def content(self, rows: Tensor) -> dict[str, Tensor]:
        """Return e_m of (R,) items for each modality m, (R, D) each."""
        return {
            name: self.project[name](self.get_buffer(f"feature_{name}")[rows])
            for name in self.modalities
        }

    def positive(self, x_RX: Tensor, other_RX: Tensor | None) -> Tensor:
        """Return e_vt of positives, (R, D); without i* nothing is subtracted."""
        for layer in self.counterfactual:
            x_RX = layer(x_RX, other_RX)
        return F.relu(self.positive_output(x_RX))

    def negative(self, x_RX: Tensor) -> Tensor:
        """Return e_vt of negatives: the same layers without i*, another projection, (R, D)."""
        for layer in self.counterfactual:
            x_RX = layer(x_RX, None)
        return F.relu(self.negative_output(x_RX))

    def loss(self, batch: Batch) -> Tensor:
        """Return () the BPR losses of base, each modality and e_vt, plus the penalty."""
        users, items = self.base()
        user = users[batch.users]
        i, j = self.content(batch.positives), self.content(batch.negatives)
        x_i, x_j, x_other = (
            self._joined(items, rows)
            for rows in (batch.positives, batch.negatives, batch.others)
        )
        pairs = [
            (items[batch.positives], items[batch.negatives]),
            *((i[name], j[name]) for name in self.modalities),
            (self.positive(x_i, x_other), self.negative(x_j)),
        ]
        layer0 = (
            self.users[batch.users], self.items[batch.positives], self.items[batch.negatives],
        )  # fmt: skip
        penalty = squared_norm(*layer0, *(row for pair in pairs[1:] for row in pair))
        losses = [bpr((user * p).sum(1), (user * n).sum(1)) for p, n in pairs]
        return torch.stack(losses).sum() + self.l2 * penalty

    def scorer(self) -> Scorer:
        """Return the scores of all items, each as a positive with i* = the item itself."""
        users, items = self.base()
        rows = torch.arange(len(items), device=items.device)
        x_IX = self._joined(items, rows)
        total = items + self.positive(x_IX, x_IX)
        for name, content in self.content(rows).items():
            total = total + self.modality_weights.get(name, 1.0) * content
        return inner_product(users, total)

    def _joined(self, items_base: Tensor, rows: Tensor) -> Tensor:
        return torch.cat([items_base[rows], *self.content(rows).values()], dim=1)
