"""Paragraph vectors: a vector for each text, trained to predict the text's words.

Le and Mikolov, "Distributed Representations of Sentences and Documents", ICML 2014,
https://arxiv.org/abs/1405.4053: the distributed bag of words (section 2.3), with skip-gram word
vectors trained at the same time, by gensim. The paper prefers the distributed memory model; Lau
and Baldwin, "An Empirical Evaluation of doc2vec", 2016, https://arxiv.org/abs/1607.05368,
compare both on equal terms: the bag of words is better, and word vectors help.

Texts of the same words share a vector. The vector of a text outside the training texts is
inferred: trained in the same way with the model fixed. A trained and an inferred vector of the
same text differ, so a training text always gets its trained vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from gensim.models.doc2vec import Doc2Vec, TaggedDocument
from gensim.models.doc2vec_inner import train_document_dbow

from pipeline.extractors.extraction import Extraction, Machine
from pipeline.extractors.packages import versions
from pipeline.extractors.tokens import CHUNK, in_words, tokenise, tokenised
from pipeline.extractors.word_means import known_words
from pipeline.extractors.word_vectors import describe_training, fit, gensim_arguments
from pipeline.params.features import Doc2Vec as Settings
from pipeline.tables.features import Vector


def extract(
    texts: pl.Series,
    settings: Settings,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Return the paragraph vector of every text.

    Args:
        texts: one string, or list of tokens, per item; null where an item has none.
        settings: of the training; with one worker the same texts give the same bytes.
        seed: of the training.
        machine: not used; `workers` is a setting, since it changes the numbers.
        fit_to: texts to train on, if not `texts`.

    Returns:
        One vector per text, computed lazily; None where no word is known.

    Raises:
        RawDataError: there is no text, or no word that occurs `min_count` times.
    """
    trained = train(texts if fit_to is None else fit_to, settings, seed)
    vectors = describe_training(settings, "Doc2Vec, PV-DBOW with skip-gram word vectors")
    return Extraction(
        dim=settings.dim,
        weights="trained",
        weights_sha256=trained.sha256(),
        preprocessing={
            "tokens": in_words(texts),
            "vectors": vectors,
            "sentence": "trained for the texts of these words; inferred where there are none",
        },
        versions=versions("gensim", "numpy", "polars"),
        vectors=trained.vectors_of(texts),
    )


class Documents:
    """Texts with the number of their vector; gensim iterates over them once per epoch."""

    def __init__(self, tokens: pl.Series, numbers: pl.Series) -> None:
        self.tokens, self.numbers = tokens, numbers

    def __iter__(self) -> Iterator[TaggedDocument]:
        for first in range(0, len(self.tokens), CHUNK):
            chunk = slice(first, first + CHUNK)
            for words, number in zip(
                self.tokens[chunk].to_list(), self.numbers[chunk].to_list(), strict=True
            ):
                yield TaggedDocument(words, [number])


@dataclass(frozen=True)
class Trained:
    """A trained model, and the vector of each training text."""

    model: Doc2Vec
    distinct: pl.DataFrame  # words (distinct lists of strings), number of their vector
    seed: int

    def vectors_of(self, texts: pl.Series) -> Iterator[Vector | None]:
        """Yield the trained vector of a training text, and infer that of any other."""
        vocabulary = pl.Enum(self.model.wv.index_to_key)
        start = np.random.default_rng(self.seed).random(self.model.vector_size, np.float32)
        start = (start - 0.5) / self.model.vector_size
        for tokens in tokenised(texts):
            present = known_words(tokens, vocabulary)[0] > 0
            numbers = _numbers(tokens, self.distinct)
            for row, (any_known, number) in enumerate(zip(present, numbers, strict=True)):
                if not any_known:
                    yield None
                elif number is not None:
                    yield self.model.dv.vectors[number]
                else:
                    yield infer(self.model, tokens[row].to_list(), start, self.seed)

    def sha256(self) -> str:
        """Return the sha256 of the vectors of texts and words, and of the output weights."""
        digest = hashlib.sha256()
        for weights in (self.model.dv.vectors, self.model.wv.vectors, self.model.syn1neg):
            digest.update(weights.tobytes())
        return digest.hexdigest()


def train(texts: pl.Series, settings: Settings, seed: int) -> Trained:
    """Train on the texts that have words; texts of the same words share a vector.

    Raises:
        RawDataError: there is no word, or none that occurs `min_count` times.
    """
    tokens = tokenise(texts)
    tokens = tokens.filter(tokens.list.len() > 0)
    distinct = tokens.unique(maintain_order=True).alias("words").to_frame()
    distinct = distinct.with_row_index("number")
    documents = Documents(tokens, _numbers(tokens, distinct))
    model = Doc2Vec(dm=0, dbow_words=1, **gensim_arguments(settings, seed))
    fit(model, documents, texts)
    return Trained(model, distinct, seed)


def infer(model: Doc2Vec, words: list[str], start: np.ndarray, seed: int) -> Vector:
    """Return the vector of a text that the model was not trained on.

    gensim's `infer_vector` starts from a hash that depends on PYTHONHASHSEED, and draws from a
    generator whose state depends on the texts before this one.

    Args:
        model: not changed, except for the state of its generator.
        words: of the text; unknown words are ignored.
        start: (dim,) float32.
        seed: of the noise words.

    Returns:
        (dim,) float32; it depends on the arguments alone.
    """
    model.random = np.random.RandomState(seed)
    vector, learnable = start[None].copy(), np.ones(1, np.float32)
    for rate in np.linspace(model.alpha, model.min_alpha, model.epochs):
        train_document_dbow(
            model,
            words,
            [0],
            rate,
            learn_words=False,
            learn_hidden=False,
            doctag_vectors=vector,
            doctags_lockf=learnable,
        )
    return vector[0]


def _numbers(tokens: pl.Series, distinct: pl.DataFrame) -> pl.Series:
    """Return the number of each token list; null where it is unknown."""
    lists = tokens.alias("words").to_frame()
    return lists.join(distinct, on="words", how="left", maintain_order="left")["number"]
