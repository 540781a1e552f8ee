"""Raw formats: a name in params.yaml -> which files it has and how they are read.

A new format is a module with `files` and `read`, a line here, and a section in
pipeline/params/sources.py.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import params
from pipeline.sources import (
    amazon2014,
    amazon2018,
    amazon2023,
    published_split,
    tables,
    tianchi,
)
from pipeline.sources.raw import RawFile, Reader, Tables
from pipeline.sources.stream import Stream

__all__ = ["SOURCES", "RawFile", "Reader", "Stream", "Tables", "get"]


def _generate_sample(source: params.SampleSource, seed: int, folder: Path) -> None:
    # The generator draws pictures: nobody else pays for its imports.
    from pipeline.sources.sample import dump

    dump.generate(source, seed, folder)


SOURCES = {
    "sample": Reader(
        files=lambda source: [],
        read=amazon2018.read_sample,
        stream=amazon2018.stream_sample,
        generate=_generate_sample,
    ),
    "amazon2014": Reader(
        files=amazon2014.files, read=amazon2014.read, stream=amazon2014.stream
    ),
    "amazon2018": Reader(
        files=amazon2018.files, read=amazon2018.read, stream=amazon2018.stream
    ),
    "amazon2023": Reader(
        files=amazon2023.files, read=amazon2023.read, stream=amazon2023.stream
    ),
    "tianchi": Reader(
        files=tianchi.files,
        read=tianchi.read,
        stream=tianchi.stream,
        folders=lambda source: (tianchi.PICTURES,),
    ),
    "published_split": Reader(files=published_split.files, read=published_split.read),
    "tables": Reader(files=tables.files, read=tables.read, folders=tables.folders),
}


def get(name: str) -> Reader:
    """Return the reader of the format called `name`, or list the formats there are."""
    if name not in SOURCES:
        raise ValueError(f"unknown format {name!r}, expected one of {sorted(SOURCES)}")
    return SOURCES[name]
