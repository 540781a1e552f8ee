"""The tokens of items: small whole numbers that several items share.

`words` are the distinct words of a field. `visual_words` are clusters of a dense feature, after
Sivic and Zisserman, "Video Google", ICCV 2003, https://doi.org/10.1109/ICCV.2003.1238663: the
centres of k-means are the vocabulary, and an item has the ones that it is nearest to.

Shapes: I items, V tokens of the vocabulary, C clusters, W width of a feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from pipeline.extractors.packages import versions
from pipeline.extractors.tokens import in_words, no_text, tokenised
from pipeline.job.errors import RawDataError
from pipeline.params.tokens import VisualWords, Words
from pipeline.tables.schema import ITEM

SAMPLED = 20_000  # items that k-means learns from at most
ROUNDS = 100  # of k-means at most
BLOCK = 4096  # items whose distances are in memory at a time
TOKENS = pl.List(pl.Int32)


@dataclass(frozen=True, kw_only=True)
class ItemTokens:
    """One kind of tokens, and how it was made."""

    ids: pl.Series  # (I,) list<int32> in [0, V), ascending and distinct; never null
    vocabulary: int  # V
    preprocessing: dict[str, Any]  # in words, stored as JSON
    versions: dict[str, str]  # library -> version


def words(texts: pl.Series, settings: Words) -> ItemTokens:
    """Return the distinct words of each item, numbered in the order of their code points.

    Args:
        texts: (I,) strings or token lists.
        settings: words of fewer than `min_count` items, or of more than `max_share` of them,
            are left out.

    Raises:
        RawDataError: there is no text, or no word is left.
    """
    words_of_items = pl.concat(list(tokenised(texts)))
    pairs = (
        pl.DataFrame({ITEM: pl.int_range(len(texts), dtype=pl.Int32, eager=True)})
        .with_columns(word=words_of_items)
        .explode("word")
        .drop_nulls()
        .unique()
    )
    if pairs.is_empty():
        raise no_text(texts)
    counts = pairs.group_by("word").len("count").sort("word")
    most = settings.max_share * len(texts)
    kept = counts.filter(pl.col("count").ge(settings.min_count) & pl.col("count").le(most))
    if kept.is_empty():
        raise RawDataError(
            f"field {texts.name!r}: expected a word of {settings.min_count} to {most:g} items, "
            f"got none among {counts.height}; lower min_count, or raise max_share"
        )
    numbered = kept.select("word").with_row_index("token")
    tokens = pairs.join(numbered, on="word").select(ITEM, pl.col("token").cast(pl.Int32))
    return ItemTokens(
        ids=_lists(tokens, len(texts)),
        vocabulary=kept.height,
        preprocessing={
            "words": in_words(texts),
            "too_rare": counts.filter(pl.col("count") < settings.min_count).height,
            "too_frequent": counts.filter(pl.col("count") > most).height,
        },
        versions=versions("polars"),
    )


def visual_words(
    present: npt.NDArray[np.bool_],
    feature: npt.NDArray[np.float32],
    settings: VisualWords,
    seed: int,
) -> ItemTokens:
    """Return the nearest clusters of each item, of unit features.

    Args:
        present: (I,); items without the feature get no token.
        feature: (I, W).
        settings: C, and how many of them an item gets.
        seed: of the items to learn from and the first centres.

    Raises:
        RawDataError: fewer than C different features.
    """
    items = np.flatnonzero(present)
    rows = feature[items]
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    centres = _centres(rows, settings, seed)
    nearest = _nearest(rows, centres, settings.nearest)
    tokens = pl.DataFrame({
        ITEM: np.repeat(items, settings.nearest).astype(np.int32),
        "token": nearest.ravel().astype(np.int32),
    })  # fmt: skip
    return ItemTokens(
        ids=_lists(tokens, len(feature)),
        vocabulary=settings.clusters,
        preprocessing={
            "clusters": "k-means with k-means++ over unit features",
            "learned_from": min(len(rows), SAMPLED),
        },
        versions=versions("numpy", "scikit-learn"),
    )


def _centres(rows: npt.NDArray[np.float32], settings: VisualWords, seed: int) -> np.ndarray:
    """Return the centres of k-means, (C, W)."""
    # Takes a second to import.
    from sklearn.cluster import KMeans

    generator = np.random.default_rng(seed)
    sampled = np.sort(generator.permutation(len(rows))[:SAMPLED])
    learned_from = rows[sampled]
    n_different = len(np.unique(learned_from, axis=0))
    if n_different < settings.clusters:
        raise RawDataError(
            f"feature {settings.feature!r}: expected {settings.clusters} different items or "
            f"more, one for each of `clusters`, got {n_different}; lower clusters"
        )
    means = KMeans(settings.clusters, n_init=1, max_iter=ROUNDS, random_state=seed)
    with threadpool_limits(1):  # the bytes must not depend on how threads split a sum
        means.fit(learned_from)
    return np.asarray(means.cluster_centers_)


def _nearest(rows: npt.NDArray[np.float32], centres: np.ndarray, count: int) -> np.ndarray:
    """Return the nearest centres of each row, (n, count); of equal ones the first."""
    lengths = np.square(centres).sum(1)
    blocks = []
    with threadpool_limits(1):
        for first in range(0, len(rows), BLOCK):
            distances = lengths - 2 * rows[first : first + BLOCK] @ centres.T
            blocks.append(np.argsort(distances, axis=1, kind="stable")[:, :count])
    return np.concatenate(blocks)


def _lists(tokens: pl.DataFrame, n_items: int) -> pl.Series:
    """Return the sorted tokens of each of I items, from pairs of item and token."""
    lists = tokens.sort(ITEM, "token").group_by(ITEM, maintain_order=True).agg("token")
    items = pl.DataFrame({ITEM: pl.int_range(n_items, dtype=pl.Int32, eager=True)})
    column = items.join(lists, on=ITEM, how="left", maintain_order="left")["token"]
    return column.fill_null([]).cast(TOKENS)
