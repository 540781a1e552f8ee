"""What training and evaluation ask of a model, and the defaults of the BPR family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from model.data import Batch, Interactions
from model.ranking import Scorer
from model.sampler import user_uniform

# From a model in evaluation mode to (HR@10, NDCG@10) on held-out candidates.
Measure: TypeAlias = Callable[["Recommender"], tuple[float, float]]


@dataclass(frozen=True)
class Preparation:
    """What `Recommender.prepare` may learn from and with."""

    interactions: Interactions
    batch_size: int
    lr: float
    generator: torch.Generator  # on the CPU
    device: torch.device | str
    measure: Measure | None  # None when there is nothing held out to choose by
    report: Callable[[str], None]  # takes one line about a step that took long


class Recommender(nn.Module):
    """A model that ranks all items for a user.

    A subclass writes `loss` and `scorer`. Its constructor takes the training pairs, features
    `{modality: (I, width)}` and keyword settings, among them a `generator`: everything random
    is drawn from that, so that a seed fixes the result.
    """

    weight_decay: float = 0.0  # Adam's coupled decay, on all parameters

    def prepare(self, preparation: Preparation) -> None:
        """Do what comes before the first epoch; most models have nothing to do.

        Not called when a training is resumed: what it makes must be in the state dict.
        """

    def batches(
        self, interactions: Interactions, batch_size: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield the batches of one epoch: users uniformly, one negative each."""
        return user_uniform(interactions, batch_size, generator)

    def loss(self, batch: Batch) -> Tensor:
        """Return () the loss of a batch."""
        raise NotImplementedError

    def scorer(self) -> Scorer:
        """Return a function from (B,) users to (B, I) scores; call it in evaluation mode."""
        raise NotImplementedError

    @property
    def learns(self) -> bool:
        """Whether there is anything to train."""
        return any(True for _ in self.parameters())
