"""Where a dataset comes from, as sections of params.yaml: `sources.<dataset>`.

How each format is read is said where it is, in pipeline/sources. Adding one: a section here and
in `Source`, a line in `SOURCES`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.sections import Positive, Section


class SampleSource(Section):
    """The generator: a raw dump in Amazon's 2018 format, made from the seed."""

    format: Literal["sample"]
    scale: Positive = 1.0  # 1 is about 600 users and 240 items


class AmazonSource(Section):
    """A category of the Amazon review dumps of 2014 or 2018, by its published name."""

    format: Literal["amazon2014", "amazon2018"]
    category: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    reviews: Literal["5core", "full"] = "5core"  # which of the two published review files
    metadata: str | None = None  # name of the metadata file, where it is not the published one


class Amazon2023Source(Section):
    """A category of the Amazon review dump of 2023, by its published name."""

    format: Literal["amazon2023"]
    category: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    reviews: Literal["5core", "full"] = "full"  # 5core: ids, stars and times alone
    metadata: str | None = None  # name of the metadata file, where it is not the published one


class TianchiSource(Section):
    """Tianchi 231506 (Taobao clothes matching); behind a log-in, so from the mirror only."""

    format: Literal["tianchi"]


class PublishedSplitSource(Section):
    """A split published with the MEGCF code, with its token lists."""

    format: Literal["published_split"]
    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # amazon-beauty, Art or taobao


Source = Annotated[
    SampleSource | AmazonSource | Amazon2023Source | TianchiSource | PublishedSplitSource,
    Field(discriminator="format"),
]
