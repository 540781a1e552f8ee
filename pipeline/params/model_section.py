"""What the sections of all models have in common: which features and tokens they read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pipeline.params.section import Name, Section

KEYED_BY_MODALITY = ("hidden", "modality_weights")  # settings that may be {modality: value}


class Model(Section):
    """The section of every model; a model that only counts needs nothing more."""

    def reads(self, features: Iterable[str]) -> list[str]:
        """Return the modalities that the model reads, given those that the dataset has."""
        return []

    def reads_tokens(self, kinds: Iterable[str]) -> list[str]:
        """Return the kinds of tokens that the model reads, given those that the dataset has."""
        return []


class ContentModel(Model):
    """A model that reads features."""

    modalities: Literal["all"] | list[Name]  # whose features it reads; [] for none

    def reads(self, features: Iterable[str]) -> list[str]:
        """See `Model.reads`."""
        return list(features if self.modalities == "all" else self.modalities)


class TokenModel(Model):
    """A model that reads tokens."""

    tokens: Literal["all"] | list[Name]  # the kinds that it reads; [] for none

    def reads_tokens(self, kinds: Iterable[str]) -> list[str]:
        """See `Model.reads_tokens`."""
        return list(kinds if self.tokens == "all" else self.tokens)
