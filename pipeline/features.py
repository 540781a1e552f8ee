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

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl
from tqdm import tqdm

from pipeline import params
from pipeline.extractors import EXTRACTORS, Description, Machine, n_cpus, torch_device
from pipeline.extractors.kept_blocks import bounds, encode_kept, forget, key
from pipeline.extractors.shards import Rows, read_shards, shard
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.params.features import Settings, family
from pipeline.tables.features import write_features, write_no_features
from pipeline.tables.io import read_parquet
from pipeline.tables.pictures import distinct_pictures, picture_digests, spread
from pipeline.tables.schema import IMAGE, ITEM, ITEMS, ITEMS_FILE

WORK = Path(".work/features")
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One modality of one dataset: what is read, by which extractor, where."""

    where: str  # features.<dataset>.<modality>, for messages
    settings: Settings
    seed: int  # of untrained or trained weights
    machine: Machine
    items: pl.DataFrame  # schema.ITEMS, ascending
    images: Path  # the packed pictures; opened only by an extractor that reads pictures
    work: Path  # folder for what a stopped run leaves


def extract_features(modality: Modality, shards: Sequence[Path] = ()) -> Rows:
    """Start the extractor that the settings name on the content of every item.

    Args:
        modality: what is to be encoded.
        shards: files of `extract_shard` that hold the distinct pictures' vectors already.

    Returns:
        The metadata, and a vector per item: None where it has no content.

    Raises:
        ParamsError: the field is no text column of the items, or the extractor does not read
            what it holds.
        RawDataError: no item has any content, or the weights cannot be had.
        SchemaError: the pictures are not those of the items, or the shards not of them.
    """
    settings = modality.settings
    if settings.field == IMAGE:
        digests = picture_digests(modality.images, modality.items.height)
        distinct = list(dict.fromkeys(digest for digest in digests if digest))
        if shards:
            rows = read_shards(shards, len(distinct), settings.extractor)
        else:
            rows = encode_pictures(modality, distinct)
        bar = tqdm(rows.vectors, modality.where, len(distinct), unit="image", mininterval=1)
        return replace(rows, vectors=spread(bar, digests))
    extract = EXTRACTORS[family(settings.extractor)].texts
    if extract is None:
        raise ParamsError(
            f"params.yaml: {modality.where}.field: expected {IMAGE}, which is what "
            f"{settings.extractor} reads, got {settings.field!r}"
        )
    texts = text_column(modality.items, settings.field, modality.where)
    extraction = extract(texts, settings, modality.seed, modality.machine)
    bar = tqdm(extraction.vectors, modality.where, len(texts), unit="item", mininterval=1)
    return Rows(extraction.dim, metadata(extraction, settings), bar)


def extract_shard(modality: Modality, number: int, of: int) -> Rows:
    """Encode one of several equal parts of the distinct pictures; see `extract_features`.

    Args:
        modality: what is to be encoded; its field is `image`.
        number: which part, from 1.
        of: how many parts there are.

    Returns:
        The vectors of that part alone, in the order of the pictures.
    """
    digests = picture_digests(modality.images, modality.items.height)
    distinct = list(dict.fromkeys(digest for digest in digests if digest))
    first, end = bounds(len(distinct), number, of)
    rows = encode_pictures(modality, distinct, first, end)
    name = f"{modality.where} {number} of {of}"
    bar = tqdm(rows.vectors, name, end - first, unit="image", mininterval=1)
    return replace(rows, vectors=bar)


def encode_pictures(
    modality: Modality, distinct: list[bytes], first: int = 0, end: int | None = None
) -> Rows:
    """Encode the distinct pictures from `first` to `end`, going on where a run was stopped.

    Args:
        modality: what is to be encoded.
        distinct: the sha256 of every different picture, in the order of its first item.
        first: a multiple of `extractors.BLOCK`.
        end: behind the last one.
    """
    settings = modality.settings
    make = EXTRACTORS[family(settings.extractor)].pictures
    if make is None:
        raise ParamsError(
            f"params.yaml: {modality.where}.field: expected a column of text, which is what "
            f"{settings.extractor} reads, got {IMAGE!r}"
        )
    encoder = make(settings, modality.seed, modality.machine)
    said = metadata(encoder, settings)
    pictures = islice(distinct_pictures(modality.images), first, end)
    device = torch_device(modality.machine).type
    folder = modality.work / key(said, device, distinct[first:end])
    return Rows(encoder.dim, said, encode_kept(encoder, pictures, folder))


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


def metadata(said: Description, settings: Settings) -> dict[str, str]:
    """Return what the schema says of the numbers; see `feature_table.METADATA`."""
    return {
        "extractor": settings.extractor,
        "weights": said.weights,
        "weights_sha256": said.weights_sha256,
        "field": settings.field,
        "dim": str(said.dim),
        "preprocessing": json.dumps(said.preprocessing, ensure_ascii=False),
        "versions": json.dumps(said.versions, sort_keys=True),
    }


def _has_modality(settings: params.Params, dataset: str, modality: str) -> bool:
    """Tell a modality that this dataset lacks from a name that nobody knows."""
    settings.source(dataset)
    if modality in settings.modalities and modality not in settings.dataset_features(dataset):
        return False
    settings.feature(dataset, modality)
    return True


def _arguments() -> argparse.ArgumentParser:
    arguments = parser(
        __doc__, "dataset", "modality", "processed", "images", "--device", "--threads"
    )
    arguments.add_argument(
        "output", type=Path, help="data/features/<dataset>/<modality>.parquet"
    )
    parts = arguments.add_mutually_exclusive_group()
    parts.add_argument(
        "--shard", type=shard, metavar="N-of-M", help="encode only this part of the pictures"
    )
    parts.add_argument(
        "--shards", type=Path, nargs="+", default=[], help="files that --shard has written"
    )
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Read the content, run the extractor, write the features."""
    args = _arguments().parse_args(argv)
    settings = params.load()
    if not _has_modality(settings, args.dataset, args.modality):
        write_no_features(args.output)
        log.info("%s has no modality %s: wrote an empty table", args.dataset, args.modality)
        return
    part = "whole" if args.shard is None else "{}-of-{}".format(*args.shard)
    modality = Modality(
        where=settings.feature_key(args.dataset, args.modality),
        settings=settings.feature(args.dataset, args.modality),
        seed=settings.seed,
        machine=Machine(device=args.device, threads=args.threads or n_cpus()),
        items=read_parquet(args.processed / ITEMS_FILE, ITEMS).sort(ITEM),
        images=args.images,
        work=WORK / args.dataset / args.modality / part,
    )
    if args.shard is None:
        rows = extract_features(modality, args.shards)
    else:
        rows = extract_shard(modality, *args.shard)
    n_present = write_features(rows.vectors, args.output, dim=rows.dim, metadata=rows.metadata)
    forget(modality.work)
    of = f" of {modality.items.height} items present" if args.shard is None else " pictures"
    log.info("%s: %d%s", args.output, n_present, of)


if __name__ == "__main__":
    run(main)
