"""The section `sweep`: which settings of which models are tried.

    sweep: {models: [mcln], ranges: {lr: [0.001, 0.01], layers: [1, 2]}, cells: all, ...}

A model takes those ranges whose setting it has; sweep_cells makes cells of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pipeline.params.cell import scalar
from pipeline.params.section import Count, Name, Section, Whole

Scalar = Annotated[Any, AfterValidator(scalar)]


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
