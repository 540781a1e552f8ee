"""The outlines of the kinds of product, as points of the unit square (x right, y down).

The body has the item's colour and pattern, trims have a fixed colour, and seams are thin lines
that make a flat outline readable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]
Points = tuple[Point, ...]

BRASS, CHALK, LEATHER, EBONY = (176, 141, 87), (240, 238, 232), (122, 82, 52), (54, 50, 48)


@dataclass(frozen=True, slots=True)
class Trim:
    """A part in a fixed RGB colour, drawn below or above the body."""

    outline: Points
    colour: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Silhouette:
    """One kind of product."""

    body: tuple[Points, ...]
    below: tuple[Trim, ...] = ()
    above: tuple[Trim, ...] = ()
    seams: tuple[Points, ...] = ()


def mirrored(*right: Point) -> Points:
    """Return a closed outline from the points of its right half, from top to bottom."""
    return right + tuple((1 - x, y) for x, y in reversed(right))


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """Return 48 points of an ellipse around (x, y)."""
    turns = [2 * math.pi * step / 48 for step in range(48)]
    return tuple((x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return a rectangle."""
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def lace(right: float, down: float) -> Trim:
    """Return one lace of the shoe, offset from the topmost."""
    corners = ((0.43, 0.385), (0.455, 0.375), (0.415, 0.475), (0.39, 0.475))
    return Trim(tuple((x + right, y + down) for x, y in corners), CHALK)


def curve(*points: Point) -> Points:
    """Return an open line whose corners are cut three times (Chaikin); the ends are kept."""
    for _ in range(3):
        cut = [points[0]]
        for (ax, ay), (bx, by) in pairwise(points):
            cut.append((0.75 * ax + 0.25 * bx, 0.75 * ay + 0.25 * by))
            cut.append((0.25 * ax + 0.75 * bx, 0.25 * ay + 0.75 * by))
        points = (*cut, points[-1])
    return points


