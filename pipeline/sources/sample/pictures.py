"""Draw the picture of an item: a simple illustration that shows its visible factors.

background -> shadow -> trims below -> body in colour and pattern -> trims above -> photo style
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.sources.sample import surfaces
from pipeline.sources.sample.factors import BY_NAME
from pipeline.sources.sample.silhouettes import SILHOUETTES, Points
from pipeline.sources.sample.surfaces import COLOURS, SIDE, Colour, Plane

JPEG_QUALITY = 88
FINE = 3  # outlines are drawn this many times larger and shrunk, for smooth edges
# Size, shift to the right and down (shares of the side), rotation (degrees).
POSES = ((0.86, 0.0, 0.0, 0.0), (0.80, -0.03, 0.02, -5.0), (0.83, 0.03, -0.01, 5.0))
CREAM, SLATE = (250, 245, 232), (70, 62, 78)  # second colour of a pattern on dark, on light
LIGHT = 140  # mean of RGB from which a colour counts as light
SHADOW_OFFSET, SHADOW_BLUR, SHADOW_DEPTH = (5, 8), 7, 0.42  # pixels, pixels, share of light
FRAME_WIDTH, FRAME_FOOT = 14, 34  # pixels
SEAM_DEPTH = 0.38  # share of light that a seam absorbs
VISIBLE = ("kind", "colour", "pattern", "background", "photo")

Trims = tuple[tuple[tuple[int, int, int], Plane], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Codes of the visible factors, and a pose; items with the same look share a picture."""

    kind: int
    colour: int
    pattern: int
    background: int
    photo: int
    pose: int


def draw(look: Look) -> Image.Image:
    """Return the picture of a look, RGB of SIDE x SIDE pixels."""
    names = {name: BY_NAME[name].values[getattr(look, name)] for name in VISIBLE}
    product = look.kind, look.pose
    scene: Colour = surfaces.background(names["background"]) * shade_behind(*product)
    scene = paint_trims(scene, trim_masks(*product, below=True))
    lit = cloth(names["colour"], names["pattern"]) * light_on(*product)
    scene = over(scene, lit, body_mask(*product))
    scene = paint_trims(scene, trim_masks(*product, below=False))
    styled = _PHOTO_STYLES[names["photo"]](scene)
    return Image.fromarray(np.clip(styled + 0.5, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    """Return the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def over(below: Colour, above: Colour, share: Plane) -> Colour:
    """Return `above` where `share` is 1 and `below` where it is 0."""
    return below + (above - below) * share[..., None]


@cache
def cloth(colour: str, pattern: str) -> Colour:
    """Return a picture filled with the fabric in its colour and pattern."""
    base = np.array(COLOURS[colour], np.float32)
    second = np.array(CREAM if base.mean() < LIGHT else SLATE, np.float32)
    return base + (second - base) * (0.92 * surfaces.pattern(pattern))[..., None]


def paint_trims(scene: Colour, trims: Trims) -> Colour:
    """Return the scene with trims painted over it."""
    for colour, mask in trims:
        scene = over(scene, np.array(colour, np.float32), mask)
    return scene


def blurred(mask: Plane, radius: float) -> Plane:
    """Return a mask with soft edges."""
    image = Image.fromarray((mask * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


@cache
def light_on(kind: int, pose: int) -> Plane:
    """Return the light on the body, (S, S, 1) around 1: from the upper left, dark at edges."""
    depth = blurred(body_mask(kind, pose), 9)
    x, y = surfaces.axes()
    light: Plane = 0.66 + 0.36 * depth + 0.10 * (0.5 - x) + 0.10 * (0.5 - y)
    return (light * (1 - SEAM_DEPTH * seam_mask(kind, pose)))[..., None]


@cache
def shade_behind(kind: int, pose: int) -> Plane:
    """Return the light on the background, (S, S, 1): a shadow to the lower right."""
    shape = SILHOUETTES[kind]
    product = (*shape.body, *(trim.outline for trim in (*shape.below, *shape.above)))
    shadow = np.roll(filled(product, pose), SHADOW_OFFSET, (1, 0))
    return (1 - SHADOW_DEPTH * blurred(shadow, SHADOW_BLUR))[..., None]


@cache
def body_mask(kind: int, pose: int) -> Plane:
    """Return where the body is, (S, S) in [0, 1]."""
    return filled(SILHOUETTES[kind].body, pose)


@cache
def trim_masks(kind: int, pose: int, *, below: bool) -> Trims:
    """Return the colour and the mask of each trim."""
    trims = SILHOUETTES[kind].below if below else SILHOUETTES[kind].above
    return tuple((trim.colour, filled((trim.outline,), pose)) for trim in trims)


def seam_mask(kind: int, pose: int) -> Plane:
    """Return where the seams and the outline of the body are."""
    shape = SILHOUETTES[kind]
    image = Image.new("L", (SIDE * FINE, SIDE * FINE))
    for line in shape.seams + tuple((*outline, outline[0]) for outline in shape.body):
        points = posed(line, pose)
        ImageDraw.Draw(image).line(points, fill=255, width=FINE + 2, joint="curve")
    return shrunk(image)


def filled(outlines: tuple[Points, ...], pose: int) -> Plane:
    """Return the mask of filled outlines."""
    image = Image.new("L", (SIDE * FINE, SIDE * FINE))
    for outline in outlines:
        ImageDraw.Draw(image).polygon(posed(outline, pose), fill=255)
    return shrunk(image)


def shrunk(image: Image.Image) -> Plane:
    """Return a fine image at the size of the picture, in [0, 1]."""
    return np.asarray(image.reduce(FINE), np.float32) / 255


def posed(outline: Points, pose: int) -> list[tuple[float, float]]:
    """Return the points of an outline in a pose, in pixels of the fine image."""
    size, right, down, degrees = POSES[pose]
    rotation = size * np.exp(1j * np.deg2rad(degrees))
    points = (np.array(outline) @ np.array([1, 1j]) - 0.5 - 0.5j) * rotation
    points = (points + 0.5 + 0.5j + right + 1j * down) * SIDE * FINE
    return list(zip(points.real.tolist(), points.imag.tolist(), strict=True))


def _neutral(scene: Colour) -> Colour:
    return scene


def _warm(scene: Colour) -> Colour:
    return scene * np.array((1.06, 0.98, 0.80), np.float32) + np.array((10, 3, 0), np.float32)


def _cold(scene: Colour) -> Colour:
    return scene * np.array((0.87, 0.96, 1.06), np.float32) + np.array((0, 3, 10), np.float32)


def _vignette(scene: Colour) -> Colour:
    x, y = surfaces.axes()
    radius = np.hypot(x - 0.5, y - 0.5)
    light: Plane = 1 - 0.75 * np.clip((radius - 0.36) / 0.36, 0, 1)
    return scene * light[..., None]


def _frame(scene: Colour) -> Colour:
    framed = np.full_like(scene, 252)
    inside = slice(FRAME_WIDTH, SIDE - FRAME_FOOT), slice(FRAME_WIDTH, SIDE - FRAME_WIDTH)
    framed[inside] = scene[inside]
    rim = np.zeros((SIDE, SIDE), np.float32)
    rim[FRAME_WIDTH - 1 : SIDE - FRAME_FOOT + 1, FRAME_WIDTH - 1 : SIDE - FRAME_WIDTH + 1] = 1
    rim[inside] = 0
    return framed * (1 - 0.35 * rim)[..., None]


_PHOTO_STYLES = {
    "neutral": _neutral,
    "warm": _warm,
    "cold": _cold,
    "vignette": _vignette,
    "frame": _frame,
}
