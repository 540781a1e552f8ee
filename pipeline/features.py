"""Encode every item's picture or text into one vector.

    data/processed/<dataset>/items.parquet  or  data/images/<dataset>.parquet
        -> data/features/<dataset>/<modality>.parquet

Which extractor reads which field is params.yaml's `features.<dataset>.<modality>`; another
extractor there makes this file, and what trains on it, again and nothing else. The table has
one row per item, ascending: `item`, `present`, `feature`. An item without content is a row of
zeros with `present` false. The schema's metadata says what made the numbers: extractor,
weights and their sha256, field, dim, preprocessing, versions.

A modality that other datasets have and this one does not gets an empty table (extractor
`none`, dim 0), since both engines plan every dataset times every modality.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from tqdm import tqdm

from pipeline import params
from pipeline.command import parser, run
from pipeline.errors import ParamsError, RawDataError, SchemaError
from pipeline.extractors import EXTRACTORS, Extraction, Machine, n_cpus
from pipeline.feature_table import Vector, write_features, write_no_features
from pipeline.io import read_parquet
from pipeline.params import Sif, Vgg16
from pipeline.schema import IMAGES, ITEM, ITEMS, ITEMS_FILE

ROWS = 256  # pictures in memory at once
log = logging.getLogger(__name__)


def extract_features(
    settings: Vgg16 | Sif,
    items: pl.DataFrame,
    images: Path,
    *,
    where: str,
    seed: int,
    machine: Machine,
) -> tuple[Extraction, Iterator[Vector | None]]:
    """Start the extractor that the settings name on the content of every item.

    Args:
        settings: of one modality.
        items: schema.ITEMS, ascending.
        images: the packed pictures; opened only by an extractor that reads pictures.
        where: the settings' name in params.yaml, for messages.
        seed: of untrained or trained weights.
        machine: device and threads.

    Returns:
        What the extractor says of itself, and a vector per item: None where it has no content.

    Raises:
        ParamsError: the field is no text column of the items.
        RawDataError: no item has any content, or the weights cannot be had.
        SchemaError: the pictures are not those of the items.
    """
    extractor = EXTRACTORS[settings.extractor]
    if extractor.reads == "text":
        texts = text_column(items, settings.field, where)
        extraction = extractor.extract(texts, settings, seed, machine)
        return extraction, iter(extraction.vectors)
    digests = picture_digests(images, items.height)
    extraction = extractor.extract(distinct_pictures(images), settings, seed, machine)
    n_distinct = len(set(digests) - {None})
    bar = tqdm(extraction.vectors, where, n_distinct, unit="image", mininterval=1)
    return extraction, spread(bar, digests)


def text_column(items: pl.DataFrame, field: str, where: str) -> pl.Series:
    """Return a string or list<string> column of the items, or raise ParamsError."""
    texts = {
        name for name, dtype in items.schema.items() if dtype in (pl.String, pl.List(pl.String))
    }
    if field not in texts:
        raise ParamsError(
            f"params.yaml: {where}.field: expected one of {sorted(texts)}, the columns of text "
            f"in {ITEMS_FILE}, got {field!r}"
        )
    return items[field]


def picture_digests(images: Path, n_items: int) -> list[bytes | None]:
    """Return the sha256 of each item's picture; None where it has none.

    Raises:
        SchemaError: the table is absent, or its items are not 0 to n_items - 1.
        RawDataError: no item has a picture.
    """
    digests = [_digest(picture) for picture in _pictures(images)]
    if len(digests) != n_items:
        raise SchemaError(
            f"{images}: expected one row for each of {n_items} items, got {len(digests)}; run "
            "the stage `images` again"
        )
    if not any(digests):
        raise RawDataError(
            f"{images}: expected pictures, got none for {n_items} items; its column `source` "
            "says why. Mend that, or leave this modality out of `features`"
        )
    return digests


def distinct_pictures(images: Path) -> Iterator[bytes]:
    """Yield each different picture once, in the order of its first item."""
    seen: set[bytes] = set()
    for picture in _pictures(images):
        digest = _digest(picture)
        if picture is not None and digest is not None and digest not in seen:
            seen.add(digest)
            yield picture


def spread(
    vectors: Iterable[Vector | None], digests: list[bytes | None]
) -> Iterator[Vector | None]:
    """Yield the vector of each item's picture, from those of the distinct pictures.

    Only vectors that are needed again are kept, so that memory does not grow with the items.
    """
    left, source = Counter(digests), iter(vectors)
    kept: dict[bytes, Vector | None] = {}
    for digest in digests:
        left[digest] -= 1
        if digest is None:
            yield None
            continue
        vector = kept.pop(digest) if digest in kept else next(source)
        if left[digest]:
            kept[digest] = vector
        yield vector


def _pictures(images: Path) -> Iterator[bytes | None]:
    """Yield each item's picture, ascending by item."""
    if not images.exists():
        raise SchemaError(f"{images}: no such table; run the stage `images` first")
    with pq.ParquetFile(images) as file:
        absent = sorted(set(IMAGES) - set(file.schema_arrow.names))
        if absent:
            raise SchemaError(
                f"{images}: expected columns {list(IMAGES)}, got none for {absent}"
            )
        n_rows = 0
        for batch in file.iter_batches(batch_size=ROWS, columns=[ITEM, "status", "bytes"]):
            items = batch.column(ITEM).to_pylist()
            if items != list(range(n_rows, n_rows + len(items))):
                raise SchemaError(f"{images}: expected items ascending from 0, got {items[:5]}")
            n_rows += len(items)
            for status, picture in zip(batch["status"], batch["bytes"], strict=True):
                yield picture.as_py() if status.as_py() == "ok" else None