DRESS = Silhouette(
    body=(
        mirrored(
            *curve((0.50, 0.24), (0.55, 0.23), (0.565, 0.10)),
            (0.60, 0.10),
            *curve((0.60, 0.14), (0.60, 0.22), (0.64, 0.27), (0.60, 0.38), (0.575, 0.44)),
            *curve((0.575, 0.45), (0.64, 0.60), (0.76, 0.87)),
            *curve((0.76, 0.87), (0.66, 0.915), (0.50, 0.92)),
        ),
    ),
    above=(Trim(box(0.424, 0.433, 0.576, 0.462), EBONY),),
    seams=(((0.46, 0.47), (0.39, 0.89)), ((0.54, 0.47), (0.61, 0.89))),
)
SHIRT = Silhouette(
    body=(
        mirrored(
            *curve((0.50, 0.24), (0.55, 0.23), (0.585, 0.16)),
            *curve((0.60, 0.155), (0.68, 0.18), (0.73, 0.22)),
            *((0.90, 0.40), (0.79, 0.50), (0.705, 0.41)),
            *curve((0.70, 0.42), (0.69, 0.62), (0.705, 0.86)),
            (0.50, 0.87),
        ),
    ),
    above=tuple(Trim(ellipse(0.5, 0.34 + 0.12 * i, 0.011, 0.011), CHALK) for i in range(5)),
    seams=(
        ((0.52, 0.26), (0.52, 0.86)),
        ((0.705, 0.41), (0.715, 0.25)),
        ((0.295, 0.41), (0.285, 0.25)),
        ((0.415, 0.16), (0.45, 0.27), (0.50, 0.25), (0.55, 0.27), (0.585, 0.16)),
    ),
)
TROUSERS = Silhouette(
    body=(
        mirrored(
            *((0.50, 0.10), (0.645, 0.10)),
            *curve((0.65, 0.13), (0.685, 0.28), (0.69, 0.50), (0.70, 0.91)),
            (0.56, 0.91),
            *curve((0.55, 0.80), (0.53, 0.50), (0.505, 0.36), (0.50, 0.36)),
        ),
    ),
    above=(
        Trim(box(0.353, 0.115, 0.647, 0.145), LEATHER),
        Trim(box(0.478, 0.108, 0.522, 0.152), BRASS),
    ),
    seams=(
        ((0.50, 0.15), (0.50, 0.36)),
        curve((0.60, 0.15), (0.61, 0.22), (0.675, 0.23)),
        curve((0.40, 0.15), (0.39, 0.22), (0.325, 0.23)),
        ((0.635, 0.32), (0.63, 0.91)),
        ((0.365, 0.32), (0.37, 0.91)),
    ),
)
SKIRT = Silhouette(
    body=(
        mirrored(
            *((0.50, 0.24), (0.625, 0.24)),
            *curve((0.63, 0.28), (0.72, 0.46), (0.85, 0.74)),
            *curve((0.85, 0.74), (0.80, 0.81), (0.74, 0.74), (0.68, 0.84), (0.61, 0.77)),
            *curve((0.61, 0.77), (0.56, 0.85), (0.50, 0.78)),
        ),
    ),
    above=(Trim(box(0.372, 0.225, 0.628, 0.278), EBONY),),
    seams=(
        ((0.54, 0.29), (0.61, 0.77)),
        ((0.46, 0.29), (0.39, 0.77)),
        ((0.59, 0.29), (0.74, 0.74)),
        ((0.41, 0.29), (0.26, 0.74)),
    ),
)
SOLE = (
    *((0.10, 0.64), (0.91, 0.64)),
    *curve((0.93, 0.64), (0.945, 0.72), (0.89, 0.735)),
    *curve((0.14, 0.735), (0.09, 0.73), (0.095, 0.64)),
)
SHOE = Silhouette(
    body=(
        (
            *curve((0.12, 0.66), (0.11, 0.50), (0.15, 0.36)),
            *curve((0.15, 0.36), (0.20, 0.33), (0.24, 0.40), (0.36, 0.40), (0.40, 0.31)),
            *curve((0.40, 0.31), (0.47, 0.31), (0.55, 0.45), (0.76, 0.52), (0.90, 0.57)),
            *curve((0.90, 0.57), (0.93, 0.62), (0.91, 0.67)),
        ),
    ),
    above=(Trim(SOLE, CHALK), *(lace(0.05 * i, 0.034 * i) for i in range(4))),
    seams=(
        curve((0.72, 0.51), (0.73, 0.58), (0.80, 0.63)),
        curve((0.24, 0.40), (0.30, 0.52), (0.27, 0.64)),
        ((0.10, 0.69), (0.93, 0.69)),
    ),
)
HANDLE = (
    *curve((0.33, 0.44), (0.34, 0.12), (0.50, 0.10), (0.66, 0.12), (0.67, 0.44)),
    *curve((0.63, 0.44), (0.62, 0.17), (0.50, 0.15), (0.38, 0.17), (0.37, 0.44)),
)
BAG = Silhouette(
    body=(
        (
            (0.23, 0.40),
            (0.77, 0.40),
            *curve((0.79, 0.55), (0.83, 0.80), (0.83, 0.88), (0.77, 0.88)),
            *curve((0.23, 0.88), (0.17, 0.88), (0.17, 0.80), (0.21, 0.55)),
        ),
    ),
    below=(Trim(HANDLE, LEATHER),),
    above=(
        Trim(box(0.228, 0.395, 0.772, 0.43), LEATHER),
        Trim(ellipse(0.35, 0.455, 0.018, 0.018), BRASS),
        Trim(ellipse(0.65, 0.455, 0.018, 0.018), BRASS),
    ),
    seams=(((0.19, 0.80), (0.81, 0.80)),),
)
RIBBON = (
    *curve((0.267, 0.57), (0.50, 0.62), (0.733, 0.57)),
    *curve((0.743, 0.645), (0.50, 0.70), (0.257, 0.645)),
)
HAT = Silhouette(
    body=(
        curve(
            *((0.05, 0.64), (0.16, 0.55), (0.84, 0.55), (0.95, 0.64)),
            *((0.84, 0.80), (0.16, 0.80), (0.05, 0.64)),
        ),
        (
            *curve((0.26, 0.64), (0.29, 0.36), (0.38, 0.24), (0.50, 0.30)),
            *curve((0.50, 0.30), (0.62, 0.24), (0.71, 0.36), (0.74, 0.64)),
            *curve((0.74, 0.64), (0.50, 0.70), (0.26, 0.64)),
        ),
    ),
    above=(Trim(RIBBON, EBONY),),
    seams=(curve((0.40, 0.30), (0.50, 0.38), (0.60, 0.30)),),
)
LAMP = Silhouette(
    body=(
        (
            (0.37, 0.12),
            *curve((0.37, 0.12), (0.50, 0.105), (0.63, 0.12)),
            (0.78, 0.50),
            *curve((0.78, 0.50), (0.50, 0.54), (0.22, 0.50)),
        ),
    ),
    below=(
        Trim(box(0.482, 0.48, 0.518, 0.86), BRASS),
        Trim(ellipse(0.5, 0.65, 0.042, 0.05), BRASS),
        Trim(
            curve((0.33, 0.91), (0.34, 0.85), (0.50, 0.83), (0.66, 0.85), (0.67, 0.91)), BRASS
        ),
    ),
    seams=(curve((0.23, 0.475), (0.50, 0.515), (0.77, 0.475)),),
)

# In the order of the values of the factor `kind`.
SILHOUETTES = (DRESS, SHIRT, TROUSERS, SKIRT, SHOE, BAG, HAT, LAMP)
