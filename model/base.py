"""The base class of all models: what training and evaluation call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from model.data import Batch, Interactions
from model.ranking import Scorer
from model.sampler import BATCHES, Sampling


class Measured(NamedTuple):
    """The metrics of a model on held-out items."""

    hr: float  # HR@10 and NDCG@10 among the candidates
    ndcg: float
    value: float  # of the metric by which the epoch is chosen


# From a model in evaluation mode.
Measure: TypeAlias = Callable[["Recommender"], Measured]


@dataclass(frozen=True)
class Preparation:
    """What `Recommender.prepare` may use."""

    interactions: Interactions
    batch_size: int
    lr: float
    generator: torch.Generator  # on the CPU
    device: torch.device | str
    measure: Measure | None  # None without held-out items
    report: Callable[[str], None]  # logs a line after a long step


class Recommender(nn.Module):
    """A model that scores all items for a user.

    A subclass implements:

    - `__init__(self, interactions, features, *, <settings>, generator)`: the training pairs,
      the features `{modality: (I, width) float32}`, and the settings of its section in
      params.yaml. All random numbers come from `generator`, so that a seed fixes the result.
      A model that reads tokens finds them among the features: `{kind: (E, 2) int64}`, pairs of
      item and token.
    - `loss(batch)`, unless it has no parameters.
    - `scorer()`.

    It may override `batches`, `prepare` and `weight_decay`. The state dict is the checkpoint:
    buffers that are computed from the training pairs and features, such as graphs, should not
    be persistent.
    """

    # Whether items without a training pair are scored from content, without rows that training
    # never changed: a model that can reads `Interactions.new_items`. See `without_new`.
    scores_new_items: bool = False
    weight_decay: float = 0.0  # Adam's L2 penalty on all parameters
    sampling: Sampling = "users"  # how the default `batches` are drawn; set by `Training`

    def prepare(self, preparation: Preparation) -> None:
        """Do what has to be done before the first epoch; nothing by default.

        Not called when training is resumed: the results must be in the state dict.
        """

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield the batches of one epoch; by default one negative each, drawn by `sampling`."""
        return BATCHES[self.sampling](interactions, batch_size, generator)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, a scalar."""
        raise NotImplementedError

    def scorer(self) -> Scorer:
        """Return a function from (B,) users to (B, I) scores; called in evaluation mode."""
        raise NotImplementedError

    @property
    def learns(self) -> bool:
        """Whether the model has parameters to train."""
        return any(True for _ in self.parameters())


def without_new(rows: Tensor, new_items: Tensor | None) -> Tensor:
    """Return rows of IDs with zeros for new items.

    Args:
        rows: (I,) or (I, D) parameters of the items.
        new_items: (I,) bool of `Interactions`, on the rows' device; None for no change.
    """
    if new_items is None:
        return rows
    return rows.masked_fill(new_items.view(-1, *[1] * (rows.dim() - 1)), 0.0)
