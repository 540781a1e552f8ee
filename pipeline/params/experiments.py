"""Sections `sweep`, `tune`, `study`, `benchmark`, `factors`: analyses beside the stages.

    sweep: {models: [mcln], ranges: {lr: [0.001, 0.01], layers: [1, 2]}, cells: all, ...}
    tune: {ranges: {lr: [0.001, 0.01], l2: [0.01, 0.1]}, rounds: 3}
    study: {tables: [table2], grids: {table5: {models: [mcln], setting: ..., values: ...}},
            budget: quick, budgets: {quick: {epochs: 40, ...}}}
    benchmark: {models: [bprmf], seeds: [2023, 2024], published: {sports: amazon_sports}}
    factors: {items: 60}

params/sweep.py, tune.py, study.py and benchmark.py make trainings of the first four.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from pipeline.params.cell import Scalar, Seed
from pipeline.params.section import Count, Name, Section, Whole


class Budget(Section):
    """What a training may spend; it replaces the same keys of `train`."""

    epochs: Count
    evaluate_every: Count
    patience: Count


Ranges: TypeAlias = Annotated[
    dict[Name, Annotated[list[Scalar], Field(min_length=1)]], Field(min_length=1)
]


class Sweep(Section):
    """Which settings of which models are tried, and judged on validation."""

    key: ClassVar[str] = "sweep"  # of params.yaml, for messages

    models: Annotated[list[Name], Field(min_length=1)]
    # The same for all models, as in the paper (4.1.4); a model takes those that it has.
    ranges: Ranges
    cells: Literal["all", "one_at_a_time", "none"]
    trials: Whole  # of a search by optuna over the same ranges; 0 for none
    seeds: Annotated[list[Seed], Field(min_length=1)]
    budget: Budget


class Tune(Section):
    """A search by successive halving under the budget of `train`, whose result can be kept."""

    models: list[Name] | None = None  # null: those of `models` that are trained by steps
    ranges: Ranges = Field(
        default_factory=lambda: {
            "lr": [0.0005, 0.001, 0.002, 0.005, 0.01],
            "l2": [0.0001, 0.001, 0.01, 0.1],
        }
    )
    # The best third of the combinations goes on to the next round, for three times the epochs.
    rounds: Count = 3


class TuneSweep(Sweep):
    """The combinations of the section `tune`, as a sweep over all of them."""

    key: ClassVar[str] = "tune"


class StudyBudget(Budget):
    """What each training of the study may spend, and how many seeds there are."""

    seeds: Annotated[list[Seed], Field(min_length=1)]  # of the training alone
    search: bool  # use the settings that each model's sweep found best on validation

    def of_a_training(self) -> Budget:
        """Return what one training may spend."""
        return Budget(**self.model_dump(include=set(Budget.model_fields)))


class Grid(Section):
    """Models with one setting changed: a figure, or a table over its values."""

    models: Annotated[list[Name], Field(min_length=1)]
    setting: Name
    values: Annotated[list[Scalar], Field(min_length=1)]


class Study(Section):
    """Which tables and figures of the paper are built, and at what cost."""

    tables: list[Name] = Field(default_factory=list)  # names of `tables`
    grids: dict[Name, Grid] = Field(default_factory=dict)
    budget: Name | None = None  # one of `budgets`
    budgets: dict[Name, StudyBudget] = Field(default_factory=dict)


class Benchmark(Section):
    """Which models are put beside published numbers, and at what cost."""

    models: list[Name] = Field(default_factory=list)
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        default_factory=lambda: [2023, 2024, 2025]
    )
    budget: Budget | None = None  # null: that of `train`
    # by dataset: the name of its published numbers in pipeline/comparison/published_numbers.py
    published: dict[Name, Name] = Field(default_factory=dict)


class Factors(Section):
    """How what moves a score is measured, on generated datasets."""

    items: Count = 60  # with a copy for each factor
