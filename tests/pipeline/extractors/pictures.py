"""Picture files for the tests of encoders."""

from __future__ import annotations

import io

import numpy as np
from paths import SHARED
from PIL import Image

# 192 real product pictures, 60 x 80 pixels, kept beside the project.
REAL = SHARED / "product_images"


def jpeg(seed: int, size: tuple[int, int] = (60, 80)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def real_pictures(n: int | None = None) -> list[bytes]:
    return [path.read_bytes() for path in sorted(REAL.glob("images/*.jpg"))[:n]]
