"""Items on a plane by t-SNE, and items spread over the space. Importing this takes a second.

van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 9 (2008), by scikit-learn.

Shapes: M items; P principal components of each, by falling variance.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import kmeans_plusplus
from sklearn.manifold import TSNE

from pipeline.explore.neighbours import Numbers

PERPLEXITY = 30  # as in scikit-learn; about the number of neighbours that count
LEAST = 5  # different items; fewer are placed by their first two components
START = 1e-4  # initial standard deviation of the first component, as in scikit-learn


def positions(points: Numbers, seed: int) -> Numbers:
    """Return places of the items on a plane; similar items are close together.

    Args:
        points: (M, P), M at least 1.
        seed: of t-SNE.

    Returns:
        (M, 2), each column from 0 to 1; 0.5 where all are equal.
    """
    first = np.zeros((len(points), 2))
    first[:, : points.shape[1]] = points[:, :2]
    if n_different(points) >= LEAST:
        first = TSNE(
            perplexity=min(PERPLEXITY, (len(points) - 1) / 3),
            init=(first / first[:, 0].std() * START).astype(np.float32),
            random_state=seed,
        ).fit_transform(points)
    low, span = first.min(axis=0), np.ptp(first, axis=0)
    return np.where(span > 0, (first - low) / np.where(span > 0, span, 1), 0.5)


def spread_rows(points: Numbers, n: int, seed: int) -> list[int]:
    """Return up to `n` different rows that are spread over the space, not only outliers.

    By k-means++: the chance of a row grows with its squared distance from those drawn before.
    """
    n = min(n, n_different(points))
    _, rows = kmeans_plusplus(points, n, random_state=seed, n_local_trials=1)
    return list(dict.fromkeys(rows.tolist()))


def n_different(points: Numbers) -> int:
    """Return how many different rows there are, up to rounding."""
    return len(np.unique(points.round(6), axis=0))
