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
from dataclasses import dataclass, replace
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
    fit_to: pl.Series | None = None,
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
        fit_to: texts that the word vectors, p(w) and u are of, where they are not `texts`
            themselves: other texts are then embedded in the same space.

    Returns:
        One vector per text; None where no word is known.

    Raises:
        RawDataError: there is no text, or no word of it has a vector; the weights file is
            absent or is not in word2vec's format.
        ParamsError: the weights file has vectors of another width.
    """
    tokens = tokenise(texts)
    own = tokens if fit_to is None else tokenise(fit_to)
    if weights == TRAINED:
        words = train(
            own, dim=dim, window=window, epochs=epochs, min_count=min_count, seed=seed
        )
        sha256 = hashlib.sha256(words.vectors.tobytes()).hexdigest()
    else:
        words, sha256 = load(Path(weights), dim), sha256_of(Path(weights))
    present, feature = fit(own, words, smoothing).embed(tokens)
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


@dataclass(frozen=True)
class Fitted:
    """What Algorithm 1 takes from a collection of texts: V words that have a vector, and u."""

    words: pl.DataFrame  # V rows: word, p (its share of all words), column (0 to V - 1)
    vectors: np.ndarray  # (V, dim) float64
    smoothing: float
    direction: np.ndarray  # u, (dim,); zeros until it is known

    def embed(self, tokens: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the SIF embedding of each token list, of the collection or not.

        Args:
            tokens: (n,) list<string>. Words that are not in the collection do not count.

        Returns:
            present: (n,) bool, whether a word of the text has a vector.
            feature: (n, dim) float32, zero where not present.
        """
        present, mean = self.weighted_mean(tokens)
        along = np.einsum("nd,d->n", mean, self.direction)
        return present, (mean - along[:, None] * self.direction).astype(np.float32)

    def weighted_mean(self, tokens: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return (n,) presence and (n, dim) v_s before u is removed, float64.

        |s| counts the words that have a vector, as often as they occur.
        """
        long = pl.DataFrame({"word": tokens}).with_row_index("row").explode("word")
        cells = (
            long.join(self.words, on="word")
            .group_by("row", "column", "p")
            .agg(count=pl.len())
            .with_columns(share=pl.col("count") / pl.col("count").sum().over("row"))
            .with_columns(
                weight=pl.col("share") * self.smoothing / (self.smoothing + pl.col("p"))
            )
            .sort("row", "column")
        )
        place = (cells["row"].to_numpy(), cells["column"].to_numpy())
        shape = (len(tokens), len(self.vectors))
        weights = csr_array((cells["weight"].to_numpy(), place), shape=shape)
        return np.diff(weights.indptr) > 0, weights @ self.vectors


def fit(tokens: pl.Series, words: KeyedVectors, smoothing: float) -> Fitted:
    """Return p(w) and u of a collection of texts.

    Args:
        tokens: (n,) list<string>.
        words: the word vectors, dim wide.
        smoothing: a of the formula.

    Raises:
        RawDataError: no word of any text has a vector.
    """
    every = tokens.explode().drop_nulls().alias("word").to_frame()
    known = pl.DataFrame({"word": words.index_to_key}).with_row_index("position")
    found = (
        every.group_by("word")
        .agg(p=pl.len() / every.height)
        .join(known, on="word")
        .sort("position")
        .with_row_index("column")
    )
    if found.is_empty():
        raise RawDataError(f"field {tokens.name!r}: no word of it is among the word vectors")
    vectors = words.vectors[found["position"].to_numpy()].astype(np.float64)
    fitted = Fitted(found.drop("position"), vectors, smoothing, np.zeros(words.vector_size))
    return replace(fitted, direction=first_direction(fitted.weighted_mean(tokens)[1]))


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
