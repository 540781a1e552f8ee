"""The table of pictures: read it, read each distinct picture once, decode a picture to RGB.

The stage that packs the pictures and the extractors decode them with the same function, so that
an accepted picture cannot fail later in an extractor.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.job.errors import RawDataError, SchemaError
from pipeline.tables.features import Vector
from pipeline.tables.io import scan_parquet
from pipeline.tables.picture_files import decoded_bytes, load, strips
from pipeline.tables.schema import IMAGES, ITEM
from pipeline.tables.verified import opened

ROWS = 256  # pictures in memory at once

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 50_000_000  # a product picture has a few million; more is a decompression bomb
MAX_BYTES = 200_000_000  # decoded; fewer pixels of floating point, or of 16 bits
LARGE = 4_000_000  # pixels; see `_large_picture_thread`
ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
# EXIF 2.32, tag 0x0112: orientation -> the operation that turns the stored picture upright.
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
# A small file may hold MAX_BYTES, and take as much again. Large pictures are decoded one at a
# time and in one thread: the C library keeps freed memory per thread.
_large_picture_thread = ThreadPoolExecutor(1)


def read_pictures(path: Path, items: Iterable[int]) -> dict[int, bytes]:
    """Return the picture files of `items` that have one; the others are never loaded.

    Raises:
        SchemaError: the table is missing or is not schema.IMAGES.
    """
    is_wanted = (pl.col("status") == "ok") & pl.col(ITEM).is_in(sorted(items))
    rows = scan_parquet(path, IMAGES).filter(is_wanted)
    return dict(rows.select(ITEM, "bytes").collect().iter_rows())


def picture_digests(images: Path, n_items: int) -> list[bytes | None]:
    """Return the sha256 of each item's picture; None for an item without a picture.

    Raises:
        SchemaError: the table is missing, or its items are not 0 to n_items - 1.
        RawDataError: no item has a picture.
    """
    digests = [_digest(picture) for picture in _pictures(images)]
    if len(digests) != n_items:
        raise SchemaError(
            f"{images}: expected one row for each of {n_items} items, got {len(digests)}; run "
            "the stage `images` again"
        )
    if not any(digests):
        raise RawDataError(
            f"{images}: expected pictures, got none for {n_items} items. See its column "
            "`source` for the reasons; fix them, or remove this modality from `features`"
        )
    return digests


def distinct_pictures(images: Path) -> Iterator[bytes]:
    """Yield each distinct picture once, in the order of its first item."""
    seen: set[bytes] = set()
    for picture in _pictures(images):
        digest = _digest(picture)
        if picture is not None and digest is not None and digest not in seen:
            seen.add(digest)
            yield picture


def spread(
    vectors: Iterable[Vector | None], digests: list[bytes | None]
) -> Iterator[Vector | None]:
    """Yield one vector per item from the vectors of the distinct pictures.

    Only vectors that a later item needs are kept, so memory does not grow with the items.

    Args:
        vectors: one per distinct picture, in the order of `distinct_pictures`.
        digests: of the items' pictures, from `picture_digests`.
    """
    remaining, new_vectors = Counter(digests), iter(vectors)
    kept: dict[bytes, Vector | None] = {}
    for digest in digests:
        remaining[digest] -= 1
        if digest is None:
            yield None
            continue
        vector = kept.pop(digest) if digest in kept else next(new_vectors)
        if remaining[digest]:
            kept[digest] = vector
        yield vector


def _pictures(images: Path) -> Iterator[bytes | None]:
    """Yield each item's picture, or None, ascending by item."""
    with opened(images, "the stage `images`") as file:
        absent = sorted(set(IMAGES) - set(file.schema_arrow.names))
        if absent:
            raise SchemaError(
                f"{images}: expected columns {list(IMAGES)}, got none for {absent}; run the "
                "stage images again"
            )
        n_rows = 0
        for batch in file.iter_batches(batch_size=ROWS, columns=[ITEM, "status", "bytes"]):
            items = batch.column(ITEM).to_pylist()
            if items != list(range(n_rows, n_rows + len(items))):
                raise SchemaError(
                    f"{images}: expected items ascending from 0, got {items[:5]}; run the "
                    "stage images again"
                )
            n_rows += len(items)
            for status, picture in zip(batch["status"], batch["bytes"], strict=True):
                yield picture.as_py() if status.as_py() == "ok" else None


def _digest(picture: bytes | None) -> bytes | None:
    return None if picture is None else hashlib.sha256(picture).digest()


def open_rgb(data: bytes) -> Image.Image:
    """Decode the first frame of a picture file in one of `FORMATS`: upright, mode RGB.

    Raises:
        RawDataError: the file is empty, in another format, damaged, truncated or too large.
    """
    if not data:
        raise RawDataError("zero bytes")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RawDataError(f"more than {MAX_PIXELS} pixels")
            if decoded_bytes(image) > MAX_BYTES:
                raise RawDataError(f"more than {MAX_BYTES} bytes when decoded")
            if image.width * image.height > LARGE:
                return _large_picture_thread.submit(_decode, image, data).result()
            return _decode(image, data)
    except RawDataError:
        raise
    except UnidentifiedImageError:
        raise RawDataError(f"not a picture in {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RawDataError(f"more than {MAX_PIXELS} pixels") from None
    # On damaged files, Pillow's decoders raise OSError, SyntaxError, ValueError, EOFError,
    # struct.error, IndexError or TypeError. The caller counts them.
    except Exception as error:
        raise RawDataError(f"damaged ({type(error).__name__})") from error


def _decode(image: Image.Image, data: bytes) -> Image.Image:
    load(image, data)
    return _upright(image, _to_rgb(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.convert("RGB")
    # In strips, since a conversion takes many times the memory of what it converts.
    boxes = list(strips(image.size))
    ends = [_ends(image.crop(box)) for box in boxes] if image.mode == "F" else [(0.0, 0.0)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    rgb = Image.new("RGB", image.size)
    for box in boxes:
        rgb.paste(_part_to_rgb(image.crop(box), low, high), box)
    return rgb


def _part_to_rgb(image: Image.Image, low: float, high: float) -> Image.Image:
    """Convert a part; floating point is stretched from `low` to `high` of the whole."""
    if image.mode.startswith("I"):
        return _grey(_high_bytes(image))
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if image.mode == "F":
        return _grey((_floats(image) - low) / ((high - low) or 1.0) * 255)
    return image.convert("RGB")


def _floats(image: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(image).astype(np.float64))


def _ends(image: Image.Image) -> tuple[float, float]:
    values = _floats(image)
    return values.min(), values.max()


def _high_bytes(image: Image.Image) -> np.ndarray:
    """Return the upper 8 of 16 bits; the value declared transparent becomes white."""
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
    except Exception:  # the EXIF block is damaged, the picture is not
        return rgb
    turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)
