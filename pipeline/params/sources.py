"""Where a dataset comes from, as sections of params.yaml: `sources.<dataset>`.

The files of each format are listed in pipeline/published, and read in pipeline/sources. To add
one: a section here and in `Source`, a line in `FILES` and in `READERS`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from pipeline.params.section import Positive, Section

Text = Annotated[str, Field(min_length=1)]
TABLE_FILE = (
    r"^(https?://[^\s?#]+/)?[A-Za-z0-9_-][A-Za-z0-9._-]*\.((csv|tsv|jsonl)(\.gz)?|parquet)$"
)


def _check_table_file(name: str) -> str:
    if not re.fullmatch(TABLE_FILE, name):
        raise PydanticCustomError(
            "table_file",
            "expected the name of a file in the source's folder, of letters, digits, `.`, `_` "
            "and `-`, or an http(s) address that ends in one, and at its end .csv, .tsv or "
            ".jsonl (each also with .gz) or .parquet; rename the file, or write it in one of "
            "these formats",
        )
    return name


# a file name, or an http(s) address that ends in one
TableFile = Annotated[
    str,
    AfterValidator(_check_table_file),
    WithJsonSchema({"type": "string", "pattern": TABLE_FILE}),
]


class SampleSource(Section):
    """A generated raw dump in Amazon's 2018 format, from the seed."""

    format: Literal["sample"]
    scale: Positive = 1.0  # 1 is about 600 users and 240 items


class AmazonSource(Section):
    """A category of the Amazon review dumps of 2014 or 2018, by its published name."""

    format: Literal["amazon2014", "amazon2018"]
    category: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    reviews: Literal["5core", "full"] = "5core"  # which of the two published review files
    metadata: str | None = None  # name of the metadata file, if not the published one


class Amazon2023Source(Section):
    """A category of the Amazon review dump of 2023, by its published name."""

    format: Literal["amazon2023"]
    category: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    reviews: Literal["5core", "full"] = "full"  # 5core: ids, stars and times only
    metadata: str | None = None  # name of the metadata file, if not the published one


class TianchiSource(Section):
    """Tianchi 231506 (Taobao clothes matching); needs a log-in, so from the mirror only."""

    format: Literal["tianchi"]


class PublishedSplitSource(Section):
    """A split published with the MEGCF code, with its token lists."""

    format: Literal["published_split"]
    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # amazon-beauty, Art or taobao


class TableColumns(Section):
    """The names of the columns in the user's own tables."""

    user: Text
    item: Text
    timestamp: Text | None = None
    rating: Text | None = None
    verified: Text | None = None  # whether the user bought the item
    raw_id: Text | None = None  # the item in the items file, if its name there is another
    title: Text | None = None
    description: Text | None = None
    image: Text | None = None  # an address, or a path below `pictures`


class TablesSource(Section):
    """The user's own interactions and items, as CSV, TSV, JSON lines or Parquet."""

    format: Literal["tables"]
    interactions: TableFile  # a file's name, or its address
    items: TableFile | None = None
    columns: TableColumns
    time: Literal["s", "ms", "iso"] = "s"  # the unit of `columns.timestamp`
    # further columns of `items` to keep, under their own names
    fields: list[Text] = Field(default_factory=list)
    folder: Text | None = None  # of the files; without it, they are in the mirror
    # the folder or archive that the paths in `columns.image` start from
    pictures: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")] | None = None

    @model_validator(mode="after")
    def _check_columns(self) -> TablesSource:
        of_items = [
            f"columns.{name}"
            for name in ("raw_id", "title", "description", "image")
            if getattr(self.columns, name) is not None
        ]
        if self.items is None and (of_items or self.fields):
            key = (of_items or ["fields"])[0]
            raise PydanticCustomError("items", f"expected `items`: {key} is a column of it")
        if self.columns.user == self.columns.item:
            raise PydanticCustomError(
                "columns", "expected other columns of users than of items"
            )
        return self


Source = Annotated[
    SampleSource
    | AmazonSource
    | Amazon2023Source
    | TianchiSource
    | PublishedSplitSource
    | TablesSource,
    Field(discriminator="format"),
]
