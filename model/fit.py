"""The training loop of all models: Adam, early stopping, exact resumption."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.base import Measure, Measured, Recommender
from model.data import Interactions
from model.sampler import Sampling


class LossNotFinite(ArithmeticError):  # noqa: N818 (says what happened)
    """A loss became NaN or infinite."""

    def __init__(self, epoch: int, step: int, loss: float) -> None:
        """Keep the place for the caller's message."""
        super().__init__(f"loss is {loss} at epoch {epoch}, step {step}")
        self.epoch, self.step, self.loss = epoch, step, loss


@dataclass(frozen=True)
class Record:
    """One measurement during training."""

    epoch: int  # passes over the training pairs, from 1
    loss: float | None  # mean over the steps since the last record; None without training
    hr: float | None  # of `Measured`; None without a measure
    ndcg: float | None
    value: float | None


@dataclass
class Progress:
    """How far training has come: what resuming needs besides tensors."""

    epoch: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    records: list[Record] = field(default_factory=list)
    seconds: float = 0.0  # of training and measuring, over all starts


class Training:
    """The state of training: model, optimiser, random generator, best parameters so far."""

    def __init__(
        self,
        model: Recommender,
        interactions: Interactions,
        *,
        lr: float,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        sampling: Sampling = "users",
    ) -> None:
        """Set up Adam. Its dense form also updates rows that are not in a batch.

        Args:
            model: a `Recommender`; moved to `device`.
            interactions: the training pairs.
            lr: Adam's step size.
            batch_size: triples per step.
            generator: on the CPU, so that draws do not depend on the device.
            device: where the model is trained.
            sampling: how the batches are drawn, unless the model has its own `batches`.
        """
        model.sampling = sampling
        self.model, self.interactions = model.to(device), interactions
        self.batch_size, self.generator, self.device = batch_size, generator, device
        # Adam refuses an empty list, as of a model without parameters.
        parameters = list(model.parameters()) or [nn.Parameter(torch.zeros(1))]
        self.optimiser = torch.optim.Adam(
            parameters, lr=lr, weight_decay=model.weight_decay, fused=True
        )
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}

    def run_epoch(self) -> float:
        """Take the steps of one epoch and return their mean loss.

        Raises:
            LossNotFinite: a loss was NaN or infinite; raised at the end of the epoch.
        """
        self.model.train()
        losses = []
        for batch in self.model.batches(self.interactions, self.batch_size, self.generator):
            loss = self.model.loss(batch.to(self.device))
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            losses.append(loss.detach())
        self.progress.epoch += 1
        values = torch.stack(losses).double().cpu()  # once an epoch, as it waits for the GPU
        if not values.isfinite().all():
            step = int((~values.isfinite()).nonzero()[0])
            raise LossNotFinite(self.progress.epoch, step, float(values[step]))
        return float(values.mean())

    def keep(self) -> None:
        """Keep a copy of the current parameters as the best."""
        self.best = {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that `restore` needs, by name, for safetensors."""
        state = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        state |= {f"best.{k}": v for k, v in self.best.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            state |= {f"adam.{index}.{k}": v for k, v in moments.items()}
        state["generator"] = self.generator.get_state()
        return {k: v.detach().cpu().contiguous() for k, v in state.items()}

    def restore(self, tensors: dict[str, Tensor], progress: Progress) -> None:
        """Restore exactly the state that `tensors` returned."""
        self.model.load_state_dict(_below(tensors, "model."))
        self.best = _below(tensors, "best.")
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, "adam.").items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = value
        state = self.optimiser.state_dict()
        self.optimiser.load_state_dict(state | {"state": moments})
        self.generator.set_state(tensors["generator"])
        self.progress = progress


def fit(
    training: Training,
    *,
    epochs: int,
    evaluate_every: int,
    patience: int,
    measure: Measure | None,
) -> Iterator[Record]:
    """Train for `epochs`, or until `patience` measurements in a row bring no improvement.

    Args:
        training: changed in place; afterwards `training.best` has the best parameters (without
            a measure, the last ones).
        epochs: maximum.
        evaluate_every: epochs between records.
        patience: records without a better value before training stops.
        measure: whose value chooses the best epoch; or None.

    Yields:
        A record every `evaluate_every` epochs and after the last one; the state can be saved
        then. Restored training continues after its last record. A model without parameters has
        one record, of epoch 0.

    Raises:
        LossNotFinite: a loss became NaN or infinite.
    """
    progress = training.progress
    if not training.model.learns:
        training.keep()
        progress.records = [_record(0, None, training.model, measure)]
        yield from progress.records
        return
    losses: list[float] = []
    start = time.perf_counter()
    while progress.epoch < epochs and not _exhausted(progress, evaluate_every * patience):
        losses.append(training.run_epoch())
        if progress.epoch % evaluate_every and progress.epoch < epochs:
            continue
        mean = sum(losses) / len(losses)
        record = _record(progress.epoch, mean, training.model, measure)
        progress.records.append(record)
        losses.clear()
        if record.value is None or record.value > progress.best:
            progress.best, progress.best_epoch = record.value or 0.0, progress.epoch
            training.keep()
        now = time.perf_counter()
        progress.seconds, start = progress.seconds + now - start, now
        yield record


def _exhausted(progress: Progress, epochs: int) -> bool:
    return progress.best_epoch > 0 and progress.epoch - progress.best_epoch >= epochs


def _record(
    epoch: int, loss: float | None, model: Recommender, measure: Measure | None
) -> Record:
    if measure is None:
        return Record(epoch, loss, None, None, None)
    model.eval()
    with torch.inference_mode():
        measured: Measured = measure(model)
    return Record(epoch, loss, *measured)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
