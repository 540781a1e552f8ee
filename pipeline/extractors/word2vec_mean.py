"""The plain mean of a text's word vectors.

    v_s = 1/|s| sum_{w in s} v_w

|s| counts the words that have a vector, as often as they occur. What `sif` improves on (Arora,
Liang and Ma, ICLR 2017, https://openreview.net/forum?id=SyK00v5xx), and what many recommenders
mean by Word2Vec features of a title. The vectors are those of `sif`.
"""

from __future__ import annotations

import gensim
import numpy as np
import polars as pl
import scipy

from pipeline.extractors import Extraction
from pipeline.extractors.tokens import in_words
from pipeline.extractors.word_means import WordMeans, count
from pipeline.extractors.word_vectors import Training, obtain


def extract(
    texts: pl.Series,
    *,
    weights: str,
    training: Training,
    threads: int = 1,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Return the mean of the word vectors of every text.

    Args:
        texts: one string, or list of tokens, per item; null where there is none.
        weights: `trained`, or the path of word vectors in word2vec's text or binary format.
        training: of the word vectors.
        threads: that add up vectors; they change nothing but the speed.
        fit_to: texts that the word vectors are trained on, where they are not `texts`.

    Returns:
        One vector per text, computed as it is asked for; None where no word is known.

    Raises:
        RawDataError: there is no text, or no word of it has a vector; the weights file is
            absent or is not in word2vec's format.
        ParamsError: the weights file has vectors of another width.
    """
    own = texts if fit_to is None else fit_to
    vectors = obtain(own, weights, training)
    read = texts if fit_to is None else pl.concat([fit_to, texts])
    found = count(read, vectors.words)
    means = WordMeans(found.words, found.vectors, threads)
    return Extraction(
        dim=training.dim,
        weights=weights,
        weights_sha256=vectors.sha256,
        preprocessing={
            "tokens": in_words(texts),
            "vectors": vectors.said,
            "sentence": "mean over the words that have a vector",
        },
        versions={
            "gensim": gensim.__version__,
            "numpy": np.__version__,
            "polars": pl.__version__,
            "scipy": scipy.__version__,
        },
        vectors=means.vectors_of(texts, lambda mean: mean),
    )
