"""The plain mean of a text's word vectors.

    v_s = 1/|s| sum_{w in s} v_w

|s| counts the words that have a vector, with repetitions. `sif` improves on it (Arora, Liang
and Ma, ICLR 2017, https://openreview.net/forum?id=SyK00v5xx); many recommenders call it
Word2Vec features of a title. The word vectors are those of `sif`.
"""

from __future__ import annotations

import polars as pl

from pipeline.extractors.extraction import Extraction, Machine
from pipeline.extractors.packages import versions
from pipeline.extractors.tokens import in_words
from pipeline.extractors.word_means import WordMeans, count_words
from pipeline.extractors.word_vectors import obtain
from pipeline.params.features import Word2VecMean


def extract(
    texts: pl.Series,
    settings: Word2VecMean,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Return the mean of the word vectors of every text; see `sif.extract`."""
    own_texts = texts if fit_to is None else fit_to
    vectors = obtain(own_texts, settings, seed)
    all_texts = texts if fit_to is None else pl.concat([fit_to, texts])
    vocabulary = count_words(all_texts, vectors.words)
    means = WordMeans(vocabulary.words, vocabulary.vectors, machine.threads)
    return Extraction(
        dim=settings.dim,
        weights=settings.weights,
        weights_sha256=vectors.sha256,
        preprocessing={
            "tokens": in_words(texts),
            "vectors": vectors.description,
            "sentence": "mean over the words that have a vector",
        },
        versions=versions("gensim", "numpy", "polars", "scipy"),
        vectors=means.vectors_of(texts, lambda mean: mean),
    )
