from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from gensim.models import KeyedVectors
from paths import ROOT

from pipeline.extractors import EXTRACTORS, Machine, sif, word_means
from pipeline.extractors.tokens import tokenise, tokenised
from pipeline.extractors.word_vectors import Training, load, train
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.params.features import Sif

TRAINING = Training(dim=8, window=5, epochs=3, min_count=1, workers=1, seed=1)
SETTINGS = {"weights": "trained", "smoothing": 0.001, "training": TRAINING}
TEXTS = [
    "Red cotton shirt",
    None,
    "red shirt, RED &amp; blue",
    "blue <b>denim</b> jeans",
    "",
    "--",
]


def series(texts: list) -> pl.Series:
    return pl.Series("title", texts)


def test_embedding_equals_the_formula_in_a_loop():
    texts = series([*TEXTS, "shirt unknown words"])
    known = ["red", "shirt", "blue", "jeans", "cotton"]
    words = KeyedVectors(4)
    words.add_vectors(known, np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))

    vectors = list(sif.fit(texts, words, smoothing=0.01).embed(texts))

    texts = tokenise(texts).to_list()
    everything = [word for text in texts for word in text]
    expected = np.zeros((len(texts), 4))
    for row, text in enumerate(texts):
        inside = [word for word in text if word in known]
        for word in inside:
            p = everything.count(word) / len(everything)
            expected[row] += 0.01 / (0.01 + p) * words[word] / len(inside)
    u = np.linalg.svd(expected, full_matrices=False)[2][0]
    expected -= np.outer(expected @ u, u)
    present = [vector is not None for vector in vectors]
    assert present == [True, False, True, True, False, False, True]
    assert vectors[0].dtype == np.float32
    feature = np.stack([vector for vector in vectors if vector is not None])
    np.testing.assert_allclose(feature, expected[present], atol=1e-6)


def test_first_direction_is_the_first_singular_vector():
    rows = np.random.default_rng(3).normal(size=(50, 6)) + 0.3

    direction = sif.first_direction(rows.T @ rows)

    u = np.linalg.svd(rows)[2][0]
    assert abs(direction @ u) == pytest.approx(1, abs=1e-9)
    assert not sif.first_direction(np.zeros((2, 2))).any()


def test_extraction_says_what_it_is():
    extraction = sif.extract(series(TEXTS), **SETTINGS)

    vectors = list(extraction.vectors)
    assert [vector is not None for vector in vectors] == [True, False, True, True, False, False]
    assert vectors[0].shape == (8,)
    assert extraction.dim == 8
    assert extraction.weights == "trained"
    words = train(series(TEXTS), TRAINING)
    assert extraction.weights_sha256 == hashlib.sha256(words.vectors.tobytes()).hexdigest()
    assert extraction.preprocessing["vectors"]["epochs"] == 3
    assert set(extraction.versions) == {"gensim", "numpy", "polars", "scipy"}


def test_the_same_numbers_whatever_python_hashes_and_blas_threads():
    code = (
        "import hashlib, sys, numpy, polars; from pipeline.extractors import sif\n"
        "from pipeline.extractors.word_vectors import Training\n"
        f"e = sif.extract(polars.Series('t', {TEXTS!r} * 1000), threads=int(sys.argv[1]),"
        f" **{SETTINGS!r})\n"
        "rows = [v for v in e.vectors if v is not None]\n"
        "print(hashlib.sha256(numpy.stack(rows).tobytes()).hexdigest(), e.weights_sha256)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code, threads],
            env={
                "PYTHONHASHSEED": seed,
                "OMP_NUM_THREADS": threads,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            },
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"))
    }

    assert len(printed) == 1
    assert len(printed.pop()) > 100


def test_another_seed_is_another_training():
    first, second = (
        sif.extract(series(TEXTS), **SETTINGS | {"training": replace(TRAINING, seed=seed)})
        for seed in (1, 2)
    )

    assert first.weights_sha256 != second.weights_sha256


def test_several_workers_are_owned_up_to():
    """They are not in the metadata where there is one, which anybody's run reproduces."""
    several = SETTINGS | {"training": replace(TRAINING, workers=2)}

    said = sif.extract(series(TEXTS), **several).preprocessing["vectors"]

    assert said["workers"] == "2 threads: another run on the same text gives other numbers"
    assert "workers" not in sif.extract(series(TEXTS), **SETTINGS).preprocessing["vectors"]


