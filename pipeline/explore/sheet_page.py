"""The page of stage `look`.

Titles and metadata come from strangers: the template escapes every text. Pictures become small
JPEGs, each once, as the background of a CSS class. The page has no script and asks for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.comparison.report import labels, thumbnail
from pipeline.explore import sheet_charts
from pipeline.explore.neighbours import Neighbour, Numbers
from pipeline.job.errors import SchemaError
from pipeline.pages import template
from pipeline.tables.pictures import read_pictures


@dataclass(frozen=True)
class Space:
    """What was measured; M items are sampled."""

    n_zero: int  # present items whose vector is all zeros
    copies: tuple[int, int]  # items that share their vector, and the largest such group
    lengths: Numbers  # of the present items
    shares: Numbers  # of the sample's variance by principal direction, largest first
    by_chance: Numbers  # cosines of pairs drawn at random
    sample: list[int]  # M items, in random order
    places: Numbers  # (M, 2) on the map, from 0 to 1
    neighbours: dict[int, list[Neighbour]]  # by query


@dataclass(frozen=True)
class Sheet:
    """What the page is made of, next to the pictures."""

    dataset: str
    modality: str
    metadata: dict[str, Any]
    items: pl.DataFrame
    n_present: int
    space: Space | None  # None if there is no vector to look at


def parsed(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return a feature file's metadata with what is JSON as dictionaries.

    Raises:
        SchemaError: `preprocessing` or `versions` is no JSON object.
    """
    found: dict[str, Any] = dict(metadata)
    for name in ("preprocessing", "versions"):
        try:
            found[name] = json.loads(metadata[name])
        except json.JSONDecodeError:
            found[name] = None
        if not isinstance(found[name], dict):
            raise SchemaError(
                f"{path}: metadata {name}: expected a JSON object, got "
                f"{metadata[name][:60]!r}; run `python -m pipeline.features` again"
            )
    return found


def render(sheet: Sheet, pictured: Set[int], images: Path) -> str:
    """Return the page.

    Args:
        sheet: all but the pictures.
        pictured: the items that have one.
        images: where they are, schema.IMAGES.
    """
    drawn = _drawn(sheet.space, pictured) if sheet.space else {}
    shown = _shown(sheet.space, drawn["map"]) if sheet.space else set()
    pictures = read_pictures(images, shown & pictured)
    small = {item: code for item in sorted(pictures) if (code := thumbnail(pictures[item]))}
    return template.render(
        "sheet",
        sheet=sheet,
        space=sheet.space,
        labels=labels(sheet.items, shown),
        thumbnails=small,
        in_words=in_words,
        cell=(100 / sheet_charts.COLUMNS, 100 / sheet_charts.ROWS),
        **drawn,
    )


def in_words(value: object) -> str:
    """Return a value of the metadata as a person would write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(one)}" for key, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(in_words(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _drawn(space: Space, pictured: Set[int]) -> dict[str, Any]:
    """Return the charts, the map and a few round numbers."""
    return {
        "charts": [
            sheet_charts.length_bars(space.lengths),
            sheet_charts.variance_bars(space.shares),
        ],
        "map": sheet_charts.map_of(
            space.sample, space.places, list(space.neighbours), pictured
        ),
        # Of one item there are no pairs.
        "by_chance": np.quantile(space.by_chance, [0.5, 0.95])
        if len(space.by_chance)
        else None,
    }


def _shown(space: Space, drawn: sheet_charts.Map) -> set[int]:
    """Return the items whose picture or title is on the page."""
    found = {near.item for row in space.neighbours.values() for near in row}
    return found | set(space.neighbours) | {spot.item for spot in drawn.spots}
