"""Colours and patterns of fabrics, and backgrounds of photographs, as arrays.

S is the side of the picture in pixels; x and y run over the picture from 0 to 1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 256  # pixels; slightly more than the 224 of VGG16, so that its crop removes something
EDGE = 90.0  # steepness of a pattern's edges: about two pixels wide
COLOURS = {
    "crimson": (190, 36, 52),
    "mustard": (219, 164, 40),
    "forest green": (38, 104, 64),
    "sky blue": (112, 178, 226),
    "navy": (34, 50, 108),
    "rose pink": (234, 140, 164),
    "plum": (118, 54, 124),
    "charcoal": (98, 93, 90),
}

Plane = NDArray[np.floating[Any]]  # (S, S) in [0, 1]
Colour = NDArray[np.floating[Any]]  # (S, S, 3) in [0, 255]


@cache
def axes() -> tuple[Plane, Plane]:
    """Return (S, S) x and y of every pixel."""
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    x, y = np.meshgrid(line, line)
    return x, y


def ink(signed: Plane) -> Plane:
    """Return 1 where `signed` (in units of the picture) is positive, with a soft edge."""
    return np.clip(0.5 + signed * EDGE, 0, 1)


@cache
def pattern(name: str) -> Plane:
    """Return where a pattern has its second colour, (S, S) in [0, 1]."""
    return _PATTERNS[name](*axes()).astype(np.float32)


def _plain(x: Plane, y: Plane) -> Plane:
    return np.zeros_like(x)


def _stripes(x: Plane, y: Plane) -> Plane:
    period = 0.085
    return ink(0.021 - np.abs(x % period - period / 2))


def _dots(x: Plane, y: Plane) -> Plane:
    u, v = _staggered(x, y, 0.085)
    return ink(0.023 - np.hypot(u, v))


def _checks(x: Plane, y: Plane) -> Plane:
    half = 0.11 / 2
    across, down = (ink(half / 2 - np.abs(axis % 0.11 - half)) for axis in (x, y))
    return (across + down) / 2


def _zigzag(x: Plane, y: Plane) -> Plane:
    wave = np.abs(x % 0.11 - 0.055)
    return ink(0.020 - np.abs((y + wave) % 0.09 - 0.045))


def _blossoms(x: Plane, y: Plane) -> Plane:
    u, v = _staggered(x, y, 0.15)
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    petals = ink(0.030 + 0.017 * np.cos(5 * angle) - radius)
    return petals * (1 - ink(0.011 - radius))


def _staggered(x: Plane, y: Plane, period: float) -> tuple[Plane, Plane]:
    """Return each pixel's offset from the nearest centre of a grid with shifted rows."""
    row = np.floor(y / period)
    u = (x + row % 2 * period / 2) % period - period / 2
    return u, y % period - period / 2


_PATTERNS = {
    "plain": _plain,
    "stripes": _stripes,
    "dots": _dots,
    "checks": _checks,
    "zigzag": _zigzag,
    "blossoms": _blossoms,
}


@cache
def background(name: str) -> Colour:
    """Return the background of a photograph, (S, S, 3) in [0, 255]."""
    return _BACKGROUNDS[name](*axes()).astype(np.float32)


def _blend(first: tuple[int, ...], second: tuple[int, ...], share: Plane) -> Colour:
    """Return `first` where `share` is 0 and `second` where it is 1."""
    low, high = np.array(first, np.float32), np.array(second, np.float32)
    return low + (high - low) * share[..., None]


def _grain(seed: int, columns: int, rows: int) -> Plane:
    """Return noise of rows x columns cells, (S, S) in [0, 1]."""
    coarse = np.random.default_rng(seed).random((rows, columns), dtype=np.float32)
    return np.repeat(np.repeat(coarse, SIDE // rows, axis=0), SIDE // columns, axis=1)


def _studio(x: Plane, y: Plane) -> Colour:
    return _blend((250, 250, 250), (222, 224, 228), np.hypot(x - 0.5, y - 0.42))


def _wood(x: Plane, y: Plane) -> Colour:
    plank = np.floor(y * 5)
    fibre = 0.5 + 0.5 * np.sin(95 * y + 7 * np.sin(4 * x + 2.1 * plank) + 3 * plank)
    tone = 0.35 * fibre + 0.4 * (plank * 0.37 % 1) + 0.15 * _grain(1, 32, 256)
    gap = ink(0.006 - np.abs(y * 5 % 1 / 5))
    return _blend((190, 146, 100), (139, 98, 62), tone) * (1 - 0.45 * gap[..., None])


def _grass(x: Plane, y: Plane) -> Colour:
    blades = 0.6 * _grain(2, 128, 32) + 0.4 * _grain(3, 256, 64)
    return _blend((96, 138, 62), (166, 198, 108), blades * (0.55 + 0.45 * y))


def _room(x: Plane, y: Plane) -> Colour:
    floor, skirting = ink(y - 0.74), ink(0.018 - np.abs(y - 0.725))
    wall = _blend((214, 222, 216), (196, 206, 201), ink(0.04 - np.abs(x % 0.16 - 0.08)))
    boards = _blend((168, 132, 104), (150, 116, 90), ink(0.003 - np.abs((x - y) % 0.14 - 0.07)))
    scene = wall * (1 - floor[..., None]) + boards * floor[..., None]
    return scene + (np.float32(246) - scene) * skirting[..., None]


def _dusk(x: Plane, y: Plane) -> Colour:
    sun = ink((0.17 - np.hypot(x - 0.8, y - 0.24)) / 4)
    sky = _blend((118, 104, 178), (250, 176, 132), y)
    return sky + (np.array((255, 224, 170), np.float32) - sky) * sun[..., None]


_BACKGROUNDS = {
    "studio": _studio,
    "wood": _wood,
    "grass": _grass,
    "room": _room,
    "dusk": _dusk,
}
