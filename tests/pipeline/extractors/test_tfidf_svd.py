from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from paths import ROOT

from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.extractors.tokens import tokenise
from pipeline.job.errors import RawDataError
from pipeline.params.features import TfidfSvd

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from pipeline.extractors import tfidf_svd

TEXTS = [
    "Red cotton shirt",
    None,
    "red shirt, RED &amp; blue",
    "blue <b>denim</b> jeans",
    "--",
    "black denim",
]


def series(texts: list) -> pl.Series:
    return pl.Series("title", texts, pl.String)


def extract(texts: pl.Series, dim: int, min_count: int = 1, fit_to: pl.Series | None = None):
    settings = TfidfSvd(extractor="tfidf_svd", dim=dim, min_count=min_count)
    return tfidf_svd.extract(texts, settings, 3, Machine(), fit_to=fit_to)


def many(n: int) -> list[str]:
    """Texts of 1 to 9 words out of 60, the first ones the most frequent."""
    generator = np.random.default_rng(0)
    share = 1 / np.arange(1, 61)
    return [
        " ".join(f"w{word}" for word in generator.choice(60, size, p=share / share.sum()))
        for size in generator.integers(1, 10, n)
    ]


def by_hand(texts: list, dim: int, min_count: int = 1) -> np.ndarray:
    """(n, dim): the matrix filled in a loop, its dense singular value decomposition."""
    words = tokenise(series(texts)).to_list()
    having = [set(text) for text in words if text]
    vocabulary = sorted(set().union(*having))
    df = {word: sum(word in text for text in having) for word in vocabulary}
    vocabulary = [word for word in vocabulary if df[word] >= min_count]
    matrix = np.zeros((len(texts), len(vocabulary)))
    for row, text in enumerate(words):
        for column, word in enumerate(vocabulary):
            idf = np.log((1 + len(having)) / (1 + df[word])) + 1
            matrix[row, column] = text.count(word) * idf
        matrix[row] /= np.linalg.norm(matrix[row]) or 1
    directions = np.linalg.svd(matrix, full_matrices=False)[2]
    directions *= np.sign([row[np.abs(row).argmax()] for row in directions])[:, None]
    projected = matrix @ directions[:dim].T
    return np.pad(projected, ((0, 0), (0, dim - projected.shape[1])))


@pytest.mark.parametrize(("n", "dim"), [(200, 5), (200, 59), (200, 60), (40, 20), (40, 300)])
def test_projection_equals_a_dense_decomposition(n, dim):
    texts = many(n)

    extraction = extract(series(texts), dim)

    np.testing.assert_allclose(
        np.stack(list(extraction.vectors)), by_hand(texts, dim), atol=2e-6
    )


def test_texts_without_a_known_word_are_absent():
    extraction = extract(series(TEXTS), 2, min_count=2)

    vectors = list(extraction.vectors)

    assert [v is None for v in vectors] == [False, True, False, False, True, False]
    assert vectors[0].dtype == np.float32
    expected = by_hand(TEXTS, 2, min_count=2)
    present = [0, 2, 3, 5]
    np.testing.assert_allclose(
        np.stack([vectors[row] for row in present]), expected[present], atol=1e-6
    )


def test_columns_beyond_the_rank_are_zero_and_in_the_metadata():
    extraction = extract(series(TEXTS * 20), 10)

    rows = np.stack([vector for vector in extraction.vectors if vector is not None])

    assert extraction.preprocessing["zero_columns"] == "the last 6: the matrix has rank 4"
    assert rows.shape == (80, 10)
    assert not rows[:, 4:].any()
    assert rows[:, :4].any(0).all()
    enough = extract(series(TEXTS), 4)
    assert "zero_columns" not in enough.preprocessing


def test_one_word_is_one_column():
    extraction = extract(series(["red", "red red"]), 3)

    np.testing.assert_allclose(np.stack(list(extraction.vectors)), [[1, 0, 0]] * 2)


def test_other_texts_are_projected_on_the_fitted_directions():
    fitted = series(many(200))
    others = series(["w0 w7 w7 unheard", "unheard", fitted[0]])
    expected = list(extract(fitted, 5).vectors)

    vectors = list(extract(others, 5, fit_to=fitted).vectors)

    assert vectors[1] is None
    np.testing.assert_array_equal(vectors[2], expected[0])
    assert vectors[0].any()


def test_the_bytes_do_not_depend_on_blas_or_python_hashes():
    code = (
        "import hashlib, numpy, polars; from pipeline.extractors import tfidf_svd\n"
        f"texts = polars.Series('t', {many(3000)!r})\n"
        "from pipeline.extractors.extraction import Machine\n"
        "from pipeline.params.features import TfidfSvd\n"
        "settings = TfidfSvd(extractor='tfidf_svd', dim=40)\n"
        "e = tfidf_svd.extract(texts, settings, 3, Machine())\n"
        "rows = numpy.stack(list(e.vectors))\n"
        "print(hashlib.sha256(rows.tobytes()).hexdigest(), e.weights_sha256)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-"],
            input=code,
            env={
                "PYTHONHASHSEED": threads,
                "OMP_NUM_THREADS": threads,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            },
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for threads in ("1", "2")
    }

    assert len(printed) == 1
    assert len(printed.pop()) > 100


def test_the_settings_reach_the_extractor():
    settings = TfidfSvd(extractor="tfidf_svd", dim=2, min_count=2)

    extraction = EXTRACTORS["tfidf_svd"].texts(series(TEXTS), settings, 6, Machine())

    fitted = tfidf_svd.fit(series(TEXTS), 2, 2, 6)
    digest = hashlib.sha256(fitted.vectorizer.idf_.tobytes() + fitted.directions.tobytes())
    assert extraction.weights_sha256 == digest.hexdigest()
    assert (extraction.dim, extraction.weights, extraction.preprocessing["min_count"]) == (
        2,
        "fitted",
        2,
    )
    assert set(extraction.versions) == {"numpy", "polars", "scikit-learn", "scipy"}


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(RawDataError, match="field 'title': expected text, got 2 items"):
        tfidf_svd.fit(series([None, "--"]), 2, 1, 3)
    with pytest.raises(RawDataError, match="in 9 texts or more, got none; lower min_count"):
        tfidf_svd.fit(series(TEXTS), 2, 9, 3)
    with pytest.raises(RawDataError, match="in 4 texts or more, got none; lower min_count"):
        tfidf_svd.fit(series(TEXTS), 2, 4, 3)
