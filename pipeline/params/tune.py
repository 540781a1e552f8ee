"""The trainings of the section `tune`: successive halving over all combinations of its ranges.

    20 combinations, 3 rounds, train.epochs 400, every 5:
    20 trainings to epoch 45, the best 7 on to epoch 135, the best 3 of them on to epoch 400

A round has a third of the trainings of the one before, each with three times its epochs. A
training goes on from where it was, so that a round costs only what it adds. Jamieson and
Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
2016; a third rather than a half as in Hyperband (Li et al., JMLR 2018).

Functions about a dataset take params.yaml as it is there (`Params.of`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from pipeline.job.errors import ParamsError
from pipeline.params import sweep
from pipeline.params.experiments import Budget, TuneSweep
from pipeline.params.models import ARCHITECTURES
from pipeline.params.typed_file import Params

KEPT = 3  # of so many trainings one goes on, for so many times the epochs


@dataclass(frozen=True)
class Round:
    """How many trainings there are, and the epoch to which each of them goes."""

    trainings: int
    epochs: int


def rounds(settings: Params, dataset: str, model: str) -> list[Round]:
    """Return the rounds of a model's search; the last one has the epochs of `train`.

    All others end at a measurement. Rounds that would end at the same epoch are one.
    """
    n = len(sweep.cells(as_sweep(settings), dataset, model))
    epochs, every = settings.train.epochs, settings.train.evaluate_every
    shares = [KEPT**left for left in reversed(range(settings.tune.rounds))]
    ends = {min(epochs, every * math.ceil(epochs / share / every)) for share in shares}
    return [Round(math.ceil(n / KEPT**i), end) for i, end in enumerate(sorted(ends))]


def most_epochs(planned: list[Round]) -> int:
    """Return the epochs of a search in which no training stops early."""
    steps = itertools.pairwise([Round(0, 0), *planned])
    return sum(this.trainings * (this.epochs - last.epochs) for last, this in steps)


def cost(settings: Params, dataset: str, model: str) -> str:
    """Return what a search may cost, in words."""
    planned = rounds(settings, dataset, model)
    steps = ", ".join(f"{entry.trainings} to epoch {entry.epochs}" for entry in planned)
    most, whole = most_epochs(planned), settings.train.epochs
    return f"at most {most:,} epochs ({most / whole:.1f} trainings of {whole}): {steps}"


def models(settings: Params, dataset: str) -> list[str]:
    """Return the models that are tuned on a dataset, without those that it cannot have."""
    return sweep.models(as_sweep(settings), dataset)


def as_sweep(settings: Params) -> Params:
    """Return params.yaml with the combinations of `tune` in the place of `sweep`.

    It has no sweep if no model is trained by steps.
    """
    tune, train = settings.tune, settings.train
    chosen, ranges = tune.models, tune.ranges
    if chosen is None:
        fields = {model: _fields(settings, model) for model in settings.models}
        chosen = [m for m, names in fields.items() if "lr" in names and names & ranges.keys()]
        ranges = {k: v for k, v in ranges.items() if any(k in fields[m] for m in chosen)}
    if not chosen:
        return settings.model_copy(update={"sweep": None})
    section = TuneSweep(
        models=chosen,
        ranges=ranges,
        cells="all",
        trials=0,
        seeds=[settings.seed],
        budget=Budget(**train.model_dump(include=set(Budget.model_fields))),
    )
    return settings.model_copy(update={"sweep": section})


def _fields(settings: Params, model: str) -> set[str]:
    return set(ARCHITECTURES[settings.architecture(model)].model_fields)


def check(settings: Params) -> None:
    """Refuse a section that cannot be run on every dataset.

    Raises:
        ParamsError: see `sweep.check`.
    """
    known = {name for section in ARCHITECTURES.values() for name in section.model_fields}
    for key in settings.tune.ranges:
        if key not in known:
            raise ParamsError(
                f"params.yaml: tune.ranges.{key}: no model has this setting; expected some of "
                f"{sorted(known)}"
            )
    sweep.check(as_sweep(settings))
