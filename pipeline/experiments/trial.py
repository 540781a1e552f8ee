"""A trial: one training with some settings changed, a seed and a budget.

    params.yaml, a cell, a budget -> Trial.settings -> a training -> outcome on validation

Everything that tries settings is a view of it: the runs of a file (sweep/grid.py), the cells
of the section `sweep` (sweep/cell.py), the trials of optuna (sweep/search.py), the trainings
of the section `tune` (sweep/halving.py) and the cells of the section `study` (study/cell.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from pipeline import params
from pipeline.job.errors import TrainingDiverged
from pipeline.learning.command_line import Arguments
from pipeline.params.cell import Cell
from pipeline.params.experiments import Budget
from pipeline.params.own_stages import section_of
from pipeline.tables.schema import VALIDATION
from pipeline.train import WORK, Trainer

Start: TypeAlias = Callable[[Arguments, params.Params], Trainer]


@dataclass(frozen=True)
class Trial:
    """What is trained, and under which name."""

    name: str  # of the model in `settings`, and of the training's saved state
    cell: Cell
    budget: Budget

    def settings(self, raw: Mapping[str, Any], dataset: str) -> params.Params:
        """Return params.yaml with the trial as the model `name`.

        Raises:
            ParamsError: the model is unknown, or does not take one of the values.
        """
        model, values = self.cell.model, self.cell.values
        section = {key: dict(layer) for key, layer in (raw.get(model) or {}).items()}
        section["default"] = {"variant_of": model} | section.get("default", {}) | values
        if dataset in section:
            section[dataset] |= values
        train = section_of(raw, "train", dataset) | self.budget.model_dump()
        changes = {"datasets": [dataset], "models": [self.name], "seed": self.cell.seed}
        trained = {**raw, **changes, "train": train, self.name: section}
        return params.parse(trained).of(dataset)

    def start(self, raw: Mapping[str, Any], job: Arguments, start: Start = Trainer) -> Trainer:
        """Return the training, ready to run; of `job` all but the model is used."""
        return start(replace(job, model=self.name), self.settings(raw, job.dataset))

    def remove_state(self, dataset: str) -> None:
        """Remove the training's saved state; its result has been written."""
        for path in WORK.glob(f"{dataset}-{self.name}-*.safetensors"):
            path.unlink()


def trial_of(
    cell: Cell, budget: Budget, owner: Literal["cell", "trial", "tune", "study"]
) -> Trial:
    """Return a cell's trial, whose name no other training's saved state begins with.

    Several owners may train a cell at once, and each saves its state.
    """
    name = re.sub(r"\W+", "_", f"{cell.model}__{owner}__{cell.short_name}")
    return Trial(name, cell, budget)


def validated(job: Trainer, pause: int | None = None) -> dict[str, Any]:
    """Train without the validation items, and measure on the validation candidates.

    With `pause` only to this epoch; a later call goes on from there (see Trainer.run_phase).

    Returns:
        The settings, the best measurement, its epoch, `value` (of the metric `selected_by`) at
        every measurement, minutes.
    """
    settings, arguments = job.settings, job.arguments
    pairs, epochs = job.dataset.pairs(validation=False), settings.train.epochs
    progress = job.run_phase("select", pairs, epochs, VALIDATION, pause).progress
    # A state that is kept may be further than this.
    records = [record for record in progress.records if record.epoch <= (pause or epochs)]
    best = max(records, key=lambda record: record.value or 0.0)
    return {
        "settings": settings.model(arguments.model, arguments.dataset).model_dump(mode="json"),
        "budget": {key: getattr(settings.train, key) for key in Budget.model_fields},
        "architecture": settings.architecture(arguments.model),
        "seed": settings.seed,
        "epoch": best.epoch,
        "hr@10": best.hr,
        "ndcg@10": best.ndcg,
        "value": best.value,
        "selected_by": settings.train.select_by,
        "curve": {str(r.epoch): r.value for r in records},
        "minutes": round(progress.seconds / 60, 1),
    }


def outcome(
    trial: Trial,
    raw: Mapping[str, Any],
    job: Arguments,
    start: Start = Trainer,
    pause: int | None = None,
) -> dict[str, Any]:
    """Return the changed values with what `validated` returns, or why the training diverged.

    A diverged training is a result: a range may hold a step that is too large. Minutes are left
    out, so that the same trial gives the same bytes. Arguments are those of `Trial.start` and
    `validated`.

    Raises:
        ParamsError: params.yaml, or the trial, cannot be run.
    """
    tried = {"values": trial.cell.values, "seed": trial.cell.seed}
    training = trial.start(raw, job, start)
    try:
        measured = validated(training, pause)
    except TrainingDiverged as error:
        return tried | {"diverged": str(error)}
    del measured["minutes"]
    return tried | measured
