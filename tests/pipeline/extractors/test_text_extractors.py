"""What every text extractor that learns from the dataset has in common, by its name."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from paths import SHARED

from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import RawDataError
from pipeline.params.features import Doc2Vec, Sif, TfidfSvd, Word2VecMean

TITLES = SHARED / "beauty_split/i2e_title.txt"
SETTINGS = [
    Word2VecMean(extractor="word2vec_mean", dim=100, epochs=10),
    Sif(extractor="sif", dim=100, epochs=10),
    Doc2Vec(extractor="doc2vec", dim=100, epochs=20),
    TfidfSvd(extractor="tfidf_svd", dim=100),
]
pytestmark = pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: each.extractor)


def read(texts: pl.Series, settings, fit_to: pl.Series | None = None) -> list:
    if settings.extractor == "tfidf_svd":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    extract = EXTRACTORS[settings.extractor].texts
    return list(extract(texts, settings, 1, Machine(), fit_to=fit_to).vectors)


@pytest.mark.skipif(not TITLES.exists(), reason="the real token lists are not here")
def test_neighbours_share_words_on_real_titles(settings):
    titles = [line.split()[1:] for line in TITLES.read_text().splitlines()][:3000]
    features = read(pl.Series("title_tokens", titles, pl.List(pl.String)), settings)
    vectors = np.stack(
        [np.zeros(100) if v is None else v / np.linalg.norm(v) for v in features]
    )
    similarity = vectors @ vectors.T - 2 * np.eye(len(titles))

    def shared(rows, others) -> float:
        pairs = [(set(titles[a]), set(titles[b])) for a, b in zip(rows, others, strict=True)]
        return float(np.mean([len(a & b) / max(len(a | b), 1) for a, b in pairs]))

    rows = np.arange(0, len(titles), 5)
    nearest = shared(rows, similarity[rows].argmax(axis=1))
    random = shared(rows, np.random.default_rng(0).permutation(rows))
    assert nearest > 8 * random


def test_fitted_texts_are_encoded_again_as_they_were(settings):
    """The study encodes items again, among copies, and refuses other numbers."""
    texts = pl.Series("title", ["Red cotton shirt", None, "blue jeans", "red jeans"] * 3)
    stored = read(texts, settings)

    again = read(pl.Series("title", ["red jeans", "blue shirt", "--"]), settings, fit_to=texts)

    np.testing.assert_allclose(again[0], stored[3], rtol=1e-6, atol=1e-9)
    assert again[1] is not None
    assert not np.array_equal(again[1], stored[0])
    assert again[2] is None


def test_a_column_without_text_is_an_error(settings):
    with pytest.raises(RawDataError, match="field 'title': expected text, got 2 items"):
        read(pl.Series("title", [None, "--"]), settings)
    with pytest.raises(RawDataError, match="field 'title': expected text, got 0 items"):
        read(pl.Series("title", [], pl.String), settings)
