"""The cells of the section `sweep`: what is tried of a model on a dataset.

A cell is one value of each range that the model has, and a seed; its name,
`layers-1__lr-0.001__seed-2023`, is that of the file with its result. What is not in the name
(the model's other settings, the budget) is `fixed`, and in the job's slice. So an edit of one
value makes new cells and leaves the results of all others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from pipeline.job.errors import ParamsError
from pipeline.params.cell import Cell, scalar
from pipeline.params.models import ARCHITECTURES
from pipeline.params.sweep import Sweep
from pipeline.params.whole import Params

MOST_CELLS = 10_000  # of one model on one dataset; each is a job


def declared(settings: Params) -> Sweep:
    """Return the section.

    Raises:
        ParamsError: params.yaml has none.
    """
    if settings.sweep is None:
        raise ParamsError(
            "params.yaml: sweep: expected a section with models, ranges, cells, trials, seeds "
            "and budget, got none"
        )
    return settings.sweep


def models(settings: Params, dataset: str) -> list[str]:
    """Return the models that are swept on a dataset, in the file's order.

    Left out are those that need a modality which the dataset lacks, as in `tables`.
    """
    return settings.possible(settings.sweep.models, dataset) if settings.sweep else []


def ranges(settings: Params, dataset: str, model: str) -> dict[str, list[Any]]:
    """Return `{setting: values}` of the ranges that a model takes, in the file's order.

    Raises:
        ParamsError: the model is not swept, or does not take one of the values.
    """
    sweep = declared(settings)
    if model not in sweep.models:
        raise ParamsError(
            f"params.yaml: sweep.models: no model {model!r}; expected one of {sweep.models}, "
            "or add it"
        )
    own = settings.model(model, dataset)
    return {
        key: [_taken(settings, model, own.model_dump(), key, value) for value in values]
        for key, values in sweep.ranges.items()
        if key in type(own).model_fields
    }


def _taken(settings: Params, model: str, own: dict[str, Any], key: str, value: Any) -> Any:
    """Return the value as the model holds it: 1 is 1.0 where a number with a point is meant."""
    kind = ARCHITECTURES[settings.architecture(model)]
    try:
        return getattr(kind.model_validate(own | {key: value}), key)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise ParamsError(
            f"params.yaml: sweep.ranges.{key}: {model} does not take {value!r}: "
            f"{said[0].lower()}{said[1:]}"
        ) from None


def cells(settings: Params, dataset: str, model: str) -> list[Cell]:
    """Return the cells of a model on a dataset, seed after seed.

    With `one_at_a_time` these are the model as it stands in params.yaml, and for each value of
    each range the same with this one setting changed.

    Raises:
        ParamsError: see `ranges`; or there would be more than MOST_CELLS of them.
    """
    sweep, tried = declared(settings), ranges(settings, dataset, model)
    if sweep.cells == "none":
        return []
    if sweep.cells == "all":
        _check_number(tried, len(sweep.seeds), model)
        chosen = [
            dict(zip(tried, one, strict=True)) for one in itertools.product(*tried.values())
        ]
    else:
        start = _start(settings, dataset, model, list(tried))
        chosen = [start, *_steps(start, tried)]
    return [Cell(values, seed) for seed in sweep.seeds for values in chosen]


def _start(settings: Params, dataset: str, model: str, keys: list[str]) -> dict[str, Any]:
    own = settings.model(model, dataset)
    for key in keys:
        try:
            scalar(getattr(own, key))
        except ValueError as error:
            raise ParamsError(
                f"params.yaml: sweep.cells: one_at_a_time starts from {model}.{key}: {error}, "
                f"got {getattr(own, key)!r}; use all, or none with trials"
            ) from None
    return {key: getattr(own, key) for key in keys}


def _steps(start: dict[str, Any], tried: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for key, values in tried.items():
        yield from (start | {key: value} for value in values if value != start[key])


def _check_number(tried: dict[str, list[Any]], seeds: int, model: str) -> None:
    number = math.prod(map(len, tried.values())) * seeds
    if number > MOST_CELLS:
        raise ParamsError(
            f"params.yaml: sweep.cells: expected at most {MOST_CELLS} cells of one model, got "
            f"{number} of {model}; shorten ranges, or use one_at_a_time, or none with trials"
        )


def cell(settings: Params, dataset: str, model: str, name: str) -> Cell:
    """Return the cell that has this name.

    Raises:
        ParamsError: none has.
    """
    found = {one.name: one for one in cells(settings, dataset, model)}
    if name not in found:
        such = f", such as {next(iter(found))}" if found else ""
        raise ParamsError(
            f"params.yaml: sweep: no cell {name!r} of {model} on {dataset}; expected one of "
            f"{len(found)}{such}"
        )
    return found[name]


def fixed(settings: Params, dataset: str, model: str) -> dict[str, Any]:
    """Return what all cells of a model share: what a result depends on beside its name."""
    sweep = declared(settings)
    own = settings.model(model, dataset).model_dump()
    return {
        "architecture": settings.architecture(model),
        "settings": {k: v for k, v in own.items() if k not in sweep.ranges},
        "modalities": settings.model_modalities(model, dataset),
        "batch_size": settings.train.batch_size,
        "budget": sweep.budget,
    }
