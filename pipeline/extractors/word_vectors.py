"""A vector for each word: trained on the dataset's own text, or read from a file.

Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality",
NIPS 2013, https://arxiv.org/abs/1310.4546: skip-gram with negative sampling.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from gensim.models import KeyedVectors, Word2Vec

from pipeline.extractors.tokens import no_text, tokenised
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.tables.io import sha256_of

TRAINED = "trained"  # the setting `weights`
NEGATIVES = 5  # noise words per positive; Mikolov et al. 2013 use 5 to 20 on small data


@dataclass(frozen=True, kw_only=True)
class Training:
    """How gensim learns from the dataset's own text."""

    dim: int
    window: int  # words on each side of the centre word
    epochs: int  # passes over the text
    min_count: int  # rarer words are left out
    workers: int  # threads; with more than one no two runs give the same bytes
    seed: int

    def arguments(self) -> dict[str, Any]:
        """Return what Word2Vec and Doc2Vec are both made with.

        The hash does not depend on PYTHONHASHSEED: with one worker, the same text and seed
        give the same bytes.
        """
        return {
            "vector_size": self.dim,
            "window": self.window,
            "epochs": self.epochs,
            "min_count": self.min_count,
            "workers": self.workers,
            "seed": self.seed,
            "negative": NEGATIVES,
            "sample": 0,  # titles are too short to lose words, however frequent
            "hashfxn": stable_hash,
        }

    def in_words(self, model: str) -> dict[str, Any]:
        """Say how a model was trained; for the features' metadata."""
        said = {
            "model": f"{model}, negative sampling, on this field's own text",
            "negatives": NEGATIVES,
            "window": self.window,
            "epochs": self.epochs,
            "min_count": self.min_count,
        }
        if self.workers > 1:
            said["workers"] = (
                f"{self.workers} threads: another run on the same text gives other numbers"
            )
        return said


@dataclass(frozen=True)
class WordVectors:
    """Words with their vectors, and what the metadata says of them."""

    words: KeyedVectors
    sha256: str
    said: dict[str, Any] | str


class Sentences:
    """The words of each text that has any; cut anew in every pass, so that none are held.

    gensim learns from the first 10,000 words of a text and passes over the rest.
    """

    def __init__(self, texts: pl.Series) -> None:
        self.texts = texts

    def __iter__(self) -> Iterator[list[str]]:
        for chunk in tokenised(self.texts):
            yield from filter(None, chunk.to_list())


def obtain(texts: pl.Series, weights: str, training: Training) -> WordVectors:
    """Train word vectors on texts, or read them from a file.

    Args:
        texts: (n,) strings or token lists; not read where the vectors are a file's.
        weights: `trained`, or the path of word vectors in word2vec's text or binary format.
        training: used where they are trained; its `dim` is checked against a file.

    Raises:
        RawDataError: there is no text; the file is absent or not in word2vec's format.
        ParamsError: the file has vectors of another width.
    """
    if weights != TRAINED:
        words = load(Path(weights), training.dim)
        return WordVectors(words, sha256_of(Path(weights)), "read from the weights file")
    words = train(texts, training)
    sha256 = hashlib.sha256(words.vectors.tobytes()).hexdigest()
    return WordVectors(words, sha256, training.in_words("Word2Vec, skip-gram"))


def train(texts: pl.Series, training: Training) -> KeyedVectors:
    """Train Word2Vec (skip-gram, negative sampling) on the texts.

    Raises:
        RawDataError: there is no word, or none that occurs `min_count` times.
    """
    model = Word2Vec(sg=1, **training.arguments())
    sentences = Sentences(texts)
    model.build_vocab(sentences)
    check_vocabulary(model, texts)
    model.train(
        sentences,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=model.epochs,
    )
    return model.wv


def check_vocabulary(model: Word2Vec, texts: pl.Series) -> None:
    """Raise RawDataError where a model has found no word to learn from."""
    if not model.corpus_total_words:
        raise no_text(texts)
    if not len(model.wv):
        raise RawDataError(
            f"field {texts.name!r}: expected words that occur {model.min_count} times or more, "
            "got none; lower min_count"
        )


def stable_hash(text: str) -> int:
    """Return a number that depends on the text alone."""
    return zlib.crc32(str(text).encode())


def load(path: Path, dim: int) -> KeyedVectors:
    """Read word vectors in word2vec's format: binary if `.bin` or `.bin.gz`, else text.

    gensim's own `.load` is not offered: it unpickles, which runs whatever the file says.

    Raises:
        RawDataError: the file is absent or not in that format.
        ParamsError: its vectors are not `dim` wide.
    """
    if not path.is_file():
        raise RawDataError(
            f"{path}: no such file; `weights` is `{TRAINED}` or a file of word vectors"
        )
    binary = path.name.endswith((".bin", ".bin.gz"))
    try:
        words = KeyedVectors.load_word2vec_format(path, binary=binary)
    except (ValueError, EOFError, OSError, UnicodeDecodeError) as error:
        kind = "binary" if binary else "text"
        raise RawDataError(
            f"{path}: expected word vectors in word2vec's {kind} format, got {error}"
        ) from error
    if words.vector_size != dim:
        raise ParamsError(
            f"params.yaml: features: dim: expected {words.vector_size}, the width of {path}, "
            f"got {dim}"
        )
    return words
