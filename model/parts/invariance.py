"""InvRL's stages between the backbone and the final model: environments and the mask.

See model/recommenders/invrl.py for the citation. The backbone's ID tables are fixed here; only
projections of content and the mask are learned.

Shapes: U users, I items, P training pairs, E environments, D = dim, W width of content,
B pairs of a batch, K = 1 + n scored items of a pair, the positive first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from model.base import Preparation
from model.parts.sampled import sampled_scores, spread
from model.parts.ultragcn import UltraGCN

GATE_NOISE = 0.01  # standard deviation; released code
SETTLED = 0.01  # share of moved pairs at which clustering stops; released code

Pairs: TypeAlias = tuple[Tensor, Tensor]  # (B,) users and (B, K) items


@dataclass(frozen=True)
class Stages:
    """Limits and coefficients of the stages before the final model."""

    pretrain_epochs: int  # maximum
    iterations: int  # T; 0 skips all stages: the mask is 1
    environments: int  # E
    environment_rounds: int  # maximum, each of training E projections and moving pairs
    environment_epochs: int  # of a projection over its environment's pairs
    mask_epochs: int
    invariance: float  # alpha, of the penalty on differences of gradients
    gate_l2: float  # lambda, of sum mu^2
    l2_projection: float  # of A and b, also in pre-training, and of the L1 term
    lr: float  # of projections and mask; pre-training uses the model's
    batch_size: int  # of projections and mask; pre-training uses the model's


class Invariance:
    """Environments and masks, learned on a fixed backbone."""

    def __init__(self, backbone: UltraGCN, stages: Stages, preparation: Preparation) -> None:
        """Take the backbone's tables as constants."""
        self.stages, self.preparation = stages, preparation
        self.objective, self.content = backbone.objective, backbone.content
        self.negatives = backbone.negatives
        self.dim, self.width = backbone.projection.shape
        self.id_users, self.content_users = (
            half.contiguous() for half in backbone.users.detach().split(self.dim, dim=1)
        )
        self.id_items = backbone.items.detach()

    def environments(self, mask: Tensor) -> Tensor:
        """Cluster the pairs by the projection of content that scores them highest.

        Each environment trains a projection on its pairs, all from the same initial values (as
        in the released code, through its seed). Then each pair moves to the environment whose
        projection gives it the highest score. This repeats until few pairs move.

        Args:
            mask: (W,) the mask so far; it weights the L1 penalty of a projection.

        Returns:
            (P,) int64 environments, on the CPU.
        """
        stages, generator = self.stages, self.preparation.generator
        n_pairs = len(self.preparation.interactions)
        labels = torch.randint(stages.environments, (n_pairs,), generator=generator)
        start = self._draw_projection()
        for count in range(1, stages.environment_rounds + 1):
            scores_EP = torch.stack(
                [self._content_scores(start, rows, mask) for rows in self._groups(labels)]
            )
            best = scores_EP.argmax(0).cpu()
            moved, labels = float((best != labels).float().mean()), best
            sizes = torch.bincount(labels, minlength=stages.environments).tolist()
            self.preparation.report(
                f"environments, round {count}: {moved:.1%} of the pairs moved; now {sizes}"
            )
            if moved <= SETTLED:
                break
        return labels

    def mask(self, labels: Tensor, growth: float) -> Tensor:
        """Learn a gate on content under which the environments' gradients agree.

        Args:
            labels: (P,) int64 environments.
            growth: factor on alpha and lambda.

        Returns:
            (W,) in [0, 1].
        """
        projection = self._draw_projection().requires_grad_()
        gate = torch.zeros_like(projection[0], requires_grad=True)  # mu
        adam = torch.optim.Adam([projection, gate], lr=self.stages.lr, fused=True)
        groups = [rows for rows in self._groups(labels) if len(rows)]
        for _ in range(self.stages.mask_epochs):
            for batches in self._joint(groups):
                loss = self.invariant_loss(projection, gate, batches, growth)
                adam.zero_grad()
                loss.backward()
                adam.step()
        mask = (gate.detach() + 0.5).clamp(0, 1)
        self.preparation.report(
            f"mask: mean {float(mask.mean()):.3f}, from {float(mask.min()):.3f} to "
            f"{float(mask.max()):.3f}, {float((mask < 0.1).float().mean()):.1%} below 0.1"
        )
        return mask

    def invariant_loss(
        self, projection: Tensor, gate: Tensor, batches: list[Pairs], growth: float
    ) -> Tensor:
        """Return () the mean loss of the environments, plus penalties.

        Args:
            projection: (D, W).
            gate: (W,) mu; content is multiplied by clip(mu + 1/2 + noise, 0, 1).
            batches: one from each environment.
            growth: factor on alpha and lambda.
        """
        noise = [self._draw(self.width) * GATE_NOISE for _ in batches]
        results = [
            self.loss_and_gradient(projection, (gate + 0.5 + e).clamp(0, 1), *pairs)
            for e, pairs in zip(noise, batches, strict=True)
        ]
        losses, gradients = (torch.stack(values) for values in zip(*results, strict=True))
        penalty = self.stages.invariance * disagreement(gradients, gate)
        penalty = penalty + self.stages.gate_l2 * gate.square().sum()
        shrink = self.stages.l2_projection * projection.square().sum()
        return losses.mean() + shrink + growth * penalty

    def loss_and_gradient(
        self, projection: Tensor, mask: Tensor, users: Tensor, items: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of some pairs and its derivative in the projection.

        The derivative is in closed form, sum_bk dl/ds_bk user_b (z * f_k)^T, because scores are
        linear in the projection; autograd would have to differentiate twice. The penalty on the
        projection is omitted, as it is the same in all environments.

        Args:
            projection: (D, W).
            mask: (W,) z.
            users: (B,) int64.
            items: (B, K) int64.

        Returns:
            () and (D, W), differentiable in the projection and z.
        """
        content = F.linear(self.content, projection * mask)
        scores = self._scores(content, users, items)
        slopes = self.objective.slopes(scores, users, items)
        spread_ID = spread(slopes, self.content_users[users], items, len(content))
        gradient = (spread_ID.T @ self.content) * mask
        return self.objective(scores, users, items).sum(), gradient

    def _content_scores(self, start: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Return (P,) content scores of all pairs by a projection trained on some of them.

        The ID scores are the same in all environments. Without `rows` it stays at `start`.
        """
        projection = start.clone().requires_grad_()
        bias = torch.zeros_like(start[:, 0], requires_grad=True)
        adam = torch.optim.Adam([projection, bias], lr=self.stages.lr, fused=True)
        for _ in range(self.stages.environment_epochs):
            for users, items in self._batches(rows):
                content = F.linear(self.content, projection, bias)
                scores = self._scores(content, users, items)
                shrink = projection.square().sum() + bias.square().sum()
                shrink = shrink + (projection * mask).abs().mean()
                loss = self.objective(scores, users, items).sum()
                adam.zero_grad()
                (loss + self.stages.l2_projection * shrink).backward()
                adam.step()
        pairs = self.preparation.interactions
        users, items = (t.to(start.device) for t in (pairs.users, pairs.items))
        with torch.no_grad():
            content = F.linear(self.content, projection, bias)
            return sampled_scores(self.content_users[users], content, items[:, None])[:, 0]

    def _scores(self, content: Tensor, users: Tensor, items: Tensor) -> Tensor:
        """Return (B, K) scores of items (B, K) by (B,) users, given (I, D) content."""
        id_scores = sampled_scores(self.id_users[users], self.id_items, items)
        return id_scores + sampled_scores(self.content_users[users], content, items)

    def _groups(self, labels: Tensor) -> list[Tensor]:
        return [(labels == e).nonzero().squeeze(1) for e in range(self.stages.environments)]

    def _batches(self, rows: Tensor) -> Iterator[Pairs]:
        """Yield one pass over the shuffled pairs (R,), negatives drawn from all items."""
        pairs, generator = self.preparation.interactions, self.preparation.generator
        order = rows[torch.randperm(len(rows), generator=generator)]
        for start in range(0, len(order), self.stages.batch_size):
            batch = order[start : start + self.stages.batch_size]
            shape = (len(batch), self.negatives)
            negatives = pairs.draw_items(shape, generator)
            items = torch.cat([pairs.items[batch, None], negatives], dim=1)
            yield pairs.users[batch].to(self.content.device), items.to(self.content.device)

    def _joint(self, groups: list[Tensor]) -> Iterator[list[Pairs]]:
        """Yield a batch of each group at a time, for one epoch of the largest group.

        Smaller groups start again.
        """
        steps = max(-(-len(rows) // self.stages.batch_size) for rows in groups)
        yield from islice(map(list, zip(*map(self._endless, groups), strict=True)), steps)

    def _endless(self, rows: Tensor) -> Iterator[Pairs]:
        while True:
            yield from self._batches(rows)

    def _draw_projection(self) -> Tensor:
        return self._draw(self.dim, self.width) * 0.01

    def _draw(self, *shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=self.preparation.generator)
        return drawn.to(self.content.device)


def disagreement(gradients: Tensor, gate: Tensor) -> Tensor:
    """Return () the squared norm of the gradients' summed squared deviations, gated.

    Args:
        gradients: (E, D, W) of each environment.
        gate: (W,) mu, before clipping, as in the released code.
    """
    deviation = (gradients - gradients.mean(0)).square().sum(0)
    return ((gate + 0.5) * deviation).square().sum()
