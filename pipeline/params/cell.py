"""A cell: one training that `sweep`, `study` or `benchmark` asks for, and its name.

A cell is a model, some of its settings changed, and a seed. Names of files and folders are made
of it, so every value has to fit into a file name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, ValidationError

from pipeline.job.errors import ParamsError
from pipeline.params.model_section import Model

WORD = re.compile(r"[A-Za-z0-9_]+")
Values: TypeAlias = dict[str, Any]  # {setting: value}


@dataclass(frozen=True)
class Cell:
    """One training."""

    model: str
    values: (
        Values  # of the settings that are changed; empty for the model as params.yaml has it
    )
    seed: int
    budget: str = ""  # the section whose budget it has, where that is not the study's

    @property
    def name(self) -> str:
        """The cell among cells of several models: `mcln__layers-2__seed-2023`."""
        return f"{self.model}__{self.short_name}"

    @property
    def short_name(self) -> str:
        """The cell among those of its model: `layers-2__lr-0.001__seed-2023`.

        It does not depend on the order of the settings.
        """
        budget = [("budget", self.budget)] if self.budget else []
        pairs = [*sorted(self.values.items()), *budget, ("seed", self.seed)]
        return "__".join(f"{setting}-{text(value)}" for setting, value in pairs)


def text(value: Any) -> str:
    """Return a setting's value as params.yaml has it; 0.00001 and not 1e-05."""
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}"
    return value if isinstance(value, str) else json.dumps(value)


def scalar(value: Any) -> Any:
    """Return a value that fits into a file name, or raise ValueError, for pydantic."""
    is_word = isinstance(value, str) and WORD.fullmatch(value)
    if value is None or is_word or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise ValueError("expected a number, a word, true, false or null")


Scalar = Annotated[Any, AfterValidator(scalar)]
Seed = Annotated[int, Field(ge=0, lt=1 << 31)]


def changed(settings: Model, values: Mapping[str, Any], key: str, owner: str) -> Model:
    """Return a model's settings with some changed, or raise ParamsError for a wrong value."""
    try:
        return type(settings).model_validate(settings.model_dump() | dict(values))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        setting, reason = ".".join(map(str, problem["loc"])), problem["msg"]
        raise ParamsError(
            f"params.yaml: {key}: {owner} does not take {setting} {problem['input']!r}: "
            f"{reason[0].lower()}{reason[1:]}"
        ) from None


def named(cells: Mapping[str, Cell], name: str, key: str, where: str) -> Cell:
    """Return the cell with this name, or raise ParamsError with an example."""
    if name not in cells:
        example = f", such as {next(iter(cells))}" if cells else ""
        raise ParamsError(
            f"params.yaml: {key}: no cell {name!r} {where}; expected one of "
            f"{len(cells)}{example}"
        )
    return cells[name]


def check_unique(values: Sequence[Any], key: str) -> None:
    """Raise ParamsError if two values of a list are written alike."""
    written = [text(value) for value in values]
    for value in written:
        if written.count(value) > 1:
            raise ParamsError(f"params.yaml: {key}: {value} is there twice")


def check_models(models: Iterable[str], available: Iterable[str], key: str) -> None:
    """Raise ParamsError for a model without a section in params.yaml."""
    for model in models:
        if model not in available:
            raise ParamsError(
                f"params.yaml: {key}: no model {model!r}; expected some of {sorted(available)}"
            )
