"""The kinds of tokens of a dataset, as sections of params.yaml: `tokens.<dataset>.<kind>`.

How they are made is in pipeline/extractors/item_tokens.py.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.params.section import Count, Name, Section, Share


class Words(Section):
    """The distinct words of a field of the items."""

    extractor: Literal["words"]
    field: str = "title"  # a text or token-list column of items.parquet
    min_count: Count = 1  # words of fewer items are left out
    max_share: Annotated[Share, Field(gt=0)] = (
        0.1  # so are those of a larger share of the items
    )


class VisualWords(Section):
    """The clusters that an item's feature is nearest to."""

    extractor: Literal["visual_words"]
    feature: Name = "visual"  # of features.<dataset>
    clusters: Count = 256  # of k-means over the items that have the feature
    nearest: Count = 3  # clusters per item

    @model_validator(mode="after")
    def _fits_together(self) -> VisualWords:
        if self.nearest > self.clusters:
            raise PydanticCustomError("nearest", "expected `nearest` to be at most `clusters`")
        return self


Tokens: TypeAlias = Words | VisualWords
TokenKind = Annotated[Tokens, Field(discriminator="extractor")]


def features_read(kinds: dict[str, Tokens]) -> list[str]:
    """Return the features that the tokens of a dataset are made from, each once."""
    read = (kind.feature for kind in kinds.values() if isinstance(kind, VisualWords))
    return list(dict.fromkeys(read))
