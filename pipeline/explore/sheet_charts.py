"""The charts of a feature sheet: bars of lengths and of variance, and a map of the items.

Numbers only; the template turns them into SVG and HTML.

Shapes: M sampled items.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from pipeline.explore.neighbours import Numbers

BINS = 40  # of the histogram of lengths
DIRECTIONS = 40  # bars of variance
COLUMNS, ROWS = 19, 13  # of the map's grid of pictures; cells are about square, the map 3 : 2
REACH = 2.5  # cells, the largest distance of a picture from its place
TITLE_BOX = (0.2, 0.06)  # width and height, as shares of the map's
MOST_TITLES = 40


@dataclass(frozen=True)
class Bars:
    """A bar chart."""

    title: str
    words: str  # the text alternative
    x: str
    y: str
    edges: list[float]  # one more than there are bars
    heights: list[float]
    xs: list[float]  # ticks
    ys: list[float]


@dataclass(frozen=True)
class Spot:
    """An item whose picture or title is on the map."""

    item: int
    left: float  # of its centre, in per cent of the map's width
    top: float
    query: int  # its number, from 1; 0 if it is not a query


@dataclass(frozen=True)
class Map:
    """The sampled items: some as spots that do not overlap, the others as dots."""

    pictures: bool  # the spots are pictures, else titles beside their dots
    spots: list[Spot]
    dots: list[tuple[float, float]]  # per cent of width and height


def map_of(
    sample: Sequence[int], places: Numbers, queries: Sequence[int], pictured: Set[int]
) -> Map:
    """Choose the spots of the map: the queries first, then other items as space permits.

    Args:
        sample: M items, in random order.
        places: (M, 2), from 0 to 1.
        queries: some of the sample.
        pictured: the items that have a picture. If no item of the sample has one, titles are
            chosen.
    """
    number = {item: place for place, item in enumerate(queries, start=1)}
    order = sorted(range(len(sample)), key=lambda row: number.get(sample[row], len(sample)))
    pictures = not pictured.isdisjoint(sample)
    size = (1 / COLUMNS, 1 / ROWS) if pictures else TITLE_BOX
    centres = np.array(size) / 2 + places * (1 - np.array(size))
    if pictures:
        chosen = on_grid(centres, [row for row in order if sample[row] in pictured])
    else:
        chosen = {row: centres[row] for row in thinned(centres, order, size)[:MOST_TITLES]}
    spots = [
        Spot(sample[r], *_percent(at), number.get(sample[r], 0)) for r, at in chosen.items()
    ]
    dots = [row for row in range(len(sample)) if not pictures or row not in chosen]
    return Map(pictures, spots, [_percent(centres[row]) for row in dots])


def on_grid(places: Numbers, order: Sequence[int]) -> dict[int, Numbers]:
    """Assign each row the grid cell at its place or, if taken, the nearest free one in reach.

    Args:
        places: (M, 2), from 0 to 1.
        order: rows by priority.

    Returns:
        row -> (2,), the centre of its cell, from 0 to 1. Rows without a cell are left out.
    """
    cells = np.array([COLUMNS, ROWS])
    first: dict[tuple[int, int], int] = {}  # cell -> the first row whose place is in it
    for row in order:
        column, line = np.minimum(places[row] * cells, cells - 1).astype(int).tolist()
        first.setdefault((column, line), row)
    centres = {row: (np.array(cell) + 0.5) / cells for cell, row in first.items()}
    free = np.array([cell for cell in np.ndindex(COLUMNS, ROWS) if cell not in first]) + 0.5
    for row in (row for row in order if row not in centres):
        distance = np.linalg.norm(free.reshape(-1, 2) - places[row] * cells, axis=1)
        if len(free) and distance.min() <= REACH:
            nearest = distance.argmin()
            centres[row] = free[nearest] / cells
            free = np.delete(free, nearest, axis=0)
    return centres


def thinned(places: Numbers, order: Iterable[int], size: tuple[float, float]) -> list[int]:
    """Return rows whose boxes do not overlap.

    Args:
        places: (M, 2) centres.
        order: rows by priority.
        size: width and height of a box, in the unit of `places`.
    """
    kept: list[int] = []
    for row in order:
        apart = np.abs(places[kept] - places[row]) >= size
        if apart.any(axis=1).all():
            kept.append(row)
    return kept


def length_bars(length: Numbers) -> Bars:
    """Return the histogram of the vectors' lengths; it starts at 0, to show the real spread.

    Args:
        length: (n,), n at least 1.
    """
    heights, edges = np.histogram(length, BINS, (0, length.max() or 1))
    low, middle, high = np.quantile(length, [0, 0.5, 1])
    words = f"from {low:.4g} to {high:.4g}, median {middle:.4g}"
    return _bars("Length of the vectors", words, ("Euclidean norm", "items"), edges, heights)


def variance_bars(shares: Numbers) -> Bars:
    """Return the shares of variance of the first principal directions, in per cent.

    Args:
        shares: all of them, the largest first, sum 1; or zeros.
    """
    heights = 100 * shares[:DIRECTIONS]
    edges = np.arange(len(heights) + 1) + 0.5
    words = f"{heights[0]:.3g} % in the first direction, {directions(shares, 0.9)} hold 90 %"
    axes = ("principal direction", "% of variance")
    return _bars("Variance by direction", words, axes, edges, heights)


def directions(shares: Numbers, part: float) -> int:
    """Return how many of the first directions hold `part` of the variance."""
    return int(np.searchsorted(shares.cumsum(), part * shares.sum() - 1e-12)) + 1


def _bars(
    title: str, words: str, axes: tuple[str, str], edges: np.ndarray, heights: np.ndarray
) -> Bars:
    locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    xs = [float(x) for x in locator.tick_values(edges[0], edges[-1])]
    ys = [float(y) for y in locator.tick_values(0, heights.max() or 1)]
    xs = [x for x in xs if edges[0] <= x <= edges[-1]]
    return Bars(title, words, *axes, edges.tolist(), heights.tolist(), xs, ys)


def _percent(place: Numbers) -> tuple[float, float]:
    return round(100 * float(place[0]), 2), round(100 * float(place[1]), 2)
