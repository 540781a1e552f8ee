"""The section `study`: which tables and figures of the paper are built, and at what cost.

    study: {tables: [table2], grids: {table5: {models: [mcln], setting: ..., values: ...}},
            budget: quick, budgets: {quick: {epochs: 40, ...}}}

`tables` are names of the section of that name; a grid is models with one setting changed.
study_cells makes trainings of them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pipeline.params import sweep
from pipeline.params.cell import scalar
from pipeline.params.section import Count, Name, Section

FOLDER = "study"  # below results/<dataset>
Scalar = Annotated[Any, AfterValidator(scalar)]
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
    """The whole section; without tables and grids there is nothing to train."""

    tables: list[Name] = Field(default_factory=list)  # names of `tables`
    grids: dict[Name, Grid] = Field(default_factory=dict)
    budget: Name | None = None  # one of `budgets`
    budgets: dict[Name, Budget] = Field(default_factory=dict)


class Factors(Section):
    """The section `factors`: what moves a score, on generated datasets."""

    items: Count = 60  # of which copies are made, one for each factor
