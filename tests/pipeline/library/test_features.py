"""Encoders called without a project: the same numbers as the stage, and errors that help."""

from io import BytesIO

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipeline.extractors import networks, sif
from pipeline.extractors.encode import picture_encoder
from pipeline.extractors.extraction import Machine
from pipeline.job.errors import ParamsError, RawDataError, SchemaError
from pipeline.library.features import encode_pictures, encode_texts, load_features
from pipeline.params.features import Sif
from pipeline.tables.features import METADATA, write_features

TITLES = ["blue cotton shirt", "grey wool scarf", None, "white cotton shirt"]
SMALL = {"dim": 8, "epochs": 2}


def picture(colour):
    file = BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Five pictures as paths and as bytes, of which three cannot be decoded."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "red.png").write_bytes(picture("red"))
    (folder / "text.png").write_text("no picture")
    files = [
        str(folder / "red.png"),
        folder / "text.png",
        picture("blue"),
        folder / "absent.png",
        picture("red")[:60],
    ]
    both = {"weights": "seeded", "device": "cpu", "threads": 1}
    return encode_pictures("resnet50", files, **both)


def test_pictures_are_rows_and_those_that_cannot_be_decoded_say_why(encoded):
    assert encoded.vectors.dtype == np.float32
    assert encoded.vectors.shape == (5, 2048)
    assert encoded.present.tolist() == [True, False, True, False, False]
    assert not encoded.vectors[~encoded.present].any()
    assert list(encoded.problems) == [1, 3, 4]
    assert encoded.problems[1].endswith(
        "text.png: not a picture in JPEG, PNG, GIF, WEBP, BMP, TIFF"
    )
    assert encoded.problems[3].endswith("absent.png: No such file or directory")
    assert encoded.problems[4].startswith("60 bytes: damaged")


def test_the_vectors_are_those_of_the_extractor(encoded):
    network = networks.load("resnet50", "seeded", 2023)
    encoder = picture_encoder(network, networks.torch_device(Machine(device="cpu")), "float32")

    expected = np.stack(list(encoder.encode([picture("red"), picture("blue")])))

    np.testing.assert_array_equal(encoded.vectors[encoded.present], expected)
    assert encoded.metadata["extractor"] == "resnet50"
    assert encoded.metadata["weights"] == "seeded (untrained)"
    assert set(encoded.metadata) == set(METADATA)


def test_no_readable_picture_at_all_is_an_error_that_names_the_first(tmp_path):
    files = [tmp_path / "a.jpg", b"x"]
    with pytest.raises(
        RawDataError, match=r"got 2 files .* the first is .*a\.jpg: No such file"
    ):
        encode_pictures("resnet50", files, weights="seeded", device="cpu")


def test_texts_are_the_rows_of_the_extractor():
    features = encode_texts("sif", TITLES, seed=3, threads=1, **SMALL)

    expected = sif.extract(
        pl.Series(TITLES), Sif(extractor="sif", **SMALL), 3, Machine(threads=1)
    )
    rows = list(expected.vectors)
    assert rows[2] is None
    assert features.present.tolist() == [True, True, False, True]
    for row in (0, 1, 3):
        np.testing.assert_array_equal(features.vectors[row], rows[row])


def test_a_new_text_lies_in_the_space_of_those_it_is_fitted_to():
    catalogue = encode_texts("sif", TITLES, **SMALL)

    new = encode_texts("sif", [TITLES[3], "unknown words"], fit_to=TITLES, **SMALL)

    np.testing.assert_allclose(new.vectors[0], catalogue.vectors[3], atol=1e-6)
    assert new.present.tolist() == [True, False]


def test_token_lists_are_texts():
    features = encode_texts("tfidf_svd", [["a", "b"], ["b", "c"], None], dim=2)

    assert features.present.tolist() == [True, True, False]


def test_a_feature_file_is_loaded_as_it_was_written(tmp_path):
    entries = dict.fromkeys(METADATA, "x") | {"dim": "2"}
    rows = [np.array([1, 2], np.float32), None]
    write_features(rows, tmp_path / "f.parquet", dim=2, metadata=entries)

    features = load_features(str(tmp_path / "f.parquet"))

    assert features.vectors.tolist() == [[1, 2], [0, 0]]
    assert features.present.tolist() == [True, False]
    assert features.metadata == entries
    with pytest.raises(SchemaError, match=r"absent\.parquet: no such table"):
        load_features(tmp_path / "absent.parquet")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: encode_pictures("resnet", []),
            "encode_pictures: expected `extractor` to be one",
        ),
        (lambda: encode_pictures("resnet50", [], weight="x"), "weight: unknown setting"),
        (lambda: encode_pictures("sif", [], **SMALL), "sif reads texts; use encode_texts"),
        (lambda: encode_pictures("openclip:ViT-B-32", []), "missing settings: weights"),
        (
            lambda: encode_texts("resnet50", ["a"]),
            "resnet50 reads pictures; use encode_pictures",
        ),
        (lambda: encode_texts("sif", ["a"], dim="8"), r"encode_texts: dim: .*integer, got '8'"),
        (lambda: encode_texts("sif", [1, 2]), "texts: expected strings, or lists of strings"),
        (lambda: encode_texts("sif", ["a", 1]), "texts: expected strings, or lists of strings"),
        (lambda: encode_texts("sif", [None]), "texts: expected strings, or lists of strings"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(ParamsError, match=message):
        call()
