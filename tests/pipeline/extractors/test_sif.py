from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from gensim.models import KeyedVectors
from paths import ROOT

from pipeline.extractors import sif, word_means
from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.extractors.tokens import tokenise, tokenised
from pipeline.extractors.word_vectors import gensim_arguments, load, train
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.params.features import Sif

SETTINGS = {"extractor": "sif", "dim": 8, "epochs": 3}
SIF = Sif(**SETTINGS)
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


def extract(texts: list, *, seed: int = 1, fit_to: list | None = None, **settings):
    fitted = None if fit_to is None else series(fit_to)
    return sif.extract(
        series(texts), Sif(**SETTINGS | settings), seed, Machine(), fit_to=fitted
    )


def test_embedding_equals_the_formula_in_a_loop():
    texts = series([*TEXTS, "shirt unknown words"])
    vocabulary = ["red", "shirt", "blue", "jeans", "cotton"]
    words = KeyedVectors(4)
    words.add_vectors(
        vocabulary, np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    )

    vectors = list(sif.fit(texts, words, smoothing=0.01).embed(texts))

    texts = tokenise(texts).to_list()
    everything = [word for text in texts for word in text]
    expected = np.zeros((len(texts), 4))
    for row, text in enumerate(texts):
        inside = [word for word in text if word in vocabulary]
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


def test_the_extraction_describes_itself():
    extraction = extract(TEXTS)

    vectors = list(extraction.vectors)
    assert [vector is not None for vector in vectors] == [True, False, True, True, False, False]
    assert vectors[0].shape == (8,)
    assert extraction.dim == 8
    assert extraction.weights == "trained"
    words = train(series(TEXTS), SIF, 1)
    assert extraction.weights_sha256 == hashlib.sha256(words.vectors.tobytes()).hexdigest()
    assert extraction.preprocessing["vectors"]["epochs"] == 3
    assert set(extraction.versions) == {"gensim", "numpy", "polars", "scipy"}


def test_the_numbers_do_not_depend_on_python_hashes_or_blas_threads():
    code = (
        "import hashlib, sys, numpy, polars; from pipeline.extractors import sif\n"
        "from pipeline.extractors.extraction import Machine\n"
        "from pipeline.params.features import Sif\n"
        f"settings, machine = Sif(**{SETTINGS!r}), Machine(threads=int(sys.argv[1]))\n"
        f"e = sif.extract(polars.Series('t', {TEXTS!r} * 1000), settings, 1, machine)\n"
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
    first, second = (extract(TEXTS, seed=seed) for seed in (1, 2))

    assert first.weights_sha256 != second.weights_sha256


def test_the_metadata_names_several_workers():
    """One worker is not named: its numbers are reproducible."""
    training = extract(TEXTS, workers=2).preprocessing["vectors"]

    assert training["workers"] == "2 threads: another run on the same text gives other numbers"
    assert "workers" not in extract(TEXTS).preprocessing["vectors"]


def test_the_settings_reach_the_training():
    training = {"window": 3, "epochs": 2, "min_count": 2, "workers": 2}
    arguments = gensim_arguments(Sif(extractor="sif", dim=7, **training), 6)
    assert arguments.items() >= {"vector_size": 7, "seed": 6, **training}.items()

    settings = Sif(extractor="sif", smoothing=0.1, **training | {"dim": 7, "workers": 1})
    extraction = EXTRACTORS["sif"].texts(series(TEXTS), settings, 6, Machine())

    words = train(series(TEXTS), settings, 6)
    expected = sif.fit(series(TEXTS), words, smoothing=0.1).embed(series(TEXTS))
    digest = hashlib.sha256(words.vectors.tobytes()).hexdigest()
    assert extraction.weights_sha256 == digest
    np.testing.assert_array_equal(next(iter(extraction.vectors)), next(expected))


def test_the_size_of_blocks_changes_neither_vectors_nor_their_order(monkeypatch):
    texts = series(TEXTS * 9)
    words = train(texts, SIF, 1)
    expected = list(sif.fit(texts, words, 0.001).embed(texts))

    monkeypatch.setattr(word_means, "BLOCK", 4)
    monkeypatch.setattr(word_means, "tokenised", lambda texts: tokenised(texts, 10))
    vectors = list(sif.fit(texts, words, 0.001, threads=3).embed(texts))

    assert [v is None for v in vectors] == [v is None for v in expected]
    for vector, reference in zip(vectors, expected, strict=True):
        if reference is not None:
            np.testing.assert_allclose(vector, reference, atol=1e-7)


def test_vectors_are_computed_lazily(monkeypatch):
    monkeypatch.setattr(word_means, "BLOCK", 6)
    computed = []
    mean = word_means.WordMeans.mean
    monkeypatch.setattr(
        word_means.WordMeans, "mean", lambda *args: computed.append(1) or mean(*args)
    )
    vectors = iter(extract(TEXTS * 20).vectors)
    before = len(computed)

    next(vectors)

    assert before == 20
    assert 1 <= len(computed) - before <= 2


@pytest.mark.parametrize("binary", [False, True])
def test_word_vectors_from_a_file(tmp_path, binary):
    words = train(series(TEXTS), SIF, 1)
    path = tmp_path / ("words.bin" if binary else "words.txt.gz")
    words.save_word2vec_format(path, binary=binary)

    extraction = extract(TEXTS, weights=str(path))

    expected = extract(TEXTS)
    np.testing.assert_allclose(
        list(extraction.vectors)[2], list(expected.vectors)[2], rtol=1e-4, atol=1e-7
    )
    assert extraction.weights == str(path)
    assert extraction.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_word_vectors_of_a_file_are_found_by_folded_words(tmp_path):
    lines = ["straße 1 0", "cafe\u0301 0 1", "Rosé 1 1", "λόγος 2 1", "λόγοσ 3 1"]
    (tmp_path / "words.txt").write_text("\n".join([f"{len(lines)} 2", *lines]))

    words = load(tmp_path / "words.txt", 2)

    assert words.index_to_key == ["strasse", "café", "Rosé", "λόγος", "λόγοσ"]
    assert words["strasse"].tolist() == [1, 0]


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
        extract(["green"], weights=f"{tmp_path}/two.txt", dim=2)


@pytest.mark.parametrize("texts", [[None, "", "--"], [[], None]])
def test_no_text_anywhere_is_an_error(texts):
    column = pl.Series("title", texts, pl.String if "" in texts else pl.List(pl.String))

    with pytest.raises(RawDataError, match="field 'title': expected text, got"):
        sif.extract(column, SIF, 1, Machine())
    with pytest.raises(RawDataError, match="field 'title': expected text, got"):
        sif.fit(column, train(series(TEXTS), SIF, 1), smoothing=0.001)


def test_a_min_count_that_leaves_no_word_is_an_error():
    with pytest.raises(RawDataError, match="words that occur 9 times or more"):
        extract(TEXTS, min_count=9)


def test_other_texts_are_embedded_in_the_space_of_the_fitted_texts():
    """A word outside the fitted texts is ignored."""
    expected = list(extract(TEXTS).vectors)

    texts = ["blue denim jeans", "blue denim jeans unheard", "unheard", TEXTS[0]]
    vectors = list(extract(texts, fit_to=TEXTS).vectors)

    for row, same in ((0, 3), (1, 3), (3, 0)):
        np.testing.assert_allclose(vectors[row], expected[same], rtol=1e-6, atol=1e-9)
    assert vectors[2] is None
