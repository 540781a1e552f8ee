"""Scaling of fixed item features before a model reads them.

Shapes: I items, W the width of a feature.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

FeatureNorm = Literal["none", "unit_mean", "unit_rows", "whitened", "half_whitened"]

# Directions whose variance is below this share of the largest are noise of float32.
SMALLEST = 1e-6


def scale(feature: Tensor, norm: FeatureNorm, like: Tensor | None = None) -> Tensor:
    """Scale the features of one modality.

    Args:
        feature: (I, W) float; an item without the modality has a row of zeros.
        norm: `none` keeps them raw, `unit_mean` divides all by the mean norm of the rows that
            are present, `unit_rows` divides each row by its norm, `whitened` gives every
            direction the same variance, `half_whitened` takes the square root of every
            direction's standard deviation (see `whitening`); both then divide as `unit_mean`.
        like: (I, W) features that determine the scale, by default `feature`.

    Returns:
        (I, W); rows of zeros remain zero.
    """
    like = feature if like is None else like
    if norm == "unit_rows":
        return feature / feature.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if norm in ("whitened", "half_whitened"):
        mean, directions = whitening(like, power=1.0 if norm == "whitened" else 0.5)
        feature, like = (
            (x - mean) @ directions * (x.norm(dim=1, keepdim=True) > 0) for x in (feature, like)
        )
    length = like.norm(dim=1)
    if norm != "none" and (length > 0).any():
        return feature / length[length > 0].mean()
    return feature


def whitening(feature: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the map that divides each principal direction by a power of its deviation.

    Features such as Word2Vec have most of their variance in a few directions, and a projection
    learns the others slowly. Power 1 makes the covariance the identity. It needs many more
    items than dimensions: with fewer, all items become equally far apart and the content is
    lost. Powers below 1 keep the order of the directions.

    Args:
        feature: (I, W) float.
        power: from 0 (a rotation) to 1.

    Returns:
        The mean (W,) and the directions (W, W), for (x - mean) @ directions. Directions without
        variance are zero columns.
    """
    rows = feature[feature.norm(dim=1) > 0].double()
    if not len(rows):
        return torch.zeros_like(feature[0]), torch.zeros_like(feature[0]).diag()
    mean = rows.mean(0)
    centred = rows - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
    kept = values > SMALLEST * values[-1]
    directions = torch.where(kept, vectors * values.clamp_min(1e-300) ** (-power / 2), 0.0)
    return mean.to(feature.dtype), directions.to(feature.dtype)
