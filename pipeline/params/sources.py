"""Where a dataset comes from, as sections of params.yaml: `sources.<dataset>`.

The files of each format are listed in pipeline/published, and read in pipeline/sources. To add
one: a section here and in `Source`, a line in `FILES` and in `READERS`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from pipeline.params.section import Positive, Section

Text = Annotated[str, Field(min_length=1)]
NAME_OR_ADDRESS = r"^(https?://[^\s?#]+/)?[A-Za-z0-9_-][A-Za-z0-9._-]*"
TABLE_FILE = NAME_OR_ADDRESS + r"\.((csv|tsv|jsonl)(\.gz)?|parquet)$"
INTER_FILE = NAME_OR_ADDRESS + r"\.inter$"
FEATURE_FILE = NAME_OR_ADDRESS + r"\.(npy|parquet)$"


def _check_file(pattern: str, endings: str, name: str) -> str:
    if not re.fullmatch(pattern, name):
        raise PydanticCustomError(
            "table_file",
            "expected the name of a file in the source's folder, of letters, digits, `.`, `_` "
            "and `-`, or an http(s) address that ends in one, and at its end {endings}",
            {"endings": endings},
        )
    return name


# Each is a file name, or an http(s) address that ends in one.
TableFile = Annotated[
    str,
    AfterValidator(
        partial(
            _check_file,
            TABLE_FILE,
            ".csv, .tsv or .jsonl (each also with .gz) or .parquet; rename the file, or write "
            "it in one of these formats",
        )
    ),
    WithJsonSchema({"type": "string", "pattern": TABLE_FILE}),
]
InterFile = Annotated[
    str,
    AfterValidator(partial(_check_file, INTER_FILE, ".inter")),
    WithJsonSchema({"type": "string", "pattern": INTER_FILE}),
]
FeatureFile = Annotated[
    str,
    AfterValidator(partial(_check_file, FEATURE_FILE, ".npy or .parquet")),
    WithJsonSchema({"type": "string", "pattern": FEATURE_FILE}),
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


class OwnFiles(Section):
    """A source whose files are in a folder of the user, or in the mirror."""

    folder: Text | None = None  # of the files; without it, they are in the mirror


class TablesSource(OwnFiles):
    """The user's own interactions and items, as CSV, TSV, JSON lines or Parquet."""

    format: Literal["tables"]
    interactions: TableFile  # a file's name, or its address
    items: TableFile | None = None
    columns: TableColumns
    time: Literal["s", "ms", "iso"] = "s"  # the unit of `columns.timestamp`
    # further columns of `items` to keep, under their own names
    fields: list[Text] = Field(default_factory=list)
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


class InterColumns(Section):
    """The names of the columns of a published benchmark, where they are not the usual ones."""

    user: Text | None = None  # usual: userID or user_id
    item: Text | None = None  # usual: itemID or item_id
    label: Text | None = None  # usual: x_label
    timestamp: Text | None = None  # usual: timestamp, if there is one
    rating: Text | None = None  # usual: rating, if there is one


class InterSource(OwnFiles):
    """A published benchmark: a tab-separated file whose labels say which part a row is of."""

    format: Literal["inter"]
    interactions: InterFile  # a file's name, or its address
    columns: InterColumns = InterColumns()
    time: Literal["s", "ms", "iso"] = "s"  # the unit of the timestamps
    # feature files to bring along, for `precomputed`: names or addresses
    files: list[FeatureFile] = Field(default_factory=list)


# Formats whose files say which interactions are train, validation and test.
WITH_SPLIT = ("published_split", "inter")

Source = Annotated[
    SampleSource
    | AmazonSource
    | Amazon2023Source
    | TianchiSource
    | PublishedSplitSource
    | TablesSource
    | InterSource,
    Field(discriminator="format"),
]
