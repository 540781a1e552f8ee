"""The extractors that learn from texts, or read nothing else: their settings unpacked.

Each takes the arguments that `Extractor.texts` names, and imports its module when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from pipeline.params import features as s

if TYPE_CHECKING:
    from pipeline.extractors import Extraction, Machine
    from pipeline.extractors.word_vectors import Training


def _training(settings: s.OwnWords, seed: int) -> Training:
    from pipeline.extractors.word_vectors import Training

    return Training(
        dim=settings.dim,
        window=settings.window,
        epochs=settings.epochs,
        min_count=settings.min_count,
        workers=settings.workers,
        seed=seed,
    )


def _word2vec_mean(
    texts: pl.Series,
    settings: s.Word2VecMean,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.word2vec_mean import extract

    return extract(
        texts,
        weights=settings.weights,
        training=_training(settings, seed),
        threads=machine.threads,
        fit_to=fit_to,
    )


def _sif(
    texts: pl.Series,
    settings: s.Sif,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.sif import extract

    return extract(
        texts,
        weights=settings.weights,
        smoothing=settings.smoothing,
        training=_training(settings, seed),
        threads=machine.threads,
        fit_to=fit_to,
    )


def _doc2vec(
    texts: pl.Series,
    settings: s.Doc2Vec,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.doc2vec import extract

    return extract(texts, training=_training(settings, seed), fit_to=fit_to)


def _tfidf_svd(
    texts: pl.Series,
    settings: s.TfidfSvd,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.tfidf_svd import extract

    return extract(
        texts,
        dim=settings.dim,
        min_count=settings.min_count,
        seed=seed,
        fit_to=fit_to,
    )


def _minilm(
    texts: pl.Series,
    settings: s.MiniLM,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors import torch_device
    from pipeline.extractors.minilm import extract_texts

    return extract_texts(texts, torch_device(machine))


TEXTS: dict[str, Callable[..., Extraction]] = {
    "word2vec_mean": _word2vec_mean,
    "sif": _sif,
    "doc2vec": _doc2vec,
    "tfidf_svd": _tfidf_svd,
    "minilm": _minilm,
}
