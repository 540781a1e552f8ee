"""A picture file to an upright RGB picture: what `images` calls ok, every extractor can read.

Shared by the stage that packs the pictures and the extractors that read them, so that a picture
that was accepted cannot fail hours later in a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.job.errors import RawDataError, SchemaError
from pipeline.tables import schema as s
from pipeline.tables.io import check_columns

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 50_000_000  # a product picture has a few million; more is a decompression bomb
LARGE = 4_000_000  # pixels; see `_for_large`
ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
# EXIF 2.32, tag 0x0112: what brings the stored picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
IN_WORDS = (
    "first frame; upright by EXIF; transparency over white; 16 bits cut to 8; floating point "
    "stretched to its own range; RGB"
)
# A small file may hold MAX_PIXELS, which take a gigabyte while they are turned to RGB. Such
# come one by one, in one thread: the C library keeps what a thread has freed for that thread.
_for_large = ThreadPoolExecutor(1)


def read_pictures(path: Path, items: Iterable[int]) -> dict[int, bytes]:
    """Return the picture files of `items` that have one; the others are never loaded.

    Raises:
        SchemaError: the table is absent or is not schema.IMAGES.
    """
    if not path.exists():
        raise SchemaError(f"{path}: no such table; run the stage that writes it first")
    rows = pl.scan_parquet(path, glob=False)
    check_columns(rows.head(0).collect(), s.IMAGES, str(path))
    good = (pl.col("status") == "ok") & pl.col(s.ITEM).is_in(sorted(items))
    return dict(rows.filter(good).select(s.ITEM, "bytes").collect().iter_rows())


def open_rgb(data: bytes) -> Image.Image:
    """Decode a picture file whole.

    Args:
        data: a file in one of `FORMATS`.

    Returns:
        The first frame, upright, mode RGB.

    Raises:
        RawDataError: it is empty, in no such format, damaged, cut short or too large.
    """
    if not data:
        raise RawDataError("zero bytes")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RawDataError(f"more than {MAX_PIXELS} pixels")
            if image.width * image.height > LARGE:
                return _for_large.submit(_decode, image).result()
            return _decode(image)
    except RawDataError:
        raise
    except UnidentifiedImageError:
        raise RawDataError(f"not a picture in {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RawDataError(f"more than {MAX_PIXELS} pixels") from None
    # Pillow's decoders raise nearly anything on damaged files: OSError, SyntaxError,
    # ValueError, EOFError, struct.error, IndexError, TypeError. The caller counts them.
    except Exception as error:
        raise RawDataError(f"damaged ({type(error).__name__})") from error


def _decode(image: Image.Image) -> Image.Image:
    image.load()
    return _upright(image, _to_rgb(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _grey(_high_bytes(image))
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image).astype(np.float64))
        span = values.max() - values.min()
        return _grey((values - values.min()) / (span or 1.0) * 255)
    return image.convert("RGB")


def _high_bytes(image: Image.Image) -> np.ndarray:
    """Cut 16 bits to 8; what the file declares transparent is white."""
    values = np.asarray(image)
    high = values.clip(0, 65535) >> 8
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        high[values == transparent] = 255
    return high


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _upright(image: Image.Image, rgb: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged EXIF block says nothing; the picture itself is whole
        return rgb
    turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)
