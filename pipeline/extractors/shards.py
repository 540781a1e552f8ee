"""One dataset's pictures encoded by several jobs, and their vectors joined.

    python -m pipeline.features D F ... data/shards/D/F/3-of-8.parquet --shard 3-of-8
    python -m pipeline.features D F ... data/features/D/F.parquet --shards data/shards/D/F/*

A shard's file is a feature table of its distinct pictures, numbered from 0. The joined table
has the same bytes as if one job had encoded everything.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.job.errors import SchemaError
from pipeline.tables.features import METADATA, Vector
from pipeline.tables.schema import FEATURE
from pipeline.tables.verified import opened

ROWS = 256  # vectors in memory at once


@dataclass(frozen=True)
class Rows:
    """The content of a feature table: a vector per row, computed or read lazily."""

    dim: int
    metadata: dict[str, str]
    vectors: Iterable[Vector | None]


def parse_shard(text: str) -> tuple[int, int]:
    """Read `3-of-8`, as Snakemake names the parts of a scattered job."""
    match = re.fullmatch(r"(\d+)-of-(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ArgumentTypeError(f"expected a part such as 3-of-8, got {text!r}")
    return int(match[1]), int(match[2])


def read_shards(paths: Sequence[Path], n_pictures: int, extractor: str) -> Rows:
    """Return the vectors of all shards, one shard after the other.

    Args:
        paths: of all shards, in any order, named as `3-of-8.parquet`.
        n_pictures: expected in all shards together.
        extractor: expected of all shards.

    Raises:
        SchemaError: a shard is missing, listed twice, of another extractor or of other settings
            than the first, or the number of pictures differs.
    """
    paths = _in_order(paths)
    headers = [_header(path) for path in paths]
    expected = headers[0][0]
    for path, (metadata, _) in zip(paths, headers, strict=True):
        if metadata != expected or metadata["extractor"] != extractor:
            raise SchemaError(
                f"{path}: expected a shard of {extractor} made as {paths[0]} was, got "
                f"{metadata}; delete the shards and run them again"
            )
    n_rows = sum(rows for _, rows in headers)
    if n_rows != n_pictures:
        raise SchemaError(
            f"{paths[0].parent}: expected {n_pictures} pictures in all shards, got {n_rows}; "
            "delete the shards and run them again"
        )
    return Rows(int(expected["dim"]), expected, _vectors(paths))


def _in_order(paths: Sequence[Path]) -> list[Path]:
    numbered = {}
    for path in paths:
        try:
            numbered[parse_shard(path.stem)] = path
        except ArgumentTypeError as error:
            raise SchemaError(f"{path}: name: {error}") from None
    of = max(total for _, total in numbered)
    expected = [(number, of) for number in range(1, of + 1)]
    if sorted(numbered) != expected or len(paths) != of:
        raise SchemaError(
            f"{paths[0].parent}: expected the shards 1-of-{of} to {of}-of-{of}, each once, got "
            f"{sorted(path.stem for path in paths)}"
        )
    return [numbered[name] for name in expected]


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return a shard's metadata and its number of rows."""
    if not path.exists():
        raise SchemaError(f"{path}: no such shard; run the job that writes it first")
    with opened(path) as file:
        entries = file.schema_arrow.metadata or {}
        metadata = {name: entries.get(name.encode(), b"").decode() for name in METADATA}
        return metadata, file.metadata.num_rows


def _vectors(paths: Iterable[Path]) -> Iterator[Vector]:
    for path in paths:
        with opened(path) as file:
            for batch in file.iter_batches(batch_size=ROWS, columns=[FEATURE]):
                rows = batch.column(0)
                yield from rows.flatten().to_numpy().reshape(len(rows), -1)
