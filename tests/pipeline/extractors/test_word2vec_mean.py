from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipeline.extractors import EXTRACTORS, Machine, word2vec_mean
from pipeline.extractors.word_vectors import Training, train
from pipeline.job.errors import RawDataError
from pipeline.params.features import Word2VecMean

TRAINING = Training(dim=8, window=5, epochs=3, min_count=1, workers=1, seed=1)
TEXTS = ["Red cotton shirt", None, "red shirt, RED &amp; blue", "--", "blue <b>denim</b> jeans"]


def series(texts: list) -> pl.Series:
    return pl.Series("title", texts, pl.String)


def test_every_vector_is_the_mean_over_the_words():
    words = train(series(TEXTS), TRAINING)

    extraction = word2vec_mean.extract(series(TEXTS), weights="trained", training=TRAINING)
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


def test_words_that_are_too_rare_do_not_count():
    training = Training(dim=8, window=5, epochs=3, min_count=2, workers=1, seed=1)
    words = train(series(TEXTS), training)

    found = word2vec_mean.extract(series(TEXTS), weights="trained", training=training)
    vectors = list(found.vectors)

    assert sorted(words.index_to_key) == ["blue", "red", "shirt"]
    np.testing.assert_allclose(vectors[0], (words["red"] + words["shirt"]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(vectors[4], words["blue"])


def test_the_same_settings_give_the_same_bytes_and_another_seed_others():
    settings = Word2VecMean(extractor="word2vec_mean", dim=8, epochs=3)

    def vectors(seed: int) -> bytes:
        read = EXTRACTORS["word2vec_mean"].texts
        found = read(series(TEXTS), settings, seed, Machine(threads=2)).vectors
        return np.stack([vector for vector in found if vector is not None]).tobytes()

    assert vectors(1) == vectors(1)
    assert vectors(1) != vectors(2)


def test_words_of_a_file_count_whoever_was_fitted(tmp_path):
    (tmp_path / "words.txt").write_text("2 2\nred 0.5 0.25\ngreen 1 3\n")
    training = Training(dim=2, window=5, epochs=3, min_count=1, workers=1, seed=1)
    settings = {"weights": f"{tmp_path}/words.txt", "training": training}

    found = word2vec_mean.extract(
        series(["green red", "mauve"]), **settings, fit_to=series(["red"])
    )

    vectors = list(found.vectors)
    np.testing.assert_array_equal(vectors[0], np.float32([0.75, 1.625]))
    assert vectors[1] is None
    with pytest.raises(RawDataError, match="no word of it is among the word vectors"):
        word2vec_mean.extract(series(["mauve"]), **settings)


def test_other_texts_are_means_of_the_fitted_words():
    expected = list(
        word2vec_mean.extract(series(TEXTS), weights="trained", training=TRAINING).vectors
    )

    others = series([TEXTS[4], "unheard", "jeans denim unheard blue"])
    found = word2vec_mean.extract(
        others, weights="trained", training=TRAINING, fit_to=series(TEXTS)
    )

    vectors = list(found.vectors)
    np.testing.assert_array_equal(vectors[0], expected[4])
    assert vectors[1] is None
    np.testing.assert_allclose(vectors[2], expected[4], rtol=1e-6)
