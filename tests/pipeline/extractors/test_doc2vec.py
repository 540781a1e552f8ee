from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from gensim.models.doc2vec import Doc2Vec, TaggedDocument
from paths import ROOT

from pipeline.extractors import doc2vec
from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.extractors.tokens import tokenise
from pipeline.extractors.word_vectors import gensim_arguments, stable_hash
from pipeline.job.errors import RawDataError
from pipeline.params.features import Doc2Vec as Settings

SETTINGS = {"extractor": "doc2vec", "dim": 8, "epochs": 3}
TEXTS = [
    "Red cotton shirt",
    None,
    "red shirt, RED &amp; blue",
    "blue <b>denim</b> jeans",
    "--",
    "red cotton SHIRT",
]


def series(texts: list) -> pl.Series:
    return pl.Series("title", texts, pl.String)


def vectors(texts: list, fit_to: list | None = None, **changes) -> list:
    fitted, settings = (
        None if fit_to is None else series(fit_to),
        Settings(**SETTINGS | changes),
    )
    return list(doc2vec.extract(series(texts), settings, 1, Machine(), fit_to=fitted).vectors)


def test_trained_texts_have_the_vectors_that_gensim_trains():
    """Texts of the same words share a tag; texts without a word are left out."""
    words = tokenise(series(TEXTS)).to_list()
    tags = {0: 0, 2: 1, 3: 2, 5: 0}
    model = Doc2Vec(
        [TaggedDocument(words[row], [tag]) for row, tag in tags.items()],
        dm=0,
        dbow_words=1,
        vector_size=8,
        window=5,
        epochs=3,
        min_count=1,
        workers=1,
        seed=1,
        negative=5,
        sample=0,
        hashfxn=stable_hash,
    )

    trained = vectors(TEXTS)

    assert [vector is None for vector in trained] == [False, True, False, False, True, False]
    for row, tag in tags.items():
        np.testing.assert_array_equal(trained[row], model.dv[tag])
        assert trained[row].dtype == np.float32


def test_inference_equals_the_algorithm_in_a_loop():
    """PV-DBOW with negative sampling, a word at a time, with gensim's table of the sigmoid."""
    trained = doc2vec.train(series(TEXTS * 20), Settings(**SETTINGS | {"epochs": 5}), 1)
    model, words = trained.model, ["blue", "unheard", "shirt", "red"]
    start = np.linspace(-0.5, 0.5, 8, dtype=np.float32)

    inferred = doc2vec.infer(model, words, start, seed=4)

    draw, table = np.random.RandomState(4), model.cum_table
    vector = start.astype(np.float64)
    for alpha in np.linspace(0.025, 0.0001, 5):
        state = 2**24 * draw.randint(0, 2**24) + draw.randint(0, 2**24)
        for word in (model.wv.key_to_index[word] for word in words if word in model.wv):
            step = np.zeros(8)
            for n in range(6):
                target = word
                if n:
                    target = int(np.searchsorted(table, (state >> 16) % int(table[-1])))
                    state = (state * 25214903917 + 11) % 2**48
                if n and target == word:
                    continue
                output = model.syn1neg[target].astype(np.float64)
                place = int((vector @ output + 6) * 83) / 1000  # 83: 1000 / 6 / 2 in C
                error = (n == 0) - 1 / (1 + np.exp(-(place * 2 - 1) * 6))
                step += alpha * error * output
            vector += step
    np.testing.assert_allclose(inferred, vector, atol=1e-6)
    assert np.abs(inferred - start).max() > 0.005


def test_an_inferred_vector_does_not_depend_on_other_texts():
    first = vectors(["blue shirt", "denim red", "unheard"], fit_to=TEXTS)
    second = vectors(["denim red", "cotton", "blue shirt"], fit_to=TEXTS)

    np.testing.assert_array_equal(first[0], second[2])
    np.testing.assert_array_equal(first[1], second[0])
    assert first[2] is None
    assert not np.array_equal(first[0], first[1])


def test_a_fitted_text_keeps_its_vector_among_others():
    expected = vectors(TEXTS)

    rows = vectors(["jeans", "Blue denim jeans"], fit_to=TEXTS)

    np.testing.assert_array_equal(rows[1], expected[3])


def test_a_text_of_rare_words_alone_has_no_vector():
    rows = vectors(["red shirt", "red shirt blue", "denim"], min_count=2)

    assert [vector is None for vector in rows] == [False, False, True]


def test_the_same_numbers_in_every_process():
    code = (
        "import hashlib, polars\n"
        "from pipeline.extractors import doc2vec\n"
        "from pipeline.extractors.extraction import Machine\n"
        "from pipeline.params.features import Doc2Vec\n"
        f"texts, settings = polars.Series('t', {TEXTS!r} * 50), Doc2Vec(**{SETTINGS!r})\n"
        "own = doc2vec.extract(texts, settings, 1, Machine())\n"
        "other = doc2vec.extract(texts + ' blue', settings, 1, Machine(), fit_to=texts)\n"
        "rows = [v.tobytes() for e in (own, other) for v in e.vectors if v is not None]\n"
        "print(hashlib.sha256(b''.join(rows)).hexdigest(), own.weights_sha256, len(rows))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={
                "PYTHONHASHSEED": seed,
                "OMP_NUM_THREADS": seed,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            },
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(printed) == 1
    assert printed.pop().split()[2] == "450"  # 200 of 300 have words, and 250 with " blue"


def test_the_settings_reach_the_training():
    training = {"window": 3, "epochs": 2, "min_count": 2}
    settings = Settings(extractor="doc2vec", dim=7, **training)
    arguments = gensim_arguments(settings, 6)
    assert arguments.items() >= {"vector_size": 7, "seed": 6, **training}.items()

    extraction = EXTRACTORS["doc2vec"].texts(series(TEXTS), settings, 6, Machine())

    expected = doc2vec.train(series(TEXTS), settings, 6)
    assert extraction.weights_sha256 == expected.sha256()
    assert extraction.dim == 7
    description = extraction.preprocessing["vectors"]
    assert description["model"].startswith("Doc2Vec, PV-DBOW with skip-gram")


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(RawDataError, match="field 'title': expected text, got 2 items"):
        vectors([None, "--"])
    with pytest.raises(RawDataError, match="words that occur 9 times or more"):
        vectors(TEXTS, min_count=9)
