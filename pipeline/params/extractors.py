"""The section `extractors`: one model of a dataset, compared on several extractors.

    extractors.<dataset>: {model: vbpr, modality: visual, instead: {resnet50: {...}}}

Each name below `instead` makes a feature, `visual_resnet50`, and a model, `vbpr_resnet50`:
`vbpr` with that feature in place of `visual`. Only their comparison asks for them: they are
not among `modalities: all`, and DVC, whose matrix is `datasets` x `modalities`, lacks them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.params.features import Feature
from pipeline.params.features import Settings as FeatureSettings
from pipeline.params.section import Name, Section

TABLE = "extractors"  # the comparison's name among the tables, and its folder


class Comparison(Section):
    """What is compared on a dataset."""

    model: Name  # every row has its settings
    modality: Name  # the one that is replaced, of those that the model reads
    instead: Annotated[dict[Name, Feature], Field(min_length=1)]

    def features(self) -> dict[str, FeatureSettings]:
        """Return `{feature: settings}` of what replaces the modality."""
        return {f"{self.modality}_{name}": feature for name, feature in self.instead.items()}

    def models(self) -> dict[str, str]:
        """Return `{model: the feature that it reads instead}`."""
        return {f"{self.model}_{name}": f"{self.modality}_{name}" for name in self.instead}
