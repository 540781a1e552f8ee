"""What becomes of pictures that are odd, damaged or hostile."""

def odd_pictures() -> dict[str, tuple[bytes, tuple[int, int, int]]]:
    """Name -> file and the colour of its first pixel after decoding."""
    grey16 = np.full((4, 4), 0x80FF, np.uint16)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 128, 0] + [0] * 765)
    clear = Image.new("P", (4, 4), 0)
    clear.putpalette([0, 0, 0] + [0] * 765)
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    frames = {"save_all": True, "append_images": [blue]}
    return {
        "grey": (encoded(Image.new("L", (4, 4), 77)), (77, 77, 77)),
        "grey 16": (encoded(Image.fromarray(grey16)), (128, 128, 128)),
        "float": (encoded(Image.fromarray(np.eye(4, dtype=np.float32)), "TIFF"), (255,) * 3),
        "bilevel": (encoded(Image.new("1", (4, 4), 1)), (255, 255, 255)),
        "palette": (encoded(palette), (0, 128, 0)),
        "palette, clear": (encoded(clear, transparency=0), (255, 255, 255)),
        "alpha": (encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))), (255, 255, 255)),
        "half alpha": (encoded(Image.new("LA", (4, 4), (0, 51))), (204, 204, 204)),
        "cmyk": (encoded(Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG"), (0, 0, 0)),
        "gif": (encoded(red, "GIF", **frames), (254, 0, 0)),
        "webp": (encoded(red, "WEBP", lossless=True, **frames), (254, 0, 0)),
        "bmp": (encoded(red, "BMP"), (255, 0, 0)),
        "tiff": (encoded(red, "TIFF"), (255, 0, 0)),
    }


@pytest.mark.parametrize("kind", odd_pictures())
def test_every_kind_of_picture_becomes_rgb(kind):
    data, colour = odd_pictures()[kind]

    image = pictures.open_rgb(data)

    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == pytest.approx(colour, abs=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "corner"), [(1, (0, 0)), (3, (7, 3)), (6, (3, 0)), (8, (0, 7))]
)
def test_pictures_are_turned_upright(kind, orientation, corner):
    """The stored first pixel is black; EXIF says where it belongs."""
    stored = Image.new("L", (8, 4), 255)
    stored.putpixel((0, 0), 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {}

    image = pictures.open_rgb(encoded(stored.convert("RGB"), kind, exif=exif, **options))

    assert image.size == ((4, 8) if orientation in (6, 8) else (8, 4))
    assert image.getpixel(corner)[0] < 128
    assert np.asarray(image).mean() > 200


# Pillow says so, once; the log may have it.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_damaged_exif_block_does_not_cost_the_picture():
    data = encoded(
        Image.new("RGB", (8, 4), "red"), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"
    )

    assert pictures.open_rgb(data).size == (8, 4)


