"""Paragraph vectors: each text has a vector of its own, learnt to predict the text's words.

Le and Mikolov, "Distributed Representations of Sentences and Documents", ICML 2014,
https://arxiv.org/abs/1405.4053. This is its distributed bag of words (section 2.3), with
skip-gram word vectors trained beside it, by gensim. The paper prefers the distributed memory
model; Lau and Baldwin, "An Empirical Evaluation of doc2vec", 2016,
https://arxiv.org/abs/1607.05368, compare the two on equal terms and find the bag of words the
better one, and word vectors beside it a help.

Texts of the same words share a vector. A text that the model was not trained on gets one by
the same training with the model held fixed. For the same text the two differ, which is why a
known one keeps its trained vector wherever it turns up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import gensim
import numpy as np
import polars as pl
from gensim.models.doc2vec import Doc2Vec, TaggedDocument
from gensim.models.doc2vec_inner import train_document_dbow

from pipeline.extractors import Extraction
from pipeline.extractors.tokens import CHUNK, in_words, tokenise, tokenised
from pipeline.extractors.word_means import known_words
from pipeline.extractors.word_vectors import Training, check_vocabulary
from pipeline.tables.features import Vector


def extract(
    texts: pl.Series, *, training: Training, fit_to: pl.Series | None = None
) -> Extraction:
    """Return the paragraph vector of every text.

    Args:
        texts: one string, or list of tokens, per item; null where there is none.
        training: of the vectors; with one worker the same texts give the same bytes.
        fit_to: texts to train on, where they are not `texts`.

    Returns:
        One vector per text; None where no word is known.

    Raises:
        RawDataError: there is no text, or no word that occurs `min_count` times.
    """
    trained = train(texts if fit_to is None else fit_to, training)
    return Extraction(
        dim=training.dim,
        weights="trained",
        weights_sha256=trained.sha256(),
        preprocessing={
            "tokens": in_words(texts),
            "vectors": training.in_words("Doc2Vec, PV-DBOW with skip-gram word vectors"),
            "sentence": "trained for the texts of these words; inferred where there are none",
        },
        versions={
            "gensim": gensim.__version__,
            "numpy": np.__version__,
            "polars": pl.__version__,
        },
        vectors=trained.vectors_of(texts),
    )


class Documents:
    """Texts with the number of each, again and again; gensim passes over them once an epoch."""

    def __init__(self, tokens: pl.Series, numbers: pl.Series) -> None:
        self.tokens, self.numbers = tokens, numbers

    def __iter__(self) -> Iterator[TaggedDocument]:
        for first in range(0, len(self.tokens), CHUNK):
            part = slice(first, first + CHUNK)
            for words, number in zip(
                self.tokens[part].to_list(), self.numbers[part].to_list(), strict=True
            ):
                yield TaggedDocument(words, [number])


@dataclass(frozen=True)
class Trained:
    """A model, and which of its vectors is whose."""

    model: Doc2Vec
    distinct: pl.DataFrame  # words (list<string>, each once), number of their vector
    seed: int

    def vectors_of(self, texts: pl.Series) -> Iterator[Vector | None]:
        """Yield the trained vector of a known text, and infer that of another."""
        vocabulary = pl.Enum(self.model.wv.index_to_key)
        start = np.random.default_rng(self.seed).random(self.model.vector_size, np.float32)
        start = (start - 0.5) / self.model.vector_size
        for tokens in tokenised(texts):
            present = known_words(tokens, vocabulary)[0] > 0
            numbers = _numbers(tokens, self.distinct)
            for row, (there, number) in enumerate(zip(present, numbers, strict=True)):
                if not there:
                    yield None
                elif number is not None:
                    yield self.model.dv.vectors[number]
                else:
                    yield infer(self.model, tokens[row].to_list(), start, self.seed)

    def sha256(self) -> str:
        """Return the sha256 of the vectors of texts, of words, and of words as predicted."""
        digest = hashlib.sha256()
        for weights in (self.model.dv.vectors, self.model.wv.vectors, self.model.syn1neg):
            digest.update(weights.tobytes())
        return digest.hexdigest()


def train(texts: pl.Series, training: Training) -> Trained:
    """Train on the texts that have words, one vector for those of the same words.

    Raises:
        RawDataError: there is no word, or none that occurs `min_count` times.
    """
    tokens = tokenise(texts)
    tokens = tokens.filter(tokens.list.len() > 0)
    distinct = tokens.unique(maintain_order=True).alias("words").to_frame()
    distinct = distinct.with_row_index("number")
    documents = Documents(tokens, _numbers(tokens, distinct))
    model = Doc2Vec(dm=0, dbow_words=1, **training.arguments())
    model.build_vocab(documents)
    check_vocabulary(model, texts)
    model.train(
        documents,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=model.epochs,
    )
    return Trained(model, distinct, training.seed)


def infer(model: Doc2Vec, words: list[str], start: np.ndarray, seed: int) -> Vector:
    """Return the vector of a text that the model was not trained on.

    gensim's own `infer_vector` starts from a hash that PYTHONHASHSEED moves, and draws from a
    generator that the texts before this one have moved.

    Args:
        model: not changed, but for the state of its generator.
        words: of the text; unknown ones are passed over.
        start: (dim,) float32.
        seed: of the noise words.

    Returns:
        (dim,) float32; it depends on nothing but the arguments.
    """
    model.random = np.random.RandomState(seed)
    vector, moves = start[None].copy(), np.ones(1, np.float32)
    for rate in np.linspace(model.alpha, model.min_alpha, model.epochs):
        train_document_dbow(
            model,
            words,
            [0],
            rate,
            learn_words=False,
            learn_hidden=False,
            doctag_vectors=vector,
            doctags_lockf=moves,
        )
    return vector[0]


def _numbers(tokens: pl.Series, distinct: pl.DataFrame) -> pl.Series:
    """Return the number of each token list; null where it is unknown."""
    asked = tokens.alias("words").to_frame()
    return asked.join(distinct, on="words", how="left", maintain_order="left")["number"]
