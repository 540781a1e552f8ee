"""Texts to a network, a fixed number at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from pipeline.job.errors import ParamsError
from pipeline.tables.features import Vector


def check_strings(texts: pl.Series, extractor: str) -> None:
    """Raise ParamsError if the column holds token lists."""
    if texts.dtype != pl.String:
        raise ParamsError(f"field {texts.name!r}: {extractor} reads strings, got {texts.dtype}")


def in_batches(
    texts: pl.Series, embed: Callable[[list[str]], np.ndarray], size: int
) -> Iterator[Vector | None]:
    """Yield the embedding of each text; None where it is null or blank.

    The last digits of a vector may depend on the other texts of its batch, so batches follow
    the order of the texts.

    Args:
        texts: (n,) strings.
        embed: takes one text or more, returns (b, dim) float32.
        size: texts in a batch, blank ones included.
    """
    for first in range(0, len(texts), size):
        batch = texts[first : first + size].fill_null("").to_list()
        rows = iter(embed([text for text in batch if text.strip()] or [""]))
        yield from (next(rows) if text.strip() else None for text in batch)
