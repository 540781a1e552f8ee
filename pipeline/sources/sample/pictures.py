"""The picture of an item: a simple product illustration that shows its visible factors.

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
from pipeline.sources.sample.surfaces import SIDE, Colour, Plane

JPEG_QUALITY = 88
FINE = 3  # outlines are drawn this many times larger and shrunk, for smooth edges
# Each look is drawn in these poses, and then used again: size, shift to the right and down
# (shares of the side), turn (degrees).
POSES = ((0.86, 0.0, 0.0, 0.0), (0.80, -0.03, 0.02, -5.0), (0.83, 0.03, -0.01, 5.0))

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
CREAM, SLATE = (250, 245, 232), (70, 62, 78)  # a pattern's second colour on dark and on light
LIGHT = 140  # mean of RGB from which a colour counts as light
SHADOW_OFFSET, SHADOW_BLUR, SHADOW_DEPTH = (5, 8), 7, 0.42  # pixels, pixels, share of light
FRAME_WIDTH, FRAME_FOOT = 14, 34  # pixels

SEAM_DEPTH = 0.38  # share of light that a seam takes
VISIBLE = ("kind", "colour", "pattern", "background", "photo")

Trims = tuple[tuple[tuple[int, int, int], Plane], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """All that a picture depends on; items of one look share their picture."""

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
    return to_image(_PHOTOS[names["photo"]](scene))


def jpeg(image: Image.Image) -> bytes:
    """Return the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def to_image(scene: Colour) -> Image.Image:
    """Return an RGB image of an array in [0, 255]; values outside are clipped."""
    return Image.fromarray(np.clip(scene + 0.5, 0, 255).astype(np.uint8))


def over(below: Colour, above: Colour, share: Plane) -> Colour:
    """Return `above` where `share` is 1 and `below` where it is 0."""
    return below + (above - below) * share[..., None]


@cache
def cloth(colour: str, pattern: str) -> Colour:
    """Return the fabric in its colour with its pattern, as if it filled the picture."""
    base = np.array(COLOURS[colour], np.float32)
    second = np.array(CREAM if base.mean() < LIGHT else SLATE, np.float32)
    return base + (second - base) * (0.92 * surfaces.pattern(pattern))[..., None]


def paint_trims(scene: Colour, trims: Trims) -> Colour:
    """Return the scene with some trims painted over it."""
    for colour, mask in trims:
        scene = over(scene, np.array(colour, np.float32), mask)
    return scene


def blurred(mask: Plane, radius: float) -> Plane:
    """Return a mask with soft edges."""
    image = Image.fromarray((mask * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


# --- light and masks, one per kind and pose ----------------------------------------------


@cache
def light_on(kind: int, pose: int) -> Plane:
    """Return the light on the body, (S, S, 1) around 1: from the upper left, less at rims."""
    depth = blurred(body_mask(kind, pose), 9)
    x, y = surfaces.axes()
    light: Plane = 0.66 + 0.36 * depth + 0.10 * (0.5 - x) + 0.10 * (0.5 - y)
    light = light * (1 - SEAM_DEPTH * seam_mask(kind, pose))
    return light[..., None]


@cache
def shade_behind(kind: int, pose: int) -> Plane:
    """Return the light on the background, (S, S, 1): less to the lower right of the product."""
    shadow = np.roll(full_mask(kind, pose), SHADOW_OFFSET, (1, 0))
    return (1 - SHADOW_DEPTH * blurred(shadow, SHADOW_BLUR))[..., None]


@cache
def body_mask(kind: int, pose: int) -> Plane:
    """Return where the body is, (S, S) in [0, 1]."""
    return filled(SILHOUETTES[kind].body, pose)


@cache
def full_mask(kind: int, pose: int) -> Plane:
    """Return where any part of the product is."""
    shape = SILHOUETTES[kind]
    return filled((*shape.body, *(t.outline for t in (*shape.below, *shape.above))), pose)


@cache
def trim_masks(kind: int, pose: int, *, below: bool) -> Trims:
    """Return (colour, mask) of each trim."""
    trims = SILHOUETTES[kind].below if below else SILHOUETTES[kind].above
    return tuple((trim.colour, filled((trim.outline,), pose)) for trim in trims)


@cache
def seam_mask(kind: int, pose: int) -> Plane:
    """Return where the seams and the outline of the body are."""
    shape = SILHOUETTES[kind]
    canvas = Image.new("L", (SIDE * FINE, SIDE * FINE))
    pen = ImageDraw.Draw(canvas)
    for line in shape.seams + tuple((*outline, outline[0]) for outline in shape.body):
        pen.line(posed(line, pose), fill=255, width=FINE + 2, joint="curve")
    return shrunk(canvas)


def filled(outlines: tuple[Points, ...], pose: int) -> Plane:
    """Return the mask of some filled outlines."""
    canvas = Image.new("L", (SIDE * FINE, SIDE * FINE))
    pen = ImageDraw.Draw(canvas)
    for outline in outlines:
        pen.polygon(posed(outline, pose), fill=255)
    return shrunk(canvas)


def shrunk(canvas: Image.Image) -> Plane:
    """Return a canvas at the picture's size, in [0, 1]."""
    return np.asarray(canvas.reduce(FINE), np.float32) / 255


def posed(outline: Points, pose: int) -> list[tuple[float, float]]:
    """Return the points of an outline on the fine canvas."""
    size, right, down, degrees = POSES[pose]
    turn = size * np.exp(1j * np.deg2rad(degrees))
    points = (np.array(outline) @ np.array([1, 1j]) - 0.5 - 0.5j) * turn
    points = (points + 0.5 + 0.5j + right + 1j * down) * SIDE * FINE
    return list(zip(points.real.tolist(), points.imag.tolist(), strict=True))


# --- photo styles ------------------------------------------------------------------------


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


_PHOTOS = {
    "neutral": _neutral,
    "warm": _warm,
    "cold": _cold,
    "vignette": _vignette,
    "frame": _frame,
}
