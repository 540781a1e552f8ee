"""Texts to a network, a fixed number of places at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from pipeline.tables.features import Vector


def in_batches(
    texts: pl.Series, embed: Callable[[list[str]], np.ndarray], size: int
) -> Iterator[Vector | None]:
    """Yield the embedding of each text, None where it is null or blank.

    The last digits of a vector may depend on the texts beside it: the batches are those of the
    given order, whoever asks.

    Args:
        texts: (n,) strings.
        embed: is given one text or more; returns (b, dim) float32.
        size: places in a batch.
    """
    for first in range(0, len(texts), size):
        batch = texts[first : first + size].fill_null("").to_list()
        rows = iter(embed([text for text in batch if text.strip()] or [""]))
        yield from (next(rows) if text.strip() else None for text in batch)
