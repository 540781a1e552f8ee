"""Encode every item's picture or text into one vector.

    data/processed/<dataset>/items.parquet  or  data/images/<dataset>.parquet
        -> data/features/<dataset>/<modality>.parquet

params.yaml's `features.<dataset>.<modality>` names the extractor and the field; a change there
re-runs this file and what is trained on it, nothing else. The table has one row per item,
ascending: `item`, `present`, `feature`. An item without content is a row of zeros with
`present` false. The schema's metadata describes the numbers: extractor, weights and their
sha256, field, dim, preprocessing, versions.

A dataset without a modality that other datasets have gets an empty table (extractor `none`,
dim 0), since both engines plan every dataset times every modality.
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

from pipeline import params
from pipeline.extractors import registry
from pipeline.extractors.extraction import Description, Machine, n_cpus, torch_device
from pipeline.extractors.kept_blocks import encode_resumable, part_bounds, remove_kept, work_key
from pipeline.extractors.shards import Rows, parse_shard, read_shards
from pipeline.job import devices
from pipeline.job.code import code_digest
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.job.progress import Bar
from pipeline.params.features import Settings
from pipeline.tables.features import write_features, write_no_features
from pipeline.tables.pictures import distinct_pictures, picture_digests, spread
from pipeline.tables.processed import read_items, text_column
from pipeline.tables.schema import IMAGE

WORK = Path(".work/features")
# A registry names extractors by text: none of them would be seen among the imports.
EXTRACTORS = Path(registry.__file__).parent.glob("*.py")
CODE = ("pipeline/features.py", *(f"pipeline/extractors/{file.name}" for file in EXTRACTORS))
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One modality of one dataset: its settings, and where its content is."""

    where: str  # features.<dataset>.<modality>, for messages
    settings: Settings
    seed: int  # of weights that are drawn or trained
    machine: Machine
    items: pl.DataFrame  # schema.ITEMS, ascending
    images: Path  # the packed pictures; opened only for the field `image`
    work: Path  # folder for the blocks of a stopped run


def extract_features(modality: Modality, shards: Sequence[Path] = ()) -> Rows:
    """Start the extractor that the settings name on the content of every item.

    Args:
        modality: to encode.
        shards: files of `extract_shard` with the vectors of the distinct pictures, if any.

    Returns:
        The metadata, and a vector per item, computed lazily; None where it has no content.

    Raises:
        ParamsError: the field is not a text column of the items, or the extractor reads content
            of another kind.
        RawDataError: no item has any content, or the weights are unavailable.
        SchemaError: the pictures do not match the items, or the shards the pictures.
    """
    settings = modality.settings
    if settings.field == IMAGE:
        digests, distinct = _pictures(modality)
        if shards:
            rows = read_shards(shards, len(distinct), settings.extractor)
        else:
            rows = encode_pictures(modality, distinct)
        bar = Bar(rows.vectors, modality.where, len(distinct), unit="image")
        return replace(rows, vectors=spread(bar, digests))
    extract = registry.get(settings.extractor).texts
    if extract is None:
        raise ParamsError(
            f"params.yaml: {modality.where}.field: expected {IMAGE}, which "
            f"{settings.extractor} reads, got {settings.field!r}"
        )
    texts = text_column(modality.items, settings.field, modality.where)
    extraction = extract(texts, settings, modality.seed, modality.machine)
    bar = Bar(extraction.vectors, modality.where, len(texts), unit="item")
    return Rows(extraction.dim, metadata(extraction, settings), bar)


def extract_shard(modality: Modality, number: int, of: int) -> Rows:
    """Encode one of several equal parts of the distinct pictures; see `extract_features`.

    Args:
        modality: to encode; its field is `image`.
        number: of the part, from 1.
        of: the number of parts.

    Returns:
        The vectors of that part, in the order of the pictures.
    """
    _, distinct = _pictures(modality)
    first, end = part_bounds(len(distinct), number, of)
    rows = encode_pictures(modality, distinct, first, end)
    name = f"{modality.where} {number} of {of}"
    bar = Bar(rows.vectors, name, end - first, unit="image")
    return replace(rows, vectors=bar)


def encode_pictures(
    modality: Modality, distinct: list[bytes], first: int = 0, end: int | None = None
) -> Rows:
    """Encode the distinct pictures from `first` up to `end`; resume a stopped run.

    Args:
        modality: to encode.
        distinct: the sha256 of every distinct picture, in the order of its first item.
        first: a multiple of `extraction.BLOCK`.
        end: exclusive; by default all.
    """
    settings = modality.settings
    new_encoder = registry.get(settings.extractor).pictures
    if new_encoder is None:
        raise ParamsError(
            f"params.yaml: {modality.where}.field: expected a column of text, which "
            f"{settings.extractor} reads, got {IMAGE!r}"
        )
    encoder = new_encoder(settings, modality.seed, modality.machine)
    entries = metadata(encoder, settings)
    pictures = islice(distinct_pictures(modality.images), first, end)
    arithmetic = devices.arithmetic(torch_device(modality.machine))
    key = work_key(entries, arithmetic, code_digest(*CODE), distinct[first:end])
    folder = modality.work / key
    return Rows(encoder.dim, entries, encode_resumable(encoder, pictures, folder))


def _pictures(modality: Modality) -> tuple[list[bytes | None], list[bytes]]:
    """Return the sha256 of every item's picture, and those of the distinct pictures."""
    digests = picture_digests(modality.images, modality.items.height)
    return digests, list(dict.fromkeys(digest for digest in digests if digest))


def metadata(description: Description, settings: Settings) -> dict[str, str]:
    """Return the entries of the schema's metadata; see `tables.features.METADATA`."""
    return {
        "extractor": settings.extractor,
        "weights": description.weights,
        "weights_sha256": description.weights_sha256,
        "field": settings.field,
        "dim": str(description.dim),
        "preprocessing": json.dumps(description.preprocessing, ensure_ascii=False),
        "versions": json.dumps(description.versions, sort_keys=True),
    }


def _has_modality(settings: params.Params, dataset: str, modality: str) -> bool:
    """Return False if only other datasets have the modality; raise ParamsError if none has."""
    settings.source(dataset)
    if modality in settings.modalities and modality not in settings.dataset_features(dataset):
        return False
    settings.feature(dataset, modality)
    return True


def _arguments() -> argparse.ArgumentParser:
    names = "dataset", "modality", "processed", "images", "--device", "--threads"
    arguments = parser(__doc__, *names)
    text = "data/features/<dataset>/<modality>.parquet"
    arguments.add_argument("output", type=Path, help=text)
    parts = arguments.add_mutually_exclusive_group()
    text = "encode only this part of the pictures"
    parts.add_argument("--shard", type=parse_shard, metavar="N-of-M", help=text)
    text = "files written by --shard"
    parts.add_argument("--shards", type=Path, nargs="+", default=[], help=text)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Read the content, run the extractor, write the features."""
    args = _arguments().parse_args(argv)
    settings = params.load().of(args.dataset)
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
        items=read_items(args.processed),
        images=args.images,
        work=WORK / args.dataset / args.modality / part,
    )
    if args.shard is None:
        rows = extract_features(modality, args.shards)
    else:
        rows = extract_shard(modality, *args.shard)
    n_present = write_features(rows.vectors, args.output, dim=rows.dim, metadata=rows.metadata)
    remove_kept(modality.work)
    of = f" of {modality.items.height} items present" if args.shard is None else " pictures"
    log.info("%s: %d%s", args.output, n_present, of)


if __name__ == "__main__":
    run(main)
