"""What Pillow leaves to its user: how much a file decodes to, and rare transparent colours."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

STRIP = 4_000_000  # pixels that are converted at once
SAMPLE_BYTES = {"F": 4, "I": 4, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # else 1
BITS = {"1": 1, "L;2": 2, "L;4": 4}  # of a grey sample of PNG, by how Pillow unpacks it
TILE_WIDTH, TILE_LENGTH = 322, 323  # TIFF 6.0, section 15


def decoded_bytes(image: Image.Image) -> int:
    """Return the bytes of all samples of an image that was not decoded yet."""
    pixels = image.width * image.height
    bits = 8 * len(image.getbands()) * SAMPLE_BYTES.get(image.mode, 1)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # A whole strip or tile is decoded at once, and a tile may be larger than the image.
        tag = image.tag_v2.get
        pixels = max(pixels, tag(TILE_WIDTH, 0) * tag(TILE_LENGTH, 0))
        bits = max(bits, sum(tag(TiffImagePlugin.BITSPERSAMPLE, ())))
    return pixels * bits // 8


def load(image: Image.Image, data: bytes) -> None:
    """Decode an image; of a PNG, correct the colour that is declared transparent.

    Args:
        image: just opened.
        data: its file.
    """
    unpacking = ""
    if isinstance(image, PngImagePlugin.PngImageFile) and image.tile:
        unpacking = str(image.tile[0].args)
    image.load()
    colour = image.info.get("transparency")
    if unpacking in BITS and isinstance(colour, int):
        # Pillow stretches the samples to 8 bits, but not the transparent one.
        most = 2 ** BITS[unpacking] - 1
        image.info["transparency"] = (colour & most) * 255 // most
    if unpacking == "RGB;16B" and isinstance(colour, tuple):
        del image.info["transparency"]
        image.putalpha(_opaque(image, data, np.array(colour, np.uint16)))


def _opaque(image: Image.Image, data: bytes, colour: np.ndarray) -> Image.Image:
    """Return a mask: 0 where an image of 16 bits a sample has a colour, else 255.

    All 16 bits count (PNG, third edition, 13.12). Pillow has unpacked the upper 8 of them.
    """
    mask = Image.new("L", image.size)
    with Image.open(BytesIO(data), formats=("PNG",)) as lower:
        lower.tile = [lower.tile[0]._replace(args="RGB;16L")]  # takes the lower 8
        for box in strips(image.size):
            upper_values, lower_values = (
                np.asarray(image.crop(box)),
                np.asarray(lower.crop(box)),
            )
            differs = (upper_values != colour >> 8) | (lower_values != colour & 255)
            mask.paste(Image.fromarray(differs.any(-1)), box)
    return mask


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes from top to bottom: left, upper, right, lower, of `STRIP` pixels or a row."""
    width, height = size
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)
