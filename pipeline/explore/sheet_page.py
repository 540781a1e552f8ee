"""The page of stage `feature_sheet`.

Titles and metadata come from outside: the template escapes every text. Each picture is embedded
once, as the background of a CSS class. The page has no scripts and loads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.explore import sheet_charts
from pipeline.explore.neighbours import Neighbour, Numbers
from pipeline.job.errors import SchemaError
from pipeline.pages import gallery, template
from pipeline.tables.pictures import read_pictures


@dataclass(frozen=True)
class Space:
    """Measurements of a feature table's vectors; M items are sampled."""

    n_zero: int  # present items whose vector is all zeros
    copies: tuple[int, int]  # items that share their vector, and the largest such group
    lengths: Numbers  # of the present items
    shares: Numbers  # of the sample's variance by principal direction, largest first
    by_chance: Numbers  # cosines of random pairs
    sample: list[int]  # M items, in random order
    places: Numbers  # (M, 2) on the map, from 0 to 1
    neighbours: dict[int, list[Neighbour]]  # by query


@dataclass(frozen=True)
class Sheet:
    """The content of the page, without the pictures."""

    dataset: str
    modality: str
    metadata: dict[str, Any]
    items: pl.DataFrame
    n_present: int
    space: Space | None  # None if all vectors have length 0


def parsed(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return a feature file's metadata with its JSON values as dictionaries.

    Raises:
        SchemaError: `preprocessing` or `versions` is not a JSON object.
    """
    values: dict[str, Any] = dict(metadata)
    for name in ("preprocessing", "versions"):
        try:
            values[name] = json.loads(metadata[name])
        except json.JSONDecodeError:
            values[name] = None
        if not isinstance(values[name], dict):
            raise SchemaError(
                f"{path}: metadata {name}: expected a JSON object, got "
                f"{metadata[name][:60]!r}; run `python -m pipeline.features` again"
            )
    return values


def render(sheet: Sheet, images: Path) -> str:
    """Return the page.

    Args:
        sheet: everything but the pictures.
        images: their table, schema.IMAGES.

    Raises:
        SchemaError: the table is absent or is not schema.IMAGES.
    """
    pictured = gallery.pictured(images)
    drawn = _drawn(sheet.space, pictured) if sheet.space else {}
    shown = _shown(sheet.space, drawn["map"]) if sheet.space else set()
    return template.render(
        "sheet",
        sheet=sheet,
        space=sheet.space,
        labels=gallery.labels(sheet.items, shown),
        thumbnails=gallery.thumbnails(read_pictures(images, shown & pictured)),
        in_words=in_words,
        cell=(100 / sheet_charts.COLUMNS, 100 / sheet_charts.ROWS),
        **drawn,
    )


def in_words(value: object) -> str:
    """Return a value of the metadata as readable text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(entry)}" for key, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(in_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _drawn(space: Space, pictured: Set[int]) -> dict[str, Any]:
    """Return the charts, the map, and quantiles of the cosines of random pairs."""
    charts = [sheet_charts.length_bars(space.lengths), sheet_charts.variance_bars(space.shares)]
    queries, cosines = list(space.neighbours), space.by_chance
    return {
        "charts": charts,
        "map": sheet_charts.map_of(space.sample, space.places, queries, pictured),
        "by_chance": np.quantile(cosines, [0.5, 0.95]) if len(cosines) else None,  # one item
    }


def _shown(space: Space, drawn: sheet_charts.Map) -> set[int]:
    """Return the items whose picture or title is on the page."""
    neighbours = {near.item for row in space.neighbours.values() for near in row}
    return neighbours | set(space.neighbours) | {spot.item for spot in drawn.spots}
