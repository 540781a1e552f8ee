"""Word vectors, trained on the dataset's own text or read from a file.

Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality",
NIPS 2013, https://arxiv.org/abs/1310.4546: skip-gram with negative sampling.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from gensim.models import KeyedVectors, Word2Vec

from pipeline.extractors.tokens import fold, no_text, tokenised
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.params.features import OwnWords, Sif, Word2VecMean
from pipeline.tables.io import sha256_of

TRAINED = "trained"  # the setting `weights`
NEGATIVES = 5  # noise words per positive; Mikolov et al. 2013 use 5 to 20 on small data


@dataclass(frozen=True)
class WordVectors:
    """Words with their vectors, and their description for the metadata."""

    words: KeyedVectors
    sha256: str
    description: dict[str, Any] | str


class Sentences:
    """The words of each text that has any; cut again in every pass, to save memory.

    gensim learns from the first 10,000 words of a text and ignores the others.
    """

    def __init__(self, texts: pl.Series) -> None:
        self.texts = texts

    def __iter__(self) -> Iterator[list[str]]:
        for chunk in tokenised(self.texts):
            yield from filter(None, chunk.to_list())


def gensim_arguments(settings: OwnWords, seed: int) -> dict[str, Any]:
    """Return the arguments that Word2Vec and Doc2Vec share.

    The hash does not depend on PYTHONHASHSEED: with one worker, the same text and seed give the
    same bytes.
    """
    return {
        "vector_size": settings.dim,
        "window": settings.window,
        "epochs": settings.epochs,
        "min_count": settings.min_count,
        "workers": settings.workers,
        "seed": seed,
        "negative": NEGATIVES,
        "sample": 0,  # titles are too short to drop words, however frequent
        "hashfxn": stable_hash,
    }


def describe_training(settings: OwnWords, model: str) -> dict[str, Any]:
    """Describe how a model was trained; for the features' metadata."""
    description = {
        "model": f"{model}, negative sampling, on this field's own text",
        "negatives": NEGATIVES,
        "window": settings.window,
        "epochs": settings.epochs,
        "min_count": settings.min_count,
    }
    if settings.workers > 1:
        description["workers"] = (
            f"{settings.workers} threads: another run on the same text gives other numbers"
        )
    return description


def obtain(texts: pl.Series, settings: Word2VecMean | Sif, seed: int) -> WordVectors:
    """Train word vectors on texts, or read them from a file.

    Args:
        texts: (n,) strings or token lists; not read if the vectors come from a file.
        settings: `weights` is `trained`, or the path of vectors in word2vec's text or binary
            format, of width `dim`.
        seed: of the training.

    Raises:
        RawDataError: there is no text; the file is absent or not in word2vec's format.
        ParamsError: the file has vectors of another width.
    """
    if settings.weights != TRAINED:
        path = Path(settings.weights)
        words = load(path, settings.dim)
        return WordVectors(words, sha256_of(path), "read from the weights file")
    words = train(texts, settings, seed)
    sha256 = hashlib.sha256(words.vectors.tobytes()).hexdigest()
    return WordVectors(words, sha256, describe_training(settings, "Word2Vec, skip-gram"))


def train(texts: pl.Series, settings: OwnWords, seed: int) -> KeyedVectors:
    """Train Word2Vec (skip-gram, negative sampling) on the texts.

    Raises:
        RawDataError: there is no word, or none that occurs `min_count` times.
    """
    model = Word2Vec(sg=1, **gensim_arguments(settings, seed))
    fit(model, Sentences(texts), texts)
    return model.wv


def fit(model: Word2Vec, sentences: Iterable[Any], texts: pl.Series) -> None:
    """Train a model of gensim on what it takes, made from texts.

    Raises:
        RawDataError: there is no word, or none that occurs `min_count` times.
    """
    model.build_vocab(sentences)
    if not model.corpus_total_words:
        raise no_text(texts)
    if not len(model.wv):
        raise RawDataError(
            f"field {texts.name!r}: expected words that occur {model.min_count} times or more, "
            "got none; lower min_count"
        )
    model.train(
        sentences,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=model.epochs,
    )


def stable_hash(text: str) -> int:
    """Return a hash that depends on the text alone."""
    return zlib.crc32(str(text).encode())


def load(path: Path, dim: int) -> KeyedVectors:
    """Read word vectors in word2vec's format: binary if `.bin` or `.bin.gz`, else text.

    gensim's `.load` is not offered: it unpickles, which can run any code.

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
    words.index_to_key = _as_looked_up(words.index_to_key)
    words.key_to_index = {word: index for index, word in enumerate(words.index_to_key)}
    return words


def _as_looked_up(words: list[str]) -> list[str]:
    """Fold the lower-case words of a file as those of texts are: `straße` is `strasse`.

    A word whose folded form is in the file keeps its own form, which no text has.
    """
    forms = set(words)
    names = []
    for word in words:
        folded = fold(word) if not word.isascii() and word == word.lower() else word
        names.append(word if folded in forms else folded)
        forms.add(folded)
    return names
