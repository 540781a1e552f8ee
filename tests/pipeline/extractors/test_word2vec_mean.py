from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipeline.extractors import word2vec_mean
from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.extractors.word_vectors import train
from pipeline.job.errors import RawDataError
from pipeline.params.features import Word2VecMean

SETTINGS = Word2VecMean(extractor="word2vec_mean", dim=8, epochs=3)
TEXTS = ["Red cotton shirt", None, "red shirt, RED &amp; blue", "--", "blue <b>denim</b> jeans"]


def series(texts: list) -> pl.Series:
    return pl.Series("title", texts, pl.String)


def extract(texts: list, settings: Word2VecMean = SETTINGS, fit_to: list | None = None):
    fitted = None if fit_to is None else series(fit_to)
    return word2vec_mean.extract(series(texts), settings, 1, Machine(), fit_to=fitted)


def test_every_vector_is_the_mean_over_the_words():
    words = train(series(TEXTS), SETTINGS, 1)

    extraction = extract(TEXTS)
    vectors = list(extraction.vectors)

    expected = [["red", "cotton", "shirt"], [], ["red", "shirt", "red", "blue"], []]
    for vector, inside in zip(vectors, expected, strict=False):
        if inside:
            mean = sum(words[word].astype(np.float64) for word in inside) / len(inside)
            np.testing.assert_allclose(vector, mean, rtol=1e-6)
            assert vector.dtype == np.float32
        else:
            assert vector is None
    assert extraction.preprocessing["sentence"] == "mean over the words that have a vector"


def test_rare_words_are_ignored():
    settings = SETTINGS.model_copy(update={"min_count": 2})
    words = train(series(TEXTS), settings, 1)

    vectors = list(extract(TEXTS, settings).vectors)

    assert sorted(words.index_to_key) == ["blue", "red", "shirt"]
    np.testing.assert_allclose(vectors[0], (words["red"] + words["shirt"]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(vectors[4], words["blue"])


def test_the_same_settings_give_the_same_bytes_and_another_seed_others():
    def vectors(seed: int) -> bytes:
        extract = EXTRACTORS["word2vec_mean"].texts
        rows = extract(series(TEXTS), SETTINGS, seed, Machine(threads=2)).vectors
        return np.stack([row for row in rows if row is not None]).tobytes()

    assert vectors(1) == vectors(1)
    assert vectors(1) != vectors(2)


def test_words_of_a_file_count_even_outside_the_fitted_texts(tmp_path):
    (tmp_path / "words.txt").write_text("2 2\nred 0.5 0.25\ngreen 1 3\n")
    settings = SETTINGS.model_copy(update={"dim": 2, "weights": f"{tmp_path}/words.txt"})

    vectors = list(extract(["green red", "mauve"], settings, fit_to=["red"]).vectors)

    np.testing.assert_array_equal(vectors[0], np.float32([0.75, 1.625]))
    assert vectors[1] is None
    with pytest.raises(RawDataError, match="no word of it is among the word vectors"):
        extract(["mauve"], settings)


def test_other_texts_are_means_of_the_fitted_words():
    expected = list(extract(TEXTS).vectors)

    texts = [TEXTS[4], "unheard", "jeans denim unheard blue"]
    vectors = list(extract(texts, fit_to=TEXTS).vectors)

    np.testing.assert_array_equal(vectors[0], expected[4])
    assert vectors[1] is None
    np.testing.assert_allclose(vectors[2], expected[4], rtol=1e-6)
