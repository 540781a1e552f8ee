"""Latent semantic analysis: the first singular directions of the tf-idf matrix.

Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 1990,
https://doi.org/10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9.

    x_sw = tf(s, w) (ln((1 + n) / (1 + df(w))) + 1), divided by the length of x_s
    v_s = x_s V, where X = U S V^T and V keeps the `dim` largest

n texts have words, df(w) of them the word w; weights as in scikit-learn. V is computed by
ARPACK's Lanczos iteration to full precision: a randomised range finder misses the last 200 of
Beauty's 300 directions. Where X has a lower rank than `dim`, the last columns are zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from pipeline.extractors.extraction import Extraction, Machine
from pipeline.extractors.packages import versions
from pipeline.extractors.tokens import in_words, no_text, tokenised
from pipeline.extractors.word_means import where
from pipeline.extractors.word_vectors import Sentences
from pipeline.job.errors import RawDataError
from pipeline.params.features import TfidfSvd
from pipeline.tables.features import Vector

BLOCK = 4096  # texts whose vectors are in memory at a time


def extract(
    texts: pl.Series,
    settings: TfidfSvd,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Project every text.

    Args:
        texts: one string, or list of tokens, per item; null where an item has none.
        settings: `dim` directions are kept; words in fewer than `min_count` texts are ignored.
        seed: of the start vector of the iteration.
        machine: not used; one thread computes.
        fit_to: texts to take df and V from, if not `texts`.

    Returns:
        One vector per text, computed lazily; None where no word is known.

    Raises:
        RawDataError: there is no text, or no word is in `min_count` texts.
    """
    dim, min_count = settings.dim, settings.min_count
    fitted = fit(texts if fit_to is None else fit_to, dim, min_count, seed)
    preprocessing = {
        "tokens": in_words(texts),
        "matrix": "tf (ln((1 + n) / (1 + df)) + 1) of this field's own text, rows of length 1",
        "min_count": min_count,
        "sentence": "projection on the first right singular vectors, not centred",
    }
    if (rank := fitted.directions.shape[1]) < dim:
        preprocessing["zero_columns"] = f"the last {dim - rank}: the matrix has rank {rank}"
    return Extraction(
        dim=dim,
        weights="fitted",
        weights_sha256=fitted.sha256(),
        preprocessing=preprocessing,
        versions=versions("numpy", "polars", "scikit-learn", "scipy"),
        vectors=fitted.vectors_of(texts, dim),
    )


@dataclass(frozen=True)
class Fitted:
    """The weights and directions of a collection of texts with V words."""

    vectorizer: TfidfVectorizer
    directions: np.ndarray  # (V, rank) float64; rank <= dim

    def vectors_of(self, texts: pl.Series, dim: int) -> Iterator[Vector | None]:
        """Yield the (dim,) float32 projection of each text; None where no word is known."""
        for tokens in tokenised(texts, BLOCK):
            matrix = self.vectorizer.transform(tokens.to_list())
            rows = np.zeros((len(tokens), dim), np.float32)
            rows[:, : self.directions.shape[1]] = matrix @ self.directions
            yield from where(np.diff(matrix.indptr) > 0, rows)

    def sha256(self) -> str:
        """Return the sha256 of the words' weights and the directions."""
        digest = hashlib.sha256(self.vectorizer.idf_.tobytes())
        digest.update(self.directions.tobytes())
        return digest.hexdigest()


def fit(texts: pl.Series, dim: int, min_count: int, seed: int) -> Fitted:
    """Return df and V of a collection of texts; see `extract`."""
    sentences = Sentences(texts)
    if next(iter(sentences), None) is None:
        raise no_text(texts)
    vectorizer = TfidfVectorizer(analyzer=_unchanged, min_df=min_count)
    try:
        matrix = vectorizer.fit_transform(sentences)
    except ValueError as error:  # the vocabulary is empty
        raise RawDataError(
            f"field {texts.name!r}: expected words that are in {min_count} texts or more, got "
            "none; lower min_count"
        ) from error
    with threadpool_limits(1):  # the bytes must not depend on how BLAS splits a sum
        return Fitted(vectorizer, first_directions(matrix, dim, seed).T)


def first_directions(matrix: csr_array, dim: int, seed: int) -> np.ndarray:
    """Return the first right singular vectors of a matrix, their largest entries positive.

    Args:
        matrix: (n, d), not centred.
        dim: the number of vectors.
        seed: of the start vector.

    Returns:
        (min(dim, rank), d) float64, the largest singular value first.
    """
    count = min(dim, *matrix.shape)
    if count < min(matrix.shape):
        generator = np.random.default_rng(seed)
        _, values, rows = svds(matrix, count, return_singular_vectors="vh", rng=generator)
    else:  # ARPACK cannot return all; a sketch as wide as the matrix is exact
        _, values, rows = randomized_svd(matrix, count, random_state=seed)
    noise = values.max() * max(matrix.shape) * np.finfo(np.float64).eps
    rows = rows[np.argsort(-values)][: np.count_nonzero(values > noise)]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], 1)
    return rows * np.sign(largest)


def _unchanged(words: list[str]) -> list[str]:
    return words
