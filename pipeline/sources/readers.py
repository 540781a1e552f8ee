"""Readers of the raw formats, by the format's name in params.yaml.

A new format is a module here with `read`, its files in pipeline/published, a line in `READERS`
and in `FILES`, and a section in pipeline/params/sources.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.sources import (
    amazon2014,
    amazon2018,
    amazon2023,
    inter,
    published_split,
    tables,
    tianchi,
)
from pipeline.sources.raw import Ledger, Tables
from pipeline.sources.stream import Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """How the files of a raw format become tables.

    Arguments are the dataset's section of `sources` in params.yaml, data/raw/<dataset>, and the
    ledger of its files: what is tolerated, and the counts of what was read.
    """

    read: Callable[[Any, Path, Ledger], Tables]
    # The same in batches, for formats that may not fit in memory.
    stream: Callable[[Any, Path, Ledger], Stream] | None = None


READERS = {
    "sample": Reader(read=amazon2018.read_sample, stream=amazon2018.stream_sample),
    "amazon2014": Reader(read=amazon2014.read, stream=amazon2014.stream),
    "amazon2018": Reader(read=amazon2018.read, stream=amazon2018.stream),
    "amazon2023": Reader(read=amazon2023.read, stream=amazon2023.stream),
    "tianchi": Reader(read=tianchi.read, stream=tianchi.stream),
    "published_split": Reader(read=published_split.read),
    "tables": Reader(read=tables.read, stream=tables.stream),
    "inter": Reader(read=inter.read, stream=inter.stream),
}


def get(name: str) -> Reader:
    """Return the reader of the format called `name`, or list the formats there are."""
    if name not in READERS:
        raise ValueError(f"unknown format {name!r}, expected one of {sorted(READERS)}")
    return READERS[name]
