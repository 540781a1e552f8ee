"""Smooth inverse frequency: a sentence is the weighted mean of its words' vectors.

Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017,
https://openreview.net/forum?id=SyK00v5xx, Algorithm 1. Stands for the paper's Sentence2Vec
(section 3.2), 300-d.

    v_s = 1/|s| sum_{w in s} a / (a + p(w)) v_w,    v_s <- v_s - u u^T v_s

p(w) is the word's share of the dataset's own tokens; u is the first singular vector of the
(uncentred) matrix of all v_s. Word vectors are Word2Vec skip-grams with negative sampling,
trained on the same text, or are read from a file.

No BLAS beyond single vectors: how that splits a sum depends on its number of threads, which an
engine may set, and the features' bytes must not.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gensim
import numpy as np
import polars as pl
import scipy
from gensim.models import KeyedVectors
from scipy.sparse import csr_array

from pipeline.errors import RawDataError
from pipeline.extractors import Extraction
from pipeline.extractors.word_vectors import NEGATIVES, TRAINED, load, tokenise, train
from pipeline.io import sha256_of

MAX_ITERATIONS, TOLERANCE = 10_000, 1e-12  # of the power iteration


def extract(
    texts: pl.Series,
    *,
    weights: str,
    dim: int,
    smoothing: float,
    window: int,
    epochs: int,
    min_count: int,
    seed: int,
) -> Extraction:
    """Embed every text.

    Args:
        texts: one string, or list of tokens, per item; null where there is none.
        weights: `trained`, or the path of word vectors in word2vec's text or binary format.
        dim: width of the vectors.
        smoothing: a of the formula.
        window: words on each side of the centre word, in training.
        epochs: passes of Word2Vec over the text.
        min_count: rarer words get no vector, in training.
        seed: of Word2Vec.

    Returns:
        One vector per text; None where no word is known.

    Raises:
        RawDataError: there is no text, or no word of it has a vector; the weights file is
            absent or is not in word2vec's format.
        ParamsError: the weights file has vectors of another width.
    """
    tokens = tokenise(texts)
    if weights == TRAINED:
        words = train(
            tokens, dim=dim, window=window, epochs=epochs, min_count=min_count, seed=seed
        )
        sha256 = hashlib.sha256(words.vectors.tobytes()).hexdigest()
    else:
        words, sha256 = load(Path(weights), dim), sha256_of(Path(weights))
    present, feature = embed(tokens, words, smoothing)
    return Extraction(
        dim=dim,
        weights=weights,
        weights_sha256=sha256,
        preprocessing=_preprocessing(texts, weights, smoothing, window, epochs, min_count),
        versions={
            "gensim": gensim.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        vectors=[row if there else None for row, there in zip(feature, present, strict=True)],
    )


def embed(
    tokens: pl.Series, words: KeyedVectors, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the SIF embedding of each token list.

    Args:
        tokens: (n,) list<string>.
        words: the word vectors, dim wide.
        smoothing: a of the formula.

    Returns:
        present: (n,) bool, whether a word of the text has a vector.
        feature: (n, dim) float32, zero where not present.

    Raises:
        RawDataError: no word of any text has a vector.
    """
    weighted_mean, vocabulary = _weighted_mean(tokens, words, smoothing)
    vectors = words.vectors[[words.key_to_index[word] for word in vocabulary]]
    present = np.diff(weighted_mean.indptr) > 0
    feature = weighted_mean @ vectors.astype(np.float64)
    direction = first_direction(feature)
    along = np.einsum("nd,d->n", feature, direction)
    return present, (feature - along[:, None] * direction).astype(np.float32)


def _weighted_mean(
    tokens: pl.Series, words: KeyedVectors, smoothing: float
) -> tuple[csr_array, list[str]]:
    """Return the (n, words) matrix of a / (a + p(w)) / |s| and the words of its columns.

    |s| counts the words that have a vector, as often as they occur.
    """
    long = pl.DataFrame({"word": tokens}).with_row_index("row").explode("word").drop_nulls()
    known = pl.DataFrame({"word": words.index_to_key}).with_row_index("position")
    columns = (
        long.group_by("word")
        .agg(p=pl.len() / long.height)
        .join(known, on="word")
        .sort("position")
        .with_row_index("column")
    )
    if columns.is_empty():
        raise RawDataError(f"field {tokens.name!r}: no word of it is among the word vectors")
    cells = (
        long.join(columns, on="word")
        .group_by("row", "column", "p")
        .agg(count=pl.len())
        .with_columns(share=pl.col("count") / pl.col("count").sum().over("row"))
        .with_columns(weight=pl.col("share") * smoothing / (smoothing + pl.col("p")))
        .sort("row", "column")
    )
    place = (cells["row"].to_numpy(), cells["column"].to_numpy())
    shape = (len(tokens), columns.height)
    return csr_array((cells["weight"].to_numpy(), place), shape=shape), columns[
        "word"
    ].to_list()


def first_direction(rows: np.ndarray) -> np.ndarray:
    """Return the first right singular vector of a matrix, by power iteration.

    Args:
        rows: (n, d) float64, not centred.

    Returns:
        (d,) of length 1; its sign has no meaning. Zeros if `rows` is all zeros.
    """
    gram = np.einsum("nd,ne->de", rows, rows)
    direction: np.ndarray = gram[np.diag(gram).argmax()]
    for _ in range(MAX_ITERATIONS):
        previous, direction = direction, np.einsum("de,e->d", gram, direction)
        direction = direction / (np.sqrt(np.square(direction).sum()) or 1.0)
        if np.abs(direction - previous).max() < TOLERANCE:
            break
    return direction


def _preprocessing(
    texts: pl.Series, weights: str, smoothing: float, window: int, epochs: int, min_count: int
) -> dict[str, Any]:
    """Say in words what was done; stored with the features."""
    trained = {
        "model": "Word2Vec, skip-gram, negative sampling, on this field's own text",
        "negatives": NEGATIVES,
        "window": window,
        "epochs": epochs,
        "min_count": min_count,
    }
    from_text = (
        "HTML unescaped, tags removed, lower-cased, runs of letters and digits with inner "
        "apostrophes"
    )
    return {
        "tokens": from_text if texts.dtype == pl.String else "as given",
        "vectors": trained if weights == TRAINED else "read from the weights file",
        "sentence": "mean of a / (a + p(w)) v_w over the words that have a vector; p(w) is the "
        "word's share of this field's words",
        "a": smoothing,
        "removed": "projection on the first singular vector of all sentences, not centred",
    }
