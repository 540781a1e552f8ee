"""InvRL: a mask that keeps the content which predicts equally well in all environments.

Du et al., "Invariant Representation Learning for Multimedia Recommendation", MM 2022,
https://doi.org/10.1145/3503161.3548405. "Released code" is https://github.com/nickwzk/InvRL.

Three stages; `prepare` runs the first two, training is the third:

1. A backbone (model/parts/ultragcn.py) is trained on all content.
2. T times, on that backbone: pairs are clustered into environments, then a mask is learned
   under which environments agree (model/parts/invariance.py).
3. A new backbone is trained on masked content. It alone is used for ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from model.base import Preparation
from model.data import Interactions
from model.fit import Training, fit
from model.parts.invariance import Invariance, Stages
from model.parts.ultragcn import LossName, UltraGCN

# Constants of the released code.
GROWTH = 1.05  # of alpha and lambda, after each iteration
EVALUATE_EVERY, PATIENCE = 5, 10  # epochs and measurements of pre-training
PRETRAIN_KAPPA, KAPPA = 1.0, 2.0


class InvRL(UltraGCN):
    """Score <u, [v_i | A (m * f_i) + b]>, UltraGCN's with a mask m that is learned before.

    Args of the constructor:
        interactions: the training pairs.
        features: `{modality: (I, width)}`, fixed, at least one.
        dim: D, of the item's ID and of its projected content; a user has 2 D numbers.
        negatives: n for each pair, from all items.
        loss: `bce` (the paper) or `bpr`, a control; in all stages.
        weights: w1..w4 of the loss, see `Objective`.
        l2: of the whole tables, in each step.
        l2_projection: of A and b in the final model.
        init: `xavier` (MCLN's comparison) or `normal` (the released code).
        stages: the fields of `Stages`, about what comes before the final model.
        generator: for the initialisation.

    Raises:
        ValueError: there is no modality.
    """

    mask: Tensor

    def __init__(
        self,
        interactions: Interactions,
        features: Mapping[str, Tensor],
        *,
        dim: int,
        negatives: int,
        loss: LossName,
        weights: Sequence[float],
        l2: float,
        l2_projection: float,
        init: Literal["xavier", "normal"],
        stages: Mapping[str, Any],
        generator: torch.Generator,
    ) -> None:
        shared: dict[str, Any] = {
            "dim": dim, "negatives": negatives, "loss": loss, "weights": weights, "l2": l2,
            "init": init,
        }  # fmt: skip
        super().__init__(
            interactions,
            features,
            kappa=KAPPA,
            l2_projection=l2_projection,
            generator=generator,
            **shared,
        )
        self.stages = Stages(**stages)
        self.make_backbone = partial(
            UltraGCN,
            interactions,
            features,
            kappa=PRETRAIN_KAPPA,
            l2_projection=self.stages.l2_projection,
            **shared,
        )
        self.register_buffer("mask", torch.ones(self.content.shape[1]))

    def masked_projection(self) -> Tensor:
        """Return (D, W) A diag(m): equal to masking the content, but a smaller product."""
        return self.projection * self.mask

    def prepare(self, preparation: Preparation) -> None:
        """Learn the mask; parameters keep their initial values."""
        if not self.stages.iterations:
            return
        search = Invariance(self._pretrained(preparation), self.stages, preparation)
        mask = torch.zeros_like(self.mask)
        for iteration in range(self.stages.iterations):
            preparation.report(f"InvRL iteration {iteration + 1} of {self.stages.iterations}")
            mask = search.mask(search.environments(mask), GROWTH**iteration)
        self.mask.copy_(mask)

    def _pretrained(self, preparation: Preparation) -> UltraGCN:
        """Return a trained backbone, at its best measurement if there is a measure."""
        backbone = self.make_backbone(generator=preparation.generator)
        training = Training(
            backbone,
            preparation.interactions,
            lr=preparation.lr,
            batch_size=preparation.batch_size,
            generator=preparation.generator,
            device=preparation.device,
        )
        records = fit(
            training,
            epochs=self.stages.pretrain_epochs,
            evaluate_every=EVALUATE_EVERY,
            patience=PATIENCE,
            measure=preparation.measure,
        )
        best = [record for record in records if record.epoch == training.progress.best_epoch]
        backbone.load_state_dict(training.best)
        preparation.report(f"pre-training: {training.progress.epoch} epochs, kept {best[-1]}")
        return backbone