def test_the_settings_reach_the_training():
    own = {"dim": 7, "window": 3, "epochs": 2, "min_count": 2}
    training = Training(**own, workers=1, seed=6)
    expected = sif.extract(series(TEXTS), weights="trained", smoothing=0.1, training=training)
    settings = Sif(extractor="sif", smoothing=0.1, **own)
    several = Sif(extractor="sif", workers=2, **own)

    found = EXTRACTORS["sif"].texts(series(TEXTS), settings, 6, Machine())

    assert found.weights_sha256 == expected.weights_sha256
    np.testing.assert_array_equal(next(iter(found.vectors)), next(iter(expected.vectors)))
    found = EXTRACTORS["sif"].texts(series(TEXTS), several, 6, Machine())
    assert found.preprocessing["vectors"]["workers"].startswith("2 threads")


def test_how_texts_are_cut_into_blocks_changes_no_text_and_keeps_the_order(monkeypatch):
    texts = series(TEXTS * 9)
    words = train(texts, TRAINING)
    expected = list(sif.fit(texts, words, 0.001).embed(texts))

    monkeypatch.setattr(word_means, "BLOCK", 4)
    monkeypatch.setattr(word_means, "tokenised", lambda texts: tokenised(texts, 10))
    vectors = list(sif.fit(texts, words, 0.001, threads=3).embed(texts))

    assert [v is None for v in vectors] == [v is None for v in expected]
    for found, vector in zip(vectors, expected, strict=True):
        if vector is not None:
            np.testing.assert_allclose(found, vector, atol=1e-7)


def test_vectors_are_computed_as_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(word_means, "BLOCK", 6)
    computed = []
    mean = word_means.WordMeans.mean
    monkeypatch.setattr(
        word_means.WordMeans, "mean", lambda *args: computed.append(1) or mean(*args)
    )
    vectors = iter(sif.extract(series(TEXTS * 20), **SETTINGS).vectors)
    before = len(computed)

    next(vectors)

    assert before == 20
    assert 1 <= len(computed) - before <= 2


@pytest.mark.parametrize("binary", [False, True])
def test_word_vectors_from_a_file(tmp_path, binary):
    words = train(series(TEXTS), TRAINING)
    path = tmp_path / ("words.bin" if binary else "words.txt.gz")
    words.save_word2vec_format(path, binary=binary)

    extraction = sif.extract(series(TEXTS), **SETTINGS | {"weights": str(path)})

    expected = sif.extract(series(TEXTS), **SETTINGS)
    np.testing.assert_allclose(
        list(extraction.vectors)[2], list(expected.vectors)[2], rtol=1e-4, atol=1e-7
    )
    assert extraction.weights == str(path)
    assert extraction.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_word_vectors_that_cannot_be_read(tmp_path):
    (tmp_path / "words.txt").write_text("these are no vectors\n")
    (tmp_path / "two.txt").write_text("1 2\nred 0.5 0.25\n")

    with pytest.raises(RawDataError, match="no such file"):
        load(tmp_path / "nowhere.txt", 8)
    with pytest.raises(RawDataError, match="expected word vectors in word2vec's text format"):
        load(tmp_path / "words.txt", 8)
    with pytest.raises(ParamsError, match="dim: expected 2"):
        load(tmp_path / "two.txt", 8)
    with pytest.raises(RawDataError, match="no word of it is among the word vectors"):
        sif.extract(
            series(["green"]),
            **SETTINGS
            | {"weights": f"{tmp_path}/two.txt", "training": replace(TRAINING, dim=2)},
        )


@pytest.mark.parametrize("texts", [[None, "", "--"], [[], None]])
def test_no_text_anywhere_is_an_error(texts):
    column = pl.Series("title", texts, pl.String if "" in texts else pl.List(pl.String))

    with pytest.raises(RawDataError, match="field 'title': expected text, got"):
        sif.extract(column, **SETTINGS)
    with pytest.raises(RawDataError, match="field 'title': expected text, got"):
        sif.fit(column, train(series(TEXTS), TRAINING), smoothing=0.001)


def test_a_min_count_that_leaves_no_word_is_an_error():
    with pytest.raises(RawDataError, match="words that occur 9 times or more"):
        sif.extract(series(TEXTS), **SETTINGS | {"training": replace(TRAINING, min_count=9)})


def test_other_texts_are_embedded_in_the_space_of_those_that_were_fitted():
    """A word that the fitted texts lack does not count."""
    expected = list(sif.extract(series(TEXTS), **SETTINGS).vectors)

    others = series(["blue denim jeans", "blue denim jeans unheard", "unheard", TEXTS[0]])
    found = list(sif.extract(others, **SETTINGS, fit_to=series(TEXTS)).vectors)

    for row, same in ((0, 3), (1, 3), (3, 0)):
        np.testing.assert_allclose(found[row], expected[same], rtol=1e-6, atol=1e-9)
    assert found[2] is None
