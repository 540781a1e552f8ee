"""Write the metadata file: one JSON object per item, with the quirks of the published files.

Some descriptions and picture lists are empty, some rows repeat, titles have HTML entities.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.sources.sample import texts
from pipeline.sources.sample.catalogue import (
    EMPTY_DESCRIPTION_RANKS,
    MISSING,
    REPEATED_ROW_RANKS,
    Catalogue,
)

PICTURES = "images"  # folder below the dump
MOST_RELATED = 4  # entries of also_buy and also_view
CHEAPEST, DEAREST = 9, 120  # dollars
PRICED_SHARE, RANK_IS_LIST_SHARE = 0.8, 0.2
# Keys of the published rows that are empty here.
EMPTY = {"tech1": "", "fit": "", "tech2": "", "similar_item": "", "date": "", "details": {}}


def metadata_lines(catalogue: Catalogue, generator: np.random.Generator) -> Iterator[bytes]:
    """Yield one JSON line per item, by asin, and the repeated rows at the end."""
    repeated = []
    for item in np.argsort(catalogue.asin).tolist():
        line = (json.dumps(record(catalogue, item, generator)) + "\n").encode()
        if catalogue.rank[item] in REPEATED_ROW_RANKS:
            repeated.append(line)
        yield line
    yield from repeated


def record(catalogue: Catalogue, item: int, generator: np.random.Generator) -> dict[str, Any]:
    """Return the metadata of one item."""
    words = texts.words_of(catalogue, item, generator)
    pictures = picture_paths(catalogue, item)
    has_description = catalogue.rank[item] not in EMPTY_DESCRIPTION_RANKS
    description = texts.description(words, generator)
    n_features = int(generator.integers(4))
    return EMPTY | {
        "category": ["Sample", "Clothing & Home", texts.NOUNS_AND_CATEGORY[words["kind"]][1]],
        "description": description if has_description else [],
        "title": texts.title(words, generator),
        "brand": words["brand"].replace("&", "&amp;"),
        "feature": generator.permutation(texts.FEATURES)[:n_features].tolist(),
        "also_buy": related(catalogue, generator),
        "also_view": related(catalogue, generator),
        "rank": sales_rank(int(catalogue.rank[item]), generator),
        "main_cat": "Sample",
        "price": price(generator),
        "asin": str(catalogue.asin[item]),
        "imageURL": pictures,
        "imageURLHighRes": pictures,
    }


def picture_paths(catalogue: Catalogue, item: int) -> list[str]:
    """Return the path of the item's picture below the dump, if it has one."""
    is_missing = catalogue.picture[item] == MISSING
    return [] if is_missing else [f"{PICTURES}/{catalogue.asin[item]}.jpg"]


def related(catalogue: Catalogue, generator: np.random.Generator) -> list[str]:
    """Return the identifiers of up to MOST_RELATED random items."""
    n_related = int(generator.integers(MOST_RELATED + 1))
    items = np.unique(generator.integers(catalogue.n_items, size=n_related))
    return [str(asin) for asin in catalogue.asin[items]]


def sales_rank(rank: int, generator: np.random.Generator) -> str | list[str]:
    """Return the rank as the published files have it: a text, or a list of texts."""
    text = f"{rank + 1:,} in Sample ("
    return [f">#{text}"] if generator.random() < RANK_IS_LIST_SHARE else text


def price(generator: np.random.Generator) -> str:
    """Return a price in dollars as text, or an empty text."""
    dollars = int(generator.integers(CHEAPEST, DEAREST))
    cents = int(generator.choice((0, 49, 95, 99)))
    return f"${dollars}.{cents:02d}" if generator.random() < PRICED_SHARE else ""
