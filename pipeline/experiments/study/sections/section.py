"""Sections of the study's page: paragraphs, tables and figures, the same for every format.

A section is data. Another program adds one to the page and to the Markdown by writing a list of
them as JSON, which `read_parts` checks: see `--more` of study/page.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.job.errors import SchemaError
from pipeline.params.section import Name, Section
from pipeline.tables.io import read_json


class Row(Section):
    """One line of a table: one cell per column of the head, the first is its name."""

    cells: list[str]
    best: list[int] = Field(default_factory=list)  # columns in which no row is better
    paper: bool = False  # printed in the paper


class Table(Section):
    """A table with its caption."""

    title: str
    head: list[str]
    rows: list[Row]
    caption: str = ""
    words: list[int] = Field(default_factory=list)  # columns of text, which may wrap


class Part(Section):
    """A section of the page."""

    name: Name  # its anchor
    title: str
    text: list[str] = Field(default_factory=list)  # paragraphs
    tables: list[Table] = Field(default_factory=list)
    figures: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]] = Field(
        default_factory=list
    )


def read_parts(path: Path) -> list[Part]:
    """Read sections that another program wrote.

    Raises:
        SchemaError: the file is absent, is no list of sections, or a row is too long or short.
    """
    try:
        parts = TypeAdapter(list[Part]).validate_python(read_json(path))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise SchemaError(
            f"{path}: {key}: {problem['msg']}, got {problem['input']!r}"
        ) from None
    for table in (table for part in parts for table in part.tables):
        for row in table.rows:
            if len(row.cells) != len(table.head):
                raise SchemaError(
                    f"{path}: {table.title}: expected {len(table.head)} cells, got {row.cells}"
                )
    return parts