def _digest(picture: bytes | None) -> bytes | None:
    return None if picture is None else hashlib.sha256(picture).digest()


def _metadata(extraction: Extraction, settings: Vgg16 | Sif) -> dict[str, str]:
    return {
        "extractor": settings.extractor,
        "weights": extraction.weights,
        "weights_sha256": extraction.weights_sha256,
        "field": settings.field,
        "dim": str(extraction.dim),
        "preprocessing": json.dumps(extraction.preprocessing, ensure_ascii=False),
        "versions": json.dumps(extraction.versions, sort_keys=True),
    }


def _has_modality(settings: params.Params, dataset: str, modality: str) -> bool:
    """Tell a modality that this dataset lacks from a name that nobody knows."""
    settings.source(dataset)
    if modality in settings.modalities and modality not in settings.dataset_features(dataset):
        return False
    settings.feature(dataset, modality)
    return True


def main(argv: list[str] | None = None) -> None:
    """Read the content, run the extractor, write the features."""
    arguments = parser("features", __doc__)
    arguments.add_argument("dataset", help="a name under `sources` in params.yaml")
    arguments.add_argument("modality", help="a name under `features.<dataset>`")
    arguments.add_argument("processed", type=Path, help="data/processed/<dataset>")
    arguments.add_argument("images", type=Path, help="data/images/<dataset>.parquet")
    arguments.add_argument(
        "output", type=Path, help="data/features/<dataset>/<modality>.parquet"
    )
    arguments.add_argument(
        "--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="default: auto"
    )
    arguments.add_argument("--threads", type=int, default=n_cpus(), help="default: every CPU")
    args = arguments.parse_args(argv)

    settings = params.load()
    if not _has_modality(settings, args.dataset, args.modality):
        write_no_features(args.output)
        log.info("%s has no modality %s: wrote an empty table", args.dataset, args.modality)
        return
    feature = settings.feature(args.dataset, args.modality)
    items = read_parquet(args.processed / ITEMS_FILE, ITEMS).sort(ITEM)
    extraction, vectors = extract_features(
        feature,
        items,
        args.images,
        where=f"features.{args.dataset}.{args.modality}",
        seed=settings.seed,
        machine=Machine(device=args.device, threads=args.threads),
    )
    metadata = _metadata(extraction, feature)
    n_present = write_features(vectors, args.output, dim=extraction.dim, metadata=metadata)
    log.info("%s: %d of %d items present", args.output, n_present, items.height)


if __name__ == "__main__":
    run(main)
