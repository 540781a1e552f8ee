"""What becomes of pictures that are odd, damaged or hostile."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import polars as pl
import pytest
from paths import ROOT
from picture_cases import PAGE, RED, bomb, chunk, encoded, png
from PIL import Image

from pipeline.job.errors import RawDataError, SchemaError
from pipeline.tables import picture_files, pictures
from pipeline.tables import schema as s
from pipeline.tables.io import write_parquet

# Colour types of PNG.
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))


def adobe(jpeg: bytes, transform: int | None) -> bytes:
    """Set the colour transform in a JPEG's Adobe marker, or cut the marker out.

    Transform 2 says that what is stored is YCCK. The marker is APP14: 2 bytes, then 14 of which
    the last is the transform.
    """
    start = jpeg.index(b"\xff\xee\x00\x0eAdobe")
    if transform is None:
        return jpeg[:start] + jpeg[start + 16 :]
    return jpeg[: start + 15] + bytes([transform]) + jpeg[start + 16 :]


def odd_pictures() -> dict[str, tuple[bytes, tuple[int, int, int]]]:
    """Name -> file and the colour of its first pixel after decoding."""
    grey16 = np.full((4, 4), 0x80FF, np.uint16)
    big_endian = Image.frombytes("I;16B", (4, 4), grey16.astype(">u2").tobytes())
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 128, 0] + [0] * 765)
    clear = Image.new("P", (4, 4), 0)
    clear.putpalette([0, 0, 0] + [0] * 765)
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    frames = {"save_all": True, "append_images": [blue]}
    cmyk = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    # C = M = Y = 127 and no K are stored as 128, 128, 128, 255: as YCCK, a grey of 128.
    ycck = encoded(Image.new("CMYK", (16, 16), (127, 127, 127, 0)), "JPEG", quality=100)
    half_clear = chunk(b"PLTE", bytes([0, 0, 0])) + chunk(b"tRNS", bytes([51]))
    return {
        "grey": (encoded(Image.new("L", (4, 4), 77)), (77, 77, 77)),
        "grey 16": (encoded(Image.fromarray(grey16)), (128, 128, 128)),
        "grey 16, tiff": (encoded(Image.fromarray(grey16), "TIFF"), (128, 128, 128)),
        "grey 16, big-endian tiff": (encoded(big_endian, "TIFF"), (128, 128, 128)),
        "grey 32": (encoded(Image.new("I", (4, 4), 70_000), "TIFF"), (255, 255, 255)),
        "grey 16, alpha": (png(1, 16, GREY_ALPHA, struct.pack(">2H", 0, 0x3300)), (204,) * 3),
        "rgb 16": (png(1, 16, RGB, struct.pack(">3H", 0x80FF, 0x4000, 0xFFFF)), (128, 64, 255)),
        "rgb 16, alpha": (png(1, 16, RGB_ALPHA, bytes(8)), (255, 255, 255)),
        "float": (encoded(Image.fromarray(np.eye(4, dtype=np.float32)), "TIFF"), (255,) * 3),
        "bilevel": (encoded(Image.new("1", (4, 4), 1)), (255, 255, 255)),
        "palette": (encoded(palette), (0, 128, 0)),
        "palette, clear": (encoded(clear, transparency=0), (255, 255, 255)),
        "palette, half clear": (png(1, 8, PALETTE, b"\0", half_clear), (204, 204, 204)),
        "palette, clear, gif": (encoded(clear, "GIF", transparency=0), (255, 255, 255)),
        "alpha": (encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))), (255, 255, 255)),
        "half alpha": (encoded(Image.new("LA", (4, 4), (0, 51))), (204, 204, 204)),
        "cmyk black": (encoded(Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG"), (0, 0, 0)),
        "cmyk, inverted as Adobe does": (cmyk, (255, 0, 0)),
        "cmyk without Adobe's marker": (adobe(cmyk, None), (255, 0, 0)),
        "ycck": (adobe(ycck, 2), (128, 128, 128)),
        "cmyk, tiff": (
            encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"),
            (255, 0, 0),
        ),
        "gif": (encoded(red, "GIF", **frames), (254, 0, 0)),
        "webp": (encoded(red, "WEBP", lossless=True, **frames), (254, 0, 0)),
        "animated png": (encoded(red, "PNG", **frames), (255, 0, 0)),
        "pages of a tiff": (encoded(red, "TIFF", **frames), (255, 0, 0)),
        "bmp": (encoded(red, "BMP"), (255, 0, 0)),
    }


@pytest.mark.parametrize("kind", odd_pictures())
def test_every_kind_of_picture_becomes_rgb(kind):
    data, colour = odd_pictures()[kind]

    image = pictures.open_rgb(data)

    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == pytest.approx(colour, abs=1)


def test_the_transparent_grey_of_16_bits_is_white_and_others_are_not():
    row = struct.pack(">3H", 0x80FF, 0x80FE, 0x2000)
    data = png(3, 16, GREY, row, chunk(b"tRNS", struct.pack(">H", 0x80FF)))

    image = pictures.open_rgb(data)

    assert np.asarray(image)[0, :, 0].tolist() == [255, 128, 32]


@pytest.mark.parametrize(
    ("depth", "row", "colour", "expected"),
    [
        (1, 0b0100_0000, 0, [255, 255, 255, 255]),
        (1, 0b0100_0000, 1, [0, 255, 0, 0]),
        (2, 0b00_01_10_11, 1, [0, 255, 170, 255]),
        (4, 0x01_7F, 7, [0, 17, 255, 255]),
        (4, 0x01_7F, 0, [255, 17, 119, 255]),
        (8, 0x00_07_08_FF, 7, [0, 255, 8, 255]),
    ],
)
def test_the_transparent_grey_of_few_bits_is_white_and_others_are_not(
    depth, row, colour, expected
):
    data = row.to_bytes(depth * 4 // 8 or 1, "big")
    data = png(4, depth, GREY, data, chunk(b"tRNS", struct.pack(">H", colour)))

    image = pictures.open_rgb(data)

    assert np.asarray(image)[0, :, 0].tolist() == expected


def test_the_transparent_colour_of_16_bits_is_white_and_its_neighbours_are_not(monkeypatch):
    monkeypatch.setattr(picture_files, "STRIP", 2)
    clear = (0x80FF, 0x4000, 0xFF01)
    colours = [clear, (0x80FE, *clear[1:]), (*clear[:2], 0xFF02), (0x80, 0x40, 0xFF), clear]
    row = b"".join(struct.pack(">3H", *colour) for colour in colours)
    data = png(5, 16, RGB, row, chunk(b"tRNS", struct.pack(">3H", *clear)))

    image = pictures.open_rgb(data)

    near, white = [128, 64, 255], [255, 255, 255]
    assert np.asarray(image)[0].tolist() == [white, near, near, [0, 0, 0], white]


@pytest.mark.parametrize("kind", odd_pictures())
def test_strips_give_the_same_picture(kind, monkeypatch):
    data, _ = odd_pictures()[kind]
    whole = pictures.open_rgb(data)
    monkeypatch.setattr(picture_files, "STRIP", 1)

    assert pictures.open_rgb(data) == whole


def tiff(side: int, tile: int, bits: tuple[int, ...], sample_format: int = 1) -> bytes:
    """A TIFF that is a part of its only tile, which is empty; tags as in TIFF 6.0."""
    body, short, long = zlib.compress(b""), 3, 4
    bits_at = 8 + len(body)
    entries = [
        (256, long, 1, side),
        (257, long, 1, side),
        (258, short, len(bits), bits_at if len(bits) > 2 else bits[0]),
        (259, short, 1, 8),  # deflate
        (262, short, 1, 2 if len(bits) == 3 else 1),  # RGB or grey
        (277, short, 1, len(bits)),
        (322, long, 1, tile),
        (323, long, 1, tile),
        (324, long, 1, 8),
        (325, long, 1, len(body)),
        (339, short, 1, sample_format),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    values = struct.pack(f"<{len(bits)}H", *bits)
    return b"II*\0" + struct.pack("<I", bits_at + len(values)) + body + values + directory


@pytest.mark.parametrize(
    "data",
    [tiff(64, 15_000, (8,)), tiff(6_000, 6_000, (16, 16, 16)), tiff(7_000, 8_000, (32,), 3)],
    ids=["a tile larger than the picture", "16 bits", "floating point"],
)
def test_what_decodes_to_many_bytes_is_refused_before(data):
    with pytest.raises(RawDataError, match=r"^more than 200000000 bytes when decoded$"):
        pictures.open_rgb(data)


def test_the_largest_picture_of_floating_point_takes_little_more_than_itself(tmp_path):
    """50 million pixels in 300 kB took a gigabyte."""
    path = tmp_path / "float.tiff"
    path.write_bytes(encoded(Image.new("F", (7071, 7071)), "TIFF", compression="tiff_deflate"))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from pipeline.tables.pictures import open_rgb\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); open_rgb(Path(sys.argv[1]).read_bytes()); print(peak() - before)"
    )

    kilobytes = subprocess.check_output([sys.executable, "-c", code, path], cwd=ROOT)

    assert int(kilobytes) < 500_000


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [
        (1, (0, 0)),
        (2, (7, 0)),
        (3, (7, 3)),
        (4, (0, 3)),
        (5, (0, 0)),
        (6, (3, 0)),
        (7, (3, 7)),
        (8, (0, 7)),
    ],
)
def test_pictures_are_turned_upright(kind, orientation, corner):
    """The stored first pixel is black; EXIF says where it belongs."""
    stored = Image.new("L", (8, 4), 255)
    stored.putpixel((0, 0), 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {}

    image = pictures.open_rgb(encoded(stored.convert("RGB"), kind, exif=exif, **options))

    assert image.size == ((4, 8) if orientation >= 5 else (8, 4))
    assert image.getpixel(corner)[0] < 128
    assert np.asarray(image).mean() > 200


# Pillow says so, once; the log may have it.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_picture_with_a_damaged_exif_block_is_decoded():
    data = encoded(
        Image.new("RGB", (8, 4), "red"), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"
    )

    assert pictures.open_rgb(data).size == (8, 4)


@pytest.mark.parametrize("kind", pictures.FORMATS)
def test_a_truncated_picture_is_damaged(kind):
    data = encoded(NOISE, kind)

    with pytest.raises(RawDataError, match="damaged"):
        pictures.open_rgb(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_its_last_bytes_is_damaged(options):
    with pytest.raises(RawDataError, match=r"damaged \(OSError\)"):
        # Two are the mark of the end, without which a picture may be whole.
        pictures.open_rgb(encoded(NOISE, "JPEG", **options)[:-3])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (PAGE, f"not a picture in {', '.join(pictures.FORMATS)}"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", f"not a picture in {', '.join(pictures.FORMATS)}"),
        (RED[:4], f"not a picture in {', '.join(pictures.FORMATS)}"),
        (bomb(), "more than 50000000 pixels"),
        (encoded(Image.new("1", (10_000, 5_001))), "more than 50000000 pixels"),
    ],
)
def test_other_files_and_too_large_pictures_are_refused(data, reason):
    with pytest.raises(RawDataError, match=f"^{re.escape(reason)}$"):
        pictures.open_rgb(data)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_a_small_picture_with_a_hundred_megabytes_of_metadata_is_damaged(kind):
    """100 kB that unpack to 100 MB in a part of the file that is no pixel."""
    extra = chunk(kind, b"a\0\0" + zlib.compress(bytes(100_000_000)))

    with pytest.raises(RawDataError, match=r"damaged \(ValueError\)"):
        pictures.open_rgb(png(1, 8, GREY, b"\7", extra))


def test_more_pixels_than_declared_are_not_decoded():
    assert pictures.open_rgb(png(1, 8, GREY, b"\7" + bytes(50_000_000))).size == (1, 1)


def test_a_large_picture_is_decoded_like_a_small_one(monkeypatch):
    small = pictures.open_rgb(encoded(NOISE))
    monkeypatch.setattr(pictures, "LARGE", 10)

    assert pictures.open_rgb(encoded(NOISE)) == small
    with pytest.raises(RawDataError, match="damaged"):
        pictures.open_rgb(encoded(NOISE)[:2000])


def test_only_whole_pictures_of_the_items_are_read(tmp_path):
    rows = [
        (0, "ok", b"a", 1, 1, ""),
        (1, "ok", b"b", 1, 1, ""),
        (2, "missing", None, None, None, ""),
    ]
    table = pl.DataFrame(rows, s.IMAGES, orient="row")
    write_parquet(table, tmp_path / "images.parquet")

    assert pictures.read_pictures(tmp_path / "images.parquet", {1, 2}) == {1: b"b"}
    with pytest.raises(SchemaError, match=r"none.parquet: no such table"):
        pictures.read_pictures(tmp_path / "none.parquet", {1})
