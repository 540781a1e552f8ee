"""Smooth inverse frequency: a sentence is the weighted mean of its words' vectors.

Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017,
https://openreview.net/forum?id=SyK00v5xx, Algorithm 1. Used for the paper's Sentence2Vec
(section 3.2), 300-d.

    v_s = 1/|s| sum_{w in s} a / (a + p(w)) v_w,    v_s <- v_s - u u^T v_s

p(w) is the word's share of the dataset's own tokens; u is the first singular vector of the
(uncentred) matrix of all v_s. Word vectors are Word2Vec skip-grams with negative sampling,
trained on the same text, or are read from a file.

The way BLAS splits a sum depends on its number of threads, which an engine may set, while the
features' bytes must not. So BLAS only multiplies single blocks, with one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from gensim.models import KeyedVectors
from threadpoolctl import threadpool_limits

from pipeline.extractors.extraction import Extraction, Machine
from pipeline.extractors.packages import versions
from pipeline.extractors.tokens import in_words
from pipeline.extractors.word_means import WordMeans, count_words
from pipeline.extractors.word_vectors import obtain
from pipeline.params.features import Sif
from pipeline.tables.features import Vector

MAX_ITERATIONS, TOLERANCE = 10_000, 1e-12  # of the power iteration


def extract(
    texts: pl.Series,
    settings: Sif,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Embed every text.

    Args:
        texts: one string, or list of tokens, per item; null where an item has none.
        settings: of the word vectors, and a of the formula.
        seed: of the word vectors.
        machine: its threads add the vectors; they change nothing but the speed.
        fit_to: texts to take word vectors, p(w) and u from, if not `texts`; `texts` are then
            embedded in their space.

    Returns:
        One vector per text, computed lazily; None where no word is known.

    Raises:
        RawDataError: there is no text, or no word of it has a vector; the weights file is
            absent or not in word2vec's format.
        ParamsError: the weights file has vectors of another width.
    """
    own_texts = texts if fit_to is None else fit_to
    vectors = obtain(own_texts, settings, seed)
    fitted = fit(own_texts, vectors.words, settings.smoothing, machine.threads)
    return Extraction(
        dim=settings.dim,
        weights=settings.weights,
        weights_sha256=vectors.sha256,
        preprocessing={
            "tokens": in_words(texts),
            "vectors": vectors.description,
            "sentence": "mean of a / (a + p(w)) v_w over the words that have a vector; p(w) is "
            "the word's share of this field's words",
            "a": settings.smoothing,
            "removed": "projection on the first singular vector of all sentences, not centred",
        },
        versions=versions("gensim", "numpy", "polars", "scipy"),
        vectors=fitted.embed(texts),
    )


@dataclass(frozen=True)
class Fitted:
    """The parts of Algorithm 1 that are fitted to a collection of texts."""

    means: WordMeans  # of a / (a + p(w)) v_w
    direction: np.ndarray  # u, (dim,)

    def embed(self, texts: pl.Series) -> Iterator[Vector | None]:
        """Yield the (dim,) float32 embedding of each text; None where no word has a vector.

        Words outside the collection are ignored.
        """
        yield from self.means.vectors_of(texts, self._without_direction)

    def _without_direction(self, mean: np.ndarray) -> np.ndarray:
        along = np.einsum("nd,d->n", mean, self.direction)
        return mean - along[:, None] * self.direction


def fit(texts: pl.Series, words: KeyedVectors, smoothing: float, threads: int = 1) -> Fitted:
    """Return p(w) and u of a collection of texts.

    Args:
        texts: (n,) strings or token lists.
        words: the word vectors, dim wide.
        smoothing: a of the formula.
        threads: to add vectors with.

    Raises:
        RawDataError: there is no text, or no word of it has a vector.
    """
    vocabulary = count_words(texts, words)
    weight = smoothing / (smoothing + vocabulary.share)
    means = WordMeans(vocabulary.words, weight[:, None] * vocabulary.vectors, threads)
    gram = np.zeros((words.vector_size, words.vector_size))
    with threadpool_limits(1, "blas"):
        for _, product in means.map_blocks(texts, lambda mean: mean.T @ mean):
            gram += product
    return Fitted(means, first_direction(gram))


def first_direction(gram: np.ndarray) -> np.ndarray:
    """Return the first right singular vector of a matrix X, by power iteration on X^T X.

    Args:
        gram: X^T X, (d, d) float64; X not centred.

    Returns:
        (d,) of length 1, with an arbitrary sign. Zeros if `gram` is all zeros.
    """
    direction: np.ndarray = gram[np.diag(gram).argmax()]
    for _ in range(MAX_ITERATIONS):
        previous, direction = direction, np.einsum("de,e->d", gram, direction)
        direction = direction / (np.sqrt(np.square(direction).sum()) or 1.0)
        if np.abs(direction - previous).max() < TOLERANCE:
            break
    return direction
