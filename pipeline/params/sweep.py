"""The section `sweep`: which settings of which models are tried.

    sweep: {models: [mcln], ranges: {lr: [0.001, 0.01], layers: [1, 2]}, cells: all, ...}

A model takes those ranges whose setting it has; sweep_cells makes cells of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pipeline.job.errors import ParamsError
from pipeline.params import sweep_cells
from pipeline.params.models import ARCHITECTURES
from pipeline.params.section import Count, Name, Section, Whole

if TYPE_CHECKING:
    from pipeline.params import Params

Scalar = Annotated[Any, AfterValidator(sweep_cells.scalar)]


class Budget(Section):
    """What every run may spend; it stands in for the same keys of `train`."""

    epochs: Count
    evaluate_every: Count
    patience: Count


class Sweep(Section):
    """The whole section."""

    models: Annotated[list[Name], Field(min_length=1)]
    # Alike for all models, as the paper has them (4.1.4).
    ranges: Annotated[
        dict[Name, Annotated[list[Scalar], Field(min_length=1)]], Field(min_length=1)
    ]
    cells: Literal["all", "one_at_a_time", "none"]
    trials: Whole  # of a search by optuna over the same ranges; 0 for none
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=1)]
    budget: Budget


def check(settings: Params) -> None:
    """Refuse a section that cannot be run on every dataset.

    Raises:
        ParamsError: an unknown model, a value that a model does not take, a range that no model
            has, a name or value that is there twice, nothing to do, or too much.
    """
    if (sweep := settings.sweep) is None:
        return
    if sweep.cells == "none" and not sweep.trials:
        raise ParamsError(
            "params.yaml: sweep.trials: expected 1 or more where sweep.cells is none, got 0"
        )
    _check_once({"models": sweep.models, "seeds": sweep.seeds})
    _check_ranges(settings, sweep)
    for dataset in settings.datasets:
        for model in sweep_cells.models(settings, dataset):
            tried = sweep_cells.ranges(settings, dataset, model)
            _check_once({f"ranges.{key}": values for key, values in tried.items()})
            sweep_cells.cells(settings, dataset, model)


def _check_ranges(settings: Params, sweep: Sweep) -> None:
    if "modalities" in sweep.ranges:
        raise ParamsError(
            "params.yaml: sweep.ranges.modalities: a job reads the features that the model has "
            "as it stands; sweep models of other names instead, such as base_v and base_t"
        )
    fields = {}
    for model in sweep.models:
        if model not in settings.sections:
            raise ParamsError(
                f"params.yaml: sweep.models: no model {model!r}; expected some of "
                f"{sorted(settings.sections)}"
            )
        fields[model] = ARCHITECTURES[settings.architecture(model)].model_fields.keys()
        if not fields[model] & sweep.ranges.keys():
            raise ParamsError(
                f"params.yaml: sweep.models: {model} has none of {list(sweep.ranges)}; leave "
                f"it out, or add a range of {sorted(fields[model])}"
            )
    for key in sweep.ranges:
        if not any(key in own for own in fields.values()):
            raise ParamsError(
                f"params.yaml: sweep.ranges.{key}: none of {sweep.models} has this setting"
            )


def _check_once(lists: dict[str, list[Any]]) -> None:
    for key, values in lists.items():
        for value in values:
            if sum(sweep_cells.text(value) == sweep_cells.text(other) for other in values) > 1:
                raise ParamsError(
                    f"params.yaml: sweep.{key}: {sweep_cells.text(value)} is there twice"
                )
