"""The one way to try settings: a model with some settings changed, a seed and a budget.

    cell = Cell({"lr": 0.0005}, seed=2023, model="mcln")
    settings = settings_of(params.read(), "sample", "half", cell, budget)
    result = measured(Trainer(arguments, settings))  # on validation

Named runs, cells of a sweep, proposals of optuna and trainings of the study are all this.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from pipeline import params
from pipeline.params.cell import Cell
from pipeline.params.sweep import Budget
from pipeline.tables.schema import VALIDATION
from pipeline.train import WORK, Trainer


def settings_of(
    raw: Mapping[str, Any], dataset: str, name: str, cell: Cell, budget: Budget
) -> params.Params:
    """Return params.yaml with a cell as the model `name`, and no other models.

    Args:
        raw: params.yaml, unchecked.
        dataset: the one that is trained on.
        name: of the model, see `run_name`.
        cell: the model, the settings that differ, and the seed.
        budget: replaces the same keys of `train`.

    Raises:
        ParamsError: the model is unknown, or does not take one of the settings.
    """
    section = {layer: dict(values) for layer, values in (raw.get(cell.model) or {}).items()}
    section["default"] = {"variant_of": cell.model} | section.get("default", {}) | cell.values
    if dataset in section:
        section[dataset] |= cell.values
    spent = budget.model_dump(include=set(Budget.model_fields))
    return params.parse(
        dict(raw)
        | {"datasets": [dataset], "models": [name], "seed": cell.seed, name: section}
        | {"train": dict(raw["train"]) | spent}
    )


def run_name(*parts: str) -> str:
    """Return a model's name for a trial: no other training's saved state begins with it."""
    return re.sub(r"\W+", "_", "__".join(parts))


def measured(job: Trainer) -> dict[str, Any]:
    """Train without the validation items; return settings, best measurement and curve.

    Raises:
        TrainingDiverged: the loss became non-finite.
    """
    settings, arguments = job.settings, job.arguments
    start = time.perf_counter()
    pairs = job.dataset.pairs(validation=False)
    progress = job.run_phase("select", pairs, settings.train.epochs, VALIDATION).progress
    best = next(r for r in progress.records if r.epoch == progress.best_epoch)
    return {
        "settings": settings.model(arguments.model, arguments.dataset).model_dump(mode="json"),
        "budget": {key: getattr(settings.train, key) for key in Budget.model_fields},
        "architecture": settings.architecture(arguments.model),
        "seed": settings.seed,
        "epoch": best.epoch,
        "hr@10": best.hr,
        "ndcg@10": best.ndcg,
        "curve": {str(r.epoch): r.ndcg for r in progress.records},
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }


def forget(dataset: str, name: str) -> None:
    """Remove the saved states of a trial whose result is written."""
    for state in WORK.glob(f"{dataset}-{name}-*.safetensors"):
        state.unlink()
