"""The features that chosen items would have if one factor of theirs were another.

    generated catalogue, tables of items and pictures, features -> {factor: {modality: rows}}

Part of the rule `factors`. Content is made by the sample's own generator and encoded by the
dataset's own extractors. An extractor that learns from texts learns from the originals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import torch
from torch import Tensor

from model.parts.content import FeatureNorm, scale
from pipeline import params
from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.job.progress import Bar
from pipeline.params.features import Settings, family
from pipeline.sources.sample import copies
from pipeline.sources.sample.catalogue import OK, Catalogue
from pipeline.sources.sample.factors import FACTORS
from pipeline.tables import schema as s
from pipeline.tables.features import Vector
from pipeline.tables.io import read_parquet
from pipeline.tables.processed import text_column

# Another kind is another product, so its change says nothing about one of a colour.
STUDIED = tuple(factor.name for factor in FACTORS if factor.name != "kind")
ORIGINAL = "original"
TOLERANCE = 1e-3  # of features that are computed again; processors differ in the last digits

Features: TypeAlias = dict[str, Tensor]  # modality -> (I, width), or (n, width) of n items
Copied: TypeAlias = Mapping[str, Features]  # factor -> features of n copies
Extract: TypeAlias = Callable[[list[Any]], Iterable[Vector | None]]


@dataclass(frozen=True, kw_only=True)
class Originals:
    """A generated dataset without changes."""

    settings: params.Params
    dataset: str
    catalogue: Catalogue
    table: pl.DataFrame  # schema.ITEMS, ascending
    images: Path
    features: Features
    machine: Machine

    def only(self, modalities: Iterable[str]) -> Originals:
        """Return the same dataset with some of the features."""
        return replace(self, features={m: self.features[m] for m in modalities})


def choose(
    table: pl.DataFrame, catalogue: Catalogue, n: int, generator: np.random.Generator
) -> pl.DataFrame:
    """Return up to `n` items that have a picture of their own, ascending.

    Returns:
        `item` and `place`, its row in the catalogue.
    """
    rows = pl.DataFrame({s.RAW_ID: catalogue.asin, "picture": catalogue.picture})
    good = rows.with_row_index("place").filter(pl.col("picture") == OK)
    candidates = table.join(good, on=s.RAW_ID).select(s.ITEM, "place").sort(s.ITEM)
    return candidates[np.sort(generator.permutation(candidates.height)[:n]).tolist()]


def copied_features(
    originals: Originals, chosen: pl.DataFrame, generator: np.random.Generator
) -> Copied:
    """Return the features of a copy of each chosen item for each factor.

    Returns:
        Factor -> modality -> (n, width).

    Raises:
        SchemaError: the originals, drawn and encoded again, are not those of the tables.
    """
    places = chosen["place"].to_numpy()
    versions = {ORIGINAL: originals.catalogue} | {
        factor: copies.changed(originals.catalogue, factor, places, generator)
        for factor in STUDIED
    }
    copied: dict[str, Features] = {factor: {} for factor in STUDIED}
    for modality, feature in originals.features.items():
        where = f"features.{originals.dataset}.{modality}"
        settings = originals.settings.feature(originals.dataset, modality)
        shown = {
            name: copies.contents(version, originals.settings.seed, places, settings.field)
            for name, version in versions.items()
        }
        _check_content(originals, chosen[s.ITEM].to_list(), settings.field, shown[ORIGINAL])
        stored = feature[chosen[s.ITEM].to_list()]
        rows = encode(shown, stored, _extract(originals, settings, where), where)
        for factor in STUDIED:
            copied[factor][modality] = rows[factor]
    return copied


def encode(
    contents: Mapping[str, Sequence[Any]], stored: Tensor, extract: Extract, where: str
) -> dict[str, Tensor]:
    """Return one modality's features of every version of n items.

    Args:
        contents: version -> content of the n items; one version is ORIGINAL.
        stored: (n, width) features of the originals.
        extract: the modality's extractor.
        where: its name, for messages.

    Returns:
        Version -> (n, width). A version with the original's content has the original's row.

    Raises:
        SchemaError: the originals' features, made again, are not those stored.
    """
    original = contents[ORIGINAL]
    wanted = [
        (version, row)
        for version, content in contents.items()
        for row in range(len(original))
        if version == ORIGINAL or content[row] != original[row]
    ]
    features = {version: stored.clone() for version in contents}
    vectors = extract([contents[version][row] for version, row in wanted])
    for (version, row), vector in zip(wanted, Bar(vectors, where, len(wanted)), strict=True):
        features[version][row] = 0 if vector is None else torch.from_numpy(vector)
    if (features[ORIGINAL] - stored).norm() > TOLERANCE * stored.norm():
        raise SchemaError(
            f"{where}: expected the stored features when items are encoded again as they are, "
            "got others; run the stage features again"
        )
    return features | {ORIGINAL: stored}


def scaled(
    features: Features, items: list[int], copied: Copied, norm: FeatureNorm
) -> tuple[Features, Copied]:
    """Return all features and the copies as a model scales them, by the originals' scale.

    So a copy does not move the other items. Rows that were equal stay equal to the last digit.
    The copies may have more modalities than `features`.
    """
    ready: Features = {}
    rows: dict[str, Features] = {factor: {} for factor in copied}
    for modality, feature in features.items():
        changed = [features[modality] for features in copied.values()]
        # Together, since whitening is slow and the same for all.
        parts = scale(torch.cat([feature, *changed]), norm, like=feature)
        ready[modality], *scaled_rows = parts.split([len(feature), *map(len, changed)])
        for factor, before, after in zip(copied, changed, scaled_rows, strict=True):
            same = (before == feature[items]).all(1, keepdim=True)
            rows[factor][modality] = torch.where(same, ready[modality][items], after)
    return ready, rows


def _extract(originals: Originals, settings: Settings, where: str) -> Extract:
    extractor = EXTRACTORS[family(settings.extractor)]
    rest = settings, originals.settings.seed, originals.machine
    if settings.field == s.IMAGE and extractor.pictures is not None:
        return extractor.pictures(*rest).encode
    extract_texts = extractor.texts
    texts = text_column(originals.table, settings.field, where)
    if extract_texts is None:
        raise ParamsError(f"params.yaml: {where}: {settings.extractor} reads no text")

    def extract(contents: list[Any]) -> Iterable[Vector | None]:
        changed = pl.Series(texts.name, contents, texts.dtype)
        return extract_texts(changed, *rest, fit_to=texts).vectors

    return extract


def _check_content(
    originals: Originals, items: list[int], field: str, drawn: list[Any]
) -> None:
    """Refuse items that the generator would now write differently."""
    if field == s.IMAGE:
        pictures = read_parquet(originals.images, s.IMAGES).sort(s.ITEM)
        path, stored = originals.images, pictures["bytes"]
    else:
        path, stored = Path(s.ITEMS_FILE), originals.table[field]
    if stored[items].to_list() != drawn:
        raise SchemaError(
            f"{path}: expected what params.yaml's sources.{originals.dataset} and seed give in "
            f"{field!r}, got another; run the stage download again, and those after it"
        )
