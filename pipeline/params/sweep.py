"""The cells of the section `sweep`: what is tried of a model on a dataset.

A cell is one value of each range that the model has, and a seed; its short name is that of the
file with its result. What the name does not say (the model's other settings, the budget) is
`fixed`, and in the job's slice. So an edited value makes new cells and leaves the results of
all others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from pipeline.job.errors import ParamsError
from pipeline.params.cell import (
    Cell,
    Values,
    changed,
    check_models,
    check_unique,
    named,
    scalar,
)
from pipeline.params.experiments import Budget, Sweep
from pipeline.params.models import ARCHITECTURES
from pipeline.params.typed_file import Params

MOST_CELLS = 10_000  # of one model on one dataset; each is a job
# Keys of `train` that a cell has from its own budget, or that come after the selection.
NOT_OF_A_CELL = {*Budget.model_fields, "refit", "select_on"}


def section(settings: Params) -> Sweep:
    """Return the section, or raise ParamsError if params.yaml has none."""
    if settings.sweep is None:
        raise ParamsError(
            "params.yaml: sweep: expected a section with models, ranges, cells, trials, seeds "
            "and budget, got none"
        )
    return settings.sweep


def models(settings: Params, dataset: str) -> list[str]:
    """Return the models that are swept on a dataset, in the file's order.

    Models that need a modality which the dataset lacks are left out, as in `tables`.
    """
    return settings.possible(settings.sweep.models, dataset) if settings.sweep else []


def ranges(settings: Params, dataset: str, model: str) -> dict[str, list[Any]]:
    """Return `{setting: values}` of the ranges that a model takes, in the file's order.

    Values are as the model holds them: 1 is 1.0 where a float is meant.

    Raises:
        ParamsError: the model is not swept, or does not take one of the values.
    """
    sweep = section(settings)
    if model not in sweep.models:
        raise ParamsError(
            f"params.yaml: {sweep.key}.models: no model {model!r}; expected one of "
            f"{sweep.models}, "
            "or add it"
        )
    current = settings.model(model, dataset)

    def converted(key: str, value: Any) -> Any:
        return getattr(changed(current, {key: value}, f"{sweep.key}.ranges.{key}", model), key)

    return {
        key: [converted(key, value) for value in values]
        for key, values in sweep.ranges.items()
        if key in type(current).model_fields
    }


def cells(settings: Params, dataset: str, model: str) -> list[Cell]:
    """Return the cells of a model on a dataset, seed after seed.

    With `one_at_a_time` these are the model as params.yaml has it, and for each value of each
    range the same with this one setting changed.

    Raises:
        ParamsError: see `ranges`; or there would be more than MOST_CELLS of them.
    """
    sweep, tried = section(settings), ranges(settings, dataset, model)
    if sweep.cells == "none":
        return []
    if sweep.cells == "all":
        _check_number(tried, sweep, model)
        combinations = itertools.product(*tried.values())
        chosen = [dict(zip(tried, values, strict=True)) for values in combinations]
    else:
        start = _start(settings, dataset, model, list(tried))
        chosen = [start, *_steps(start, tried)]
    return [Cell(model, values, seed) for seed in sweep.seeds for values in chosen]


def _start(settings: Params, dataset: str, model: str, keys: list[str]) -> Values:
    current = settings.model(model, dataset)
    for key in keys:
        try:
            scalar(getattr(current, key))
        except ValueError as error:
            raise ParamsError(
                f"params.yaml: sweep.cells: one_at_a_time starts from {model}.{key}: {error}, "
                f"got {getattr(current, key)!r}; use all, or none with trials"
            ) from None
    return {key: getattr(current, key) for key in keys}


def _steps(start: Values, tried: dict[str, list[Any]]) -> Iterator[Values]:
    for key, values in tried.items():
        yield from (start | {key: value} for value in values if value != start[key])


def _check_number(tried: dict[str, list[Any]], sweep: Sweep, model: str) -> None:
    number = math.prod(map(len, tried.values())) * len(sweep.seeds)
    if number > MOST_CELLS:
        key, others = ("cells", ", or use one_at_a_time, or none with trials")
        if sweep.key == "tune":
            key, others = "ranges", ""
        raise ParamsError(
            f"params.yaml: {sweep.key}.{key}: expected at most {MOST_CELLS} cells of one "
            f"model, got {number} of {model}; shorten ranges{others}"
        )


def cell(settings: Params, dataset: str, model: str, short_name: str) -> Cell:
    """Return the cell of a model with this name, or raise ParamsError with an example."""
    by_name = {cell.short_name: cell for cell in cells(settings, dataset, model)}
    return named(by_name, short_name, "sweep", f"of {model} on {dataset}")


def fixed(settings: Params, dataset: str, model: str) -> dict[str, Any]:
    """Return what all cells of a model share: what a result depends on beside its name."""
    sweep, current = section(settings), settings.model(model, dataset).model_dump()
    return {
        "architecture": settings.architecture(model),
        "settings": {k: v for k, v in current.items() if k not in sweep.ranges},
        "modalities": settings.model_modalities(model, dataset),
        "train": settings.train.model_dump(exclude=NOT_OF_A_CELL),
        "budget": sweep.budget.model_dump(),
    }


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
    check_unique(sweep.models, f"{sweep.key}.models")
    check_unique(sweep.seeds, f"{sweep.key}.seeds")
    check_models(sweep.models, settings.sections, f"{sweep.key}.models")
    _check_ranges(settings, sweep)
    for dataset in settings.datasets:
        for model in models(settings, dataset):
            for key, values in ranges(settings, dataset, model).items():
                check_unique(values, f"{sweep.key}.ranges.{key}")
            cells(settings, dataset, model)


def _check_ranges(settings: Params, sweep: Sweep) -> None:
    for key in {"modalities", "tokens"} & sweep.ranges.keys():
        raise ParamsError(
            f"params.yaml: {sweep.key}.ranges.{key}: a job reads the features of the "
            "model as params.yaml has it; try models of other names instead, such as base_v "
            "and base_t"
        )
    fields = {
        model: ARCHITECTURES[settings.architecture(model)].model_fields.keys()
        for model in sweep.models
    }
    for model, names in fields.items():
        if not names & sweep.ranges.keys():
            raise ParamsError(
                f"params.yaml: {sweep.key}.models: {model} has none of "
                f"{list(sweep.ranges)}; leave it out, or add a range of {sorted(names)}"
            )
    for key in sweep.ranges:
        if not any(key in names for names in fields.values()):
            raise ParamsError(
                f"params.yaml: {sweep.key}.ranges.{key}: none of {sweep.models} has this "
                "setting"
            )
