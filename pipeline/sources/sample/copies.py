"""Counterfactual copies: the content of items with another value of one factor.

    catalogue -> catalogue with one factor of some items changed -> texts and pictures

The random choices for an item (wording, cut, pose) depend on the seed and not on its factors. A
copy drawn from the same seed differs from the original only where that factor shows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from pipeline import params
from pipeline.job.errors import SchemaError
from pipeline.sources import amazon2018
from pipeline.sources.sample import dump, pictures, truth
from pipeline.sources.sample.catalogue import Catalogue, Integers
from pipeline.sources.sample.factors import BY_NAME
from pipeline.tables.io import read_parquet
from pipeline.tables.schema import IMAGE, RAW_ID


def redraw(source: params.SampleSource, seed: int, raw: Path) -> Catalogue:
    """Draw the catalogue of a dump again and compare it with the dump's ground truth.

    Args:
        source: the settings of the dump.
        seed: of the dump.
        raw: data/raw/<dataset>.

    Raises:
        SchemaError: the ground truth is missing, or has other items.
    """
    catalogue = dump.catalogue_of(source, seed)
    path = raw / dump.TRUTH / truth.ITEMS_FILE
    expected = truth.item_rows(catalogue)
    if not read_parquet(path, {"asin": pl.String}).equals(expected):
        raise SchemaError(
            f"{path}: expected the {expected.height} items that params.yaml's scale and seed "
            "give, got others; run the stage download again, and those after it"
        )
    return catalogue


def changed(
    catalogue: Catalogue, factor: str, places: Integers, generator: np.random.Generator
) -> Catalogue:
    """Return the catalogue with another random value of one factor for some items.

    Args:
        catalogue: M items.
        factor: a name in `factors.BY_NAME`.
        places: (n,) indices of the items.
        generator: draws the new values.
    """
    n_values = len(BY_NAME[factor].values)
    codes = catalogue.codes[factor].copy()
    step = generator.integers(1, n_values, size=len(places))
    codes[places] = (codes[places] + step) % n_values
    return replace(catalogue, codes=catalogue.codes | {factor: codes})


def contents(catalogue: Catalogue, seed: int, places: Integers, field: str) -> list[object]:
    """Return the content of one field of the table of items, as later stages read it.

    Args:
        catalogue: M items.
        seed: of the dump.
        places: (n,) indices of the items; for `image`, of items with a picture.
        field: `image`, or a column of text.

    Returns:
        n JPEG files, or n texts (token lists); None for a missing text.
    """
    if field == IMAGE:
        looks = [dump.look_of(catalogue, place) for place in places.tolist()]
        return [pictures.jpeg(pictures.draw(look)) for look in looks]
    by_asin = dict(items_of(catalogue, seed).select(RAW_ID, field).iter_rows())
    return [by_asin[asin] for asin in catalogue.asin[places].tolist()]


def items_of(catalogue: Catalogue, seed: int) -> pl.DataFrame:
    """Return all items of the catalogue as `ingest` reads them from a dump."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / dump.METADATA_FILE
        dump.write_metadata(catalogue, seed, path)
        return amazon2018.read_items(path)
