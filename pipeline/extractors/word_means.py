"""The mean of the vectors of a text's words, in memory that does not grow with the texts.

No Python loop over words: polars cuts them and looks them up, and a sparse matrix adds their
vectors. Threads compute blocks of texts, returned in order; a vector depends on its text alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import polars as pl
from gensim.models import KeyedVectors
from scipy.sparse import csr_array

from pipeline.extractors.tokens import no_text, tokenised
from pipeline.job.errors import RawDataError
from pipeline.tables.features import Vector

BLOCK = 4096  # texts whose vectors each thread holds at a time
# The number of known words of each text, and their indices, one text after the other.
Known: TypeAlias = tuple[np.ndarray, np.ndarray]
Result = TypeVar("Result")


@dataclass(frozen=True)
class WordMeans:
    """V words, each with the vector that it adds to a text's mean."""

    words: pl.Enum  # V
    vectors: np.ndarray  # (V, dim) float64
    threads: int = 1

    def map_blocks(
        self, texts: pl.Series, function: Callable[[np.ndarray], Result]
    ) -> Iterator[tuple[np.ndarray, Result]]:
        """Apply a function to the means of `BLOCK` texts at a time, in order.

        Args:
            texts: (n,) strings or token lists.
            function: takes (b, dim) float64, zeros where no word is known; runs in threads.

        Yields:
            present: (b,) bool, whether any word is known.
            the function's result.
        """

        def mapped(known: Known) -> tuple[np.ndarray, Result]:
            return known[0] > 0, function(self.mean(known))

        yield from map_in_order(mapped, self._blocks(texts), self.threads)

    def vectors_of(
        self, texts: pl.Series, function: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[Vector | None]:
        """Apply a function to every text's mean; yield float32, None where no word is known."""
        blocks = self.map_blocks(texts, lambda mean: function(mean).astype(np.float32))
        for present, rows in blocks:
            yield from where(present, rows)

    def mean(self, known: Known) -> np.ndarray:
        """Return (b, dim) float64: the sum over each text's known words, by their number."""
        lengths, columns = known
        starts = np.concatenate([[0], np.cumsum(lengths)])
        shares = np.repeat(1 / np.maximum(lengths, 1), lengths)
        shape = (len(lengths), len(self.vectors))
        return csr_array((shares, columns, starts), shape=shape) @ self.vectors

    def _blocks(self, texts: pl.Series) -> Iterator[Known]:
        for tokens in tokenised(texts):
            lengths, columns = known_words(tokens, self.words)
            starts = np.concatenate([[0], np.cumsum(lengths)])
            for first in range(0, len(lengths), BLOCK):
                block = lengths[first : first + BLOCK]
                yield block, columns[starts[first] : starts[first + len(block)]]


def where(present: np.ndarray, rows: np.ndarray) -> Iterator[Vector | None]:
    """Yield the rows, None where `present` is false."""
    yield from (row if there else None for row, there in zip(rows, present, strict=True))


def known_words(tokens: pl.Series, words: pl.Enum) -> Known:
    """Look up the words of n texts.

    Args:
        tokens: (n,) list<string>, without nulls.
        words: the vocabulary.

    Returns:
        (n,) the number of known words of each text; and their indices in `words`, int64.
    """
    lengths = tokens.list.len().to_numpy()
    indices = tokens.explode().drop_nulls().cast(words, strict=False).to_physical()
    text = np.repeat(np.arange(len(tokens)), lengths)[indices.is_not_null().to_numpy()]
    known = indices.drop_nulls().to_numpy().astype(np.int64)
    return np.bincount(text, minlength=len(tokens)), known


@dataclass(frozen=True)
class Vocabulary:
    """The words of a collection of texts that have a vector."""

    words: pl.Enum  # V, in the order of the word vectors
    vectors: np.ndarray  # (V, dim) float64
    share: np.ndarray  # (V,) of all words of the texts, including words without a vector


def count_words(texts: pl.Series, words: KeyedVectors) -> Vocabulary:
    """Count the words of texts that have a vector.

    Raises:
        RawDataError: there is no text, or none of its words has a vector.
    """
    vocabulary = pl.Enum(words.index_to_key)
    counts, total = np.zeros(len(words.index_to_key), np.int64), 0
    for tokens in tokenised(texts):
        total += int(tokens.list.len().sum())
        counts += np.bincount(known_words(tokens, vocabulary)[1], minlength=len(counts))
    if not total:
        raise no_text(texts)
    used = np.flatnonzero(counts)
    if not len(used):
        raise RawDataError(f"field {texts.name!r}: no word of it is among the word vectors")
    return Vocabulary(
        pl.Enum(vocabulary.categories.gather(used)),
        words.vectors[used].astype(np.float64),
        counts[used] / total,
    )


def map_in_order(
    function: Callable[[Known], Result], blocks: Iterable[Known], threads: int
) -> Iterator[Result]:
    """Yield `function(block)` in order, computed in threads, at most one block ahead."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for block in blocks:
            waiting.append(pool.submit(function, block))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
