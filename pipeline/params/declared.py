"""params.yaml as it is written: typed sections, but for the models'."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pipeline.params.experiments import Factors, Study, Sweep
from pipeline.params.extractors import Comparison
from pipeline.params.features import Feature
from pipeline.params.section import Name
from pipeline.params.sources import Source
from pipeline.params.stages import Stages


class Declared(Stages):
    """Every key of the file."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Annotated[list[Name], Field(min_length=1)]
    modalities: list[Name]
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    sources: dict[Name, Source]
    features: dict[Name, dict[Name, Feature]]
    tables: dict[Name, list[Name]] = Field(default_factory=dict)  # compared on their own
    extractors: dict[Name, Comparison] = Field(default_factory=dict)  # by dataset
    study: Study = Study()
    factors: Factors = Factors()
    sweep: Sweep | None = None
    # <model>: {default: {...}, <dataset>: {...}}; `variant_of` names the model it starts from.
    sections: dict[Name, dict[str, dict[str, Any]]]
