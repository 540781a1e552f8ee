"""Layers over the user-item graph for each modality, shared by MMGCN and MGAT.

The modalities have the same edges and different vectors on the nodes. Users have no content; a
learned table replaces it.

Shapes: U users, I items, N = U + I nodes (users first), M modalities, W width of a modality's
vectors, D dimensions, L layers, R rows (requested nodes), B triples of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.data import Batch, Interactions
from model.parts.edges import Edges


class ModalityNodes(nn.Module):
    """Layer 0 of a modality: a table for users, then the items' content, in unit rows.

    Args of the constructor:
        feature: (I, width), fixed; zero rows for items without the modality.
        n_users: U.
        project: from (I, width) to (I, W).
        width: W.
    """

    feature: Tensor
    present: Tensor

    def __init__(self, feature: Tensor, n_users: int, project: nn.Module, width: int) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.empty(n_users, width))
        self.project = project
        present = feature.any(1, keepdim=True).to(feature.dtype)
        self.register_buffer("feature", feature, persistent=False)
        self.register_buffer("present", present, persistent=False)

    def forward(self) -> Tensor:
        """Return (N, W)."""
        # Without `present` an item without content would equal the bias, which starts at 0,
        # where the gradient of a row's direction is infinite.
        items = self.present * self.project(self.feature)
        return F.normalize(torch.cat([self.users, items]))


class ModalityGraphs(nn.Module):
    """A stack of graph layers for each modality, and one table of IDs that all of them use.

    Args of the constructor:
        interactions: the training pairs, which make the graph.
        features: `{modality: (I, width)}`, at least one.
        dim: D.
        layers: L >= 1.
        content_dim: maximum of a modality's W; a narrower feature keeps its width.
        project: returns the module from a feature's width to W.
        layer: returns a layer, given the width of its input: a module from nodes (N, width),
            edges, IDs (N, D) and the requested rows to (R, D).
        generator: for the Xavier initialisation, normal as in MMGCN's code; biases are 0.

    Raises:
        ValueError: there is no modality.
    """

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        layers: int,
        content_dim: int,
        project: Callable[[int, int], nn.Module],
        layer: Callable[[int], nn.Module],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if not features:
            raise ValueError("expected the features of at least one modality, got none")
        self.n_users = interactions.n_users
        self.edges = Edges(interactions)
        self.identity = nn.Parameter(torch.empty(len(self.edges.degree), dim))
        self.nodes, self.layers = nn.ModuleDict(), nn.ModuleDict()
        for name, feature in features.items():
            width = min(content_dim, feature.shape[1])
            module = project(feature.shape[1], width)
            self.nodes[name] = ModalityNodes(feature, self.n_users, module, width)
            widths = [width] + [dim] * (layers - 1)
            self.layers[name] = nn.ModuleList(layer(width) for width in widths)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter, generator=generator)
            else:
                nn.init.zeros_(parameter)

    def forward(self, rows: Tensor) -> list[list[Tensor]]:
        """Return the layers of each modality at (R,) rows: M lists of L tensors (R, D)."""
        return [self._layers(name, rows) for name in self.nodes]

    def rows_of(self, batch: Batch) -> Tensor:
        """Return (3B,) the nodes of a batch: its users, its positives, its negatives."""
        return torch.cat(
            [batch.users, self.n_users + batch.positives, self.n_users + batch.negatives]
        )

    def penalised(self, batch: Batch) -> list[Tensor]:
        """Return the rows under the L2 penalty: IDs of the batch, and its users' tables."""
        identity = self.identity[self.rows_of(batch)].chunk(3)
        return [*identity, *(table[batch.users] for table in self.user_tables)]

    @property
    def user_tables(self) -> list[nn.Parameter]:
        """The (U, W) tables in place of users' content, one for each modality."""
        return [nodes.users for nodes in self.nodes.values()]  # type: ignore[misc]

    def _layers(self, name: str, rows: Tensor) -> list[Tensor]:
        nodes, layers = self.nodes[name](), list(self.layers[name].children())
        outputs = []
        for layer in layers[:-1]:
            nodes = layer(nodes, self.edges, self.identity, slice(None))
            outputs.append(nodes[rows])
        # No node receives from the last layer, so only the requested rows are computed.
        return [*outputs, layers[-1](nodes, self.edges, self.identity, rows)]
