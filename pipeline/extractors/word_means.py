"""The mean of the vectors of a text's words, for any number of texts in the same memory.

No Python loop over words: polars cuts them and looks them up, and a sparse matrix adds up their
vectors. Blocks of texts are computed in threads and come back in order; a vector depends on
its text alone.
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

BLOCK = 4096  # texts whose vectors are held at a time by each thread
# How many known words each of some texts has, and which ones, one text after the other.
Known: TypeAlias = tuple[np.ndarray, np.ndarray]
Result = TypeVar("Result")


@dataclass(frozen=True)
class WordMeans:
    """V words, and for each what it adds to a text's mean."""

    words: pl.Enum  # V
    vectors: np.ndarray  # (V, dim) float64
    threads: int = 1

    def each(
        self, texts: pl.Series, then: Callable[[np.ndarray], Result]
    ) -> Iterator[tuple[np.ndarray, Result]]:
        """Yield what `then` makes of the means of `BLOCK` texts at a time, in order.

        Args:
            texts: (n,) strings or token lists.
            then: is given (b, dim) float64, a row of zeros where no word is known; called in
                threads.

        Yields:
            present: (b,) bool, whether any word is known.
            what `then` returned.
        """

        def one(known: Known) -> tuple[np.ndarray, Result]:
            return known[0] > 0, then(self.mean(known))

        yield from in_order(one, self._blocks(texts), self.threads)

    def vectors_of(
        self, texts: pl.Series, then: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[Vector | None]:
        """Yield what `then` makes of each text's mean, float32; None where no word is known."""
        for present, rows in self.each(texts, lambda mean: then(mean).astype(np.float32)):
            yield from (
                row if there else None for row, there in zip(rows, present, strict=True)
            )

    def mean(self, known: Known) -> np.ndarray:
        """Return (b, dim) float64: each text's sum over its known words, by their number."""
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
                part = lengths[first : first + BLOCK]
                yield part, columns[starts[first] : starts[first + len(part)]]


def known_words(tokens: pl.Series, words: pl.Enum) -> Known:
    """Look up the words of n texts.

    Args:
        tokens: (n,) list<string>, without nulls.
        words: those that are known.

    Returns:
        (n,) how many words of each text are known, and their places in `words`, int64.
    """
    lengths = tokens.list.len().to_numpy()
    places = tokens.explode().drop_nulls().cast(words, strict=False).to_physical()
    text = np.repeat(np.arange(len(tokens)), lengths)[places.is_not_null().to_numpy()]
    found = places.drop_nulls().to_numpy().astype(np.int64)
    return np.bincount(text, minlength=len(tokens)), found


@dataclass(frozen=True)
class Counted:
    """The words of a collection of texts that have a vector."""

    words: pl.Enum  # V, in the order of the word vectors
    vectors: np.ndarray  # (V, dim) float64
    share: np.ndarray  # (V,) of all words of the texts, those without a vector included


def count(texts: pl.Series, words: KeyedVectors) -> Counted:
    """Find the words of texts among word vectors, and count them.

    Raises:
        RawDataError: there is no text, or none of its words has a vector.
    """
    every = pl.Enum(words.index_to_key)
    counts, total = np.zeros(len(words.index_to_key), np.int64), 0
    for tokens in tokenised(texts):
        total += int(tokens.list.len().sum())
        counts += np.bincount(known_words(tokens, every)[1], minlength=len(counts))
    if not total:
        raise no_text(texts)
    used = np.flatnonzero(counts)
    if not len(used):
        raise RawDataError(f"field {texts.name!r}: no word of it is among the word vectors")
    return Counted(
        pl.Enum(every.categories.gather(used)),
        words.vectors[used].astype(np.float64),
        counts[used] / total,
    )


def in_order(
    function: Callable[[Known], Result], blocks: Iterable[Known], threads: int
) -> Iterator[Result]:
    """Yield `function` of every block, in order; threads compute, at most one block ahead."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for block in blocks:
            waiting.append(pool.submit(function, block))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
