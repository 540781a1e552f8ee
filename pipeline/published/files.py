"""Which files each raw format consists of: what `download` brings.

How they are read is in pipeline/sources, of which `download` knows nothing: an edit of a reader
reads again and downloads nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.published import amazon, inter, published_split, tables, tianchi
from pipeline.published.raw_file import RawFile

# Format -> from the dataset's section of `sources` to its files. `sample` is generated.
FILES: dict[str, Callable[[Any], list[RawFile]]] = {
    "sample": lambda source: [],
    "amazon2014": amazon.files,
    "amazon2018": amazon.files,
    "amazon2023": amazon.files,
    "tianchi": tianchi.files,
    "published_split": published_split.files,
    "tables": tables.files,
    "inter": inter.files,
}
# Formats with folders of pictures, which are copied from the mirror when they are there.
FOLDERS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "tianchi": tianchi.folders,
    "tables": tables.folders,
}


PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")


def files(source: params.Source) -> list[RawFile]:
    """Return the files of a dataset, required and optional."""
    return FILES[source.format](source)


def folders(source: params.Source) -> tuple[str, ...]:
    """Return the folders of pictures that a dataset may have in the mirror."""
    return FOLDERS[source.format](source) if source.format in FOLDERS else ()


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder and below it, sorted; none if it does not exist."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    return sorted(path for path in paths if path.is_file())
