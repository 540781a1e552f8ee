"""A training that reports to a trial of optuna, and that the trial may end early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.train import Trainer

if TYPE_CHECKING:
    import optuna

    from model.base import Measure, Measured, Recommender
    from model.data import Interactions


class Pruned(Exception):  # noqa: N818 (says what happened)
    """The trial ended the training."""


class Watched(Trainer):
    """A training that reports to a trial."""

    trial: optuna.Trial
    reported: set[int]  # epochs

    def watched_by(self, trial: optuna.Trial) -> Watched:
        """Report to `trial`, but not what it was told before an interruption."""
        earlier = trial.study.trials[trial.number].intermediate_values
        self.trial, self.reported = trial, set(earlier)
        return self

    def measure(self, part: str, pairs: Interactions) -> Measure:
        """Return Trainer's measure, which also reports and may raise Pruned."""
        measure = super().measure(part, pairs)

        def watched(model: Recommender) -> Measured:
            measured = measure(model)
            self._report(self.training.progress.epoch, measured.value)
            return measured

        return watched

    def _report(self, epoch: int, value: float) -> None:
        if not epoch:  # a model that only counts, or that measures in its preparation
            return
        if epoch not in self.reported:
            self.trial.report(value, epoch)
            self.reported.add(epoch)
        if self.trial.should_prune():
            raise Pruned
