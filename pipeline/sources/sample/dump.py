"""Writing the dump: reviews, metadata, pictures and ground truth from a scale and a seed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from pipeline import params
from pipeline.sources.sample import pictures, truth
from pipeline.sources.sample.catalogue import (
    BROKEN,
    GREY,
    ID_SPACE,
    MISSING,
    Catalogue,
    draw_catalogue,
)
from pipeline.sources.sample.choices import draw_tastes
from pipeline.sources.sample.metadata import PICTURES, metadata_lines
from pipeline.sources.sample.reviews import ReviewLines, draw_chunks

REVIEWS_FILE, METADATA_FILE = "Sample.json.gz", "meta_Sample.json.gz"
TRUTH = "ground_truth"
USERS_AT_ONE, ITEMS_AT_ONE = 600, 240
ITEMS_EXPONENT = 0.75  # catalogues grow more slowly than their audiences
# So many that 99 items remain for a user's candidates after the 5-core, whatever the scale.
FEWEST_USERS, FEWEST_ITEMS = 180, 140
BROKEN_FROM_SCALE = 1.0  # smaller dumps, which tests use, have whole pictures only
KEPT_OF_BROKEN = 0.6  # share of the file that is written
COMPRESSION = 4  # zlib level: a third of the time of the usual 9 for a sixth more bytes
# There are 28,800 looks of about 12 kB: a catalogue of any size draws each of them once.
PICTURES_IN_MEMORY = 1 << 15


def generate(settings: params.SampleSource, seed: int, folder: Path) -> None:
    """Write a dump in Amazon's 2018 format, the same bytes for the same seed and scale.

    Args:
        settings: `scale` 1 is about 600 users and 240 items; users grow in proportion to it,
            items with its 0.75th power. There are at least 180 users and 140 items.
        seed: source of all randomness, at least 0.
        folder: where to write; it is made, and should be empty.
    """
    n_users, _ = sizes(settings.scale)
    catalogue = catalogue_of(settings, seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_reviews(n_users, catalogue, seed, folder)
    write_metadata(catalogue, seed, folder / METADATA_FILE)
    write_pictures(catalogue, folder / PICTURES)
    truth.write_items(catalogue, folder / TRUTH)
    truth.write_roles(folder / TRUTH)


def sizes(scale: float) -> tuple[int, int]:
    """Return the numbers of users and items."""
    n_items = round(ITEMS_AT_ONE * scale**ITEMS_EXPONENT)
    return max(FEWEST_USERS, round(USERS_AT_ONE * scale)), max(FEWEST_ITEMS, n_items)


def catalogue_of(settings: params.SampleSource, seed: int) -> Catalogue:
    """Return the items of the dump that `generate` writes."""
    _, n_items = sizes(settings.scale)
    draws = np.random.default_rng([seed, 0])
    return draw_catalogue(n_items, draws, broken=settings.scale >= BROKEN_FROM_SCALE)


def write_metadata(catalogue: Catalogue, seed: int, path: Path) -> None:
    """Write the metadata file; the wording depends on the seed, not on the factors."""
    with compressed(path) as file:
        file.writelines(metadata_lines(catalogue, np.random.default_rng([seed, 1])))


def write_reviews(n_users: int, catalogue: Catalogue, seed: int, folder: Path) -> None:
    """Write the reviews chunk by chunk, and the truth about the users."""
    draws = np.random.default_rng([seed, 3])
    id_offset, tastes = int(draws.integers(ID_SPACE)), draw_tastes(draws)
    lines = ReviewLines(catalogue, id_offset)
    with (
        compressed(folder / REVIEWS_FILE) as file,
        truth.users_file(folder / TRUTH) as write_users,
    ):
        for users, reviews, generator in draw_chunks(n_users, catalogue, tastes, seed):
            file.write(lines.encode(reviews, generator))
            write_users(users, id_offset)


@contextmanager
def compressed(path: Path) -> Iterator[BinaryIO]:
    """Open a gzip file whose bytes depend on its content alone: no time, no name."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=COMPRESSION, fileobj=raw, mtime=0) as file,
    ):
        yield cast(BinaryIO, file)


def write_pictures(catalogue: Catalogue, folder: Path) -> None:
    """Write a JPEG per item that has one; one of them is grey, and perhaps one cut short."""
    folder.mkdir(exist_ok=True)
    encoded = lru_cache(PICTURES_IN_MEMORY)(lambda look: pictures.jpeg(pictures.draw(look)))
    for item in np.flatnonzero(catalogue.picture != MISSING).tolist():
        look = look_of(catalogue, item)
        data = encoded(look)
        if catalogue.picture[item] == GREY:
            data = pictures.jpeg(pictures.draw(look).convert("L"))
        if catalogue.picture[item] == BROKEN:
            data = data[: int(len(data) * KEPT_OF_BROKEN)]
        (folder / f"{catalogue.asin[item]}.jpg").write_bytes(data)


def look_of(catalogue: Catalogue, item: int) -> pictures.Look:
    """Return what an item's picture shows; the pose means nothing."""
    codes = {name: int(catalogue.codes[name][item]) for name in pictures.VISIBLE}
    return pictures.Look(**codes, pose=item % len(pictures.POSES))
