"""The section `study`: which tables and figures of the paper are built, and at what cost.

    study: {tables: [table2], grids: {table5: {models: [mcln], setting: ..., values: ...}},
            budget: quick, budgets: {quick: {epochs: 40, ...}}}

`tables` are names of the section of that name; a grid is models with one setting changed.
study_cells makes trainings of them. `items` is of the stage `study`, which asks what moves a
score, on generated datasets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from pipeline.job.errors import ParamsError
from pipeline.params import study_budget, study_cells, sweep, sweep_cells
from pipeline.params.models import ARCHITECTURES
from pipeline.params.section import Count, Name, Section

if TYPE_CHECKING:
    from pipeline.params import Params

FOLDER = "study"  # below results/<dataset>
Scalar = Annotated[Any, AfterValidator(sweep_cells.scalar)]
Seed = Annotated[int, Field(ge=0, lt=1 << 31)]


class Budget(sweep.Budget):
    """What every training may spend, in place of the same keys of `train`, and how many."""

    seeds: Annotated[list[Seed], Field(min_length=1)]  # of the training alone
    search: bool  # settings are those that the sweep found best on validation


class Grid(Section):
    """Models with one setting changed: a figure, or a table over its values."""

    models: Annotated[list[Name], Field(min_length=1)]
    setting: Name
    values: Annotated[list[Scalar], Field(min_length=1)]


class Study(Section):
    """The whole section; without tables and grids, only the stage `study` is left."""

    items: Count = 60  # with a copy for each factor
    tables: list[Name] = Field(default_factory=list)  # names of `tables`
    grids: dict[Name, Grid] = Field(default_factory=dict)
    budget: Name | None = None  # one of `budgets`
    budgets: dict[Name, Budget] = Field(default_factory=dict)


def check(settings: Params) -> None:
    """Refuse a section that cannot be run on every dataset.

    Raises:
        ParamsError: an unknown model, setting or budget, a value that a model does not take, a
            name or value that is there twice, or a search of models that are not swept. A
            table that is not there is refused when the study is asked for.
    """
    study = settings.study
    if FOLDER in settings.tables:
        raise ParamsError(
            f"params.yaml: tables.{FOLDER}: the folder of the study has this name; rename it"
        )
    _check_once("tables", [*study.tables, *study.grids])
    for name, grid in study.grids.items():
        _check_grid(settings, name, grid)
    if study_cells.is_asked(settings):
        budget = study_budget.budget(settings)
        _check_once(f"budgets.{study.budget}.seeds", budget.seeds)
        for dataset in settings.datasets:
            study_cells.tables(settings, dataset)


def _check_grid(settings: Params, name: str, grid: Grid) -> None:
    where = f"params.yaml: study.grids.{name}"
    for model in grid.models:
        if model not in settings.sections:
            raise ParamsError(
                f"{where}.models: no model {model!r}; expected some of "
                f"{sorted(settings.sections)}"
            )
        kind = ARCHITECTURES[settings.architecture(model)]
        if grid.setting not in kind.model_fields or grid.setting == "modalities":
            # A job's features are those of its model.
            expected = sorted(kind.model_fields.keys() - {"modalities"})
            raise ParamsError(
                f"{where}.setting: {model} has no setting {grid.setting!r} to change; expected "
                f"one of {expected}"
            )
    _check_once(f"grids.{name}.models", grid.models)
    _check_once(f"grids.{name}.values", grid.values)


def _check_once(key: str, values: list[Any]) -> None:
    written = [sweep_cells.text(value) for value in values]
    for value in written:
        if written.count(value) > 1:
            raise ParamsError(f"params.yaml: study.{key}: {value} is there twice")
