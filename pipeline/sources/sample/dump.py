"""Source `sample`: a generated raw dump in Amazon's 2018 format, with known causes.

    seed, scale -> Sample.json.gz, meta_Sample.json.gz, images/<asin>.jpg, ground_truth/

Users choose by some factors of an item and ignore others; pictures and texts show both. Because
the causes are known, a test can check whether a model found them.
"""

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
from pipeline.tables.io import write_parquet

REVIEWS_FILE, METADATA_FILE = "Sample.json.gz", "meta_Sample.json.gz"
TRUTH = "ground_truth"
USERS_AT_ONE, ITEMS_AT_ONE = 600, 240
ITEMS_EXPONENT = 0.75  # the number of items grows more slowly than the number of users
# After the 5-core, 99 items must remain for a user's candidates at every scale.
FEWEST_USERS, FEWEST_ITEMS = 180, 140
BROKEN_FROM_SCALE = 1.0  # smaller dumps, for tests, have no broken picture
KEPT_OF_BROKEN = 0.6  # share of the file that is written
COMPRESSION = 4  # zlib level: a third of the time of level 9 for a sixth more bytes
# There are 28,800 looks of about 12 kB; each is drawn only once for a catalogue of any size.
PICTURES_IN_MEMORY = 1 << 15


def generate(settings: params.SampleSource, seed: int, folder: Path) -> None:
    """Write a dump in Amazon's 2018 format, the same bytes for the same seed and scale.

    Args:
        settings: with the scale, see `sizes`.
        seed: of all random draws, at least 0.
        folder: to write to; it is created.
    """
    n_users, _ = sizes(settings.scale)
    catalogue = catalogue_of(settings, seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_reviews(n_users, catalogue, seed, folder)
    write_metadata(catalogue, seed, folder / METADATA_FILE)
    write_pictures(catalogue, folder / PICTURES)
    write_parquet(truth.item_rows(catalogue), folder / TRUTH / truth.ITEMS_FILE)
    truth.write_roles(folder / TRUTH)


def sizes(scale: float) -> tuple[int, int]:
    """Return the numbers of users and items; scale 1 is 600 users and 240 items."""
    n_items = round(ITEMS_AT_ONE * scale**ITEMS_EXPONENT)
    return max(FEWEST_USERS, round(USERS_AT_ONE * scale)), max(FEWEST_ITEMS, n_items)


def catalogue_of(settings: params.SampleSource, seed: int) -> Catalogue:
    """Return the items of the dump that `generate` writes."""
    _, n_items = sizes(settings.scale)
    generator = np.random.default_rng([seed, 0])
    return draw_catalogue(n_items, generator, broken=settings.scale >= BROKEN_FROM_SCALE)


def write_metadata(catalogue: Catalogue, seed: int, path: Path) -> None:
    """Write the metadata file; the random wording depends on the seed, not on the factors."""
    with compressed(path) as file:
        file.writelines(metadata_lines(catalogue, np.random.default_rng([seed, 1])))


def write_reviews(n_users: int, catalogue: Catalogue, seed: int, folder: Path) -> None:
    """Write the reviews and the truth about the users, chunk by chunk."""
    generator = np.random.default_rng([seed, 3])
    id_offset, tastes = int(generator.integers(ID_SPACE)), draw_tastes(generator)
    lines = ReviewLines(catalogue, id_offset)
    with (
        compressed(folder / REVIEWS_FILE) as file,
        truth.users_file(folder / TRUTH) as write_users,
    ):
        for users, reviews, wording in draw_chunks(n_users, catalogue, tastes, seed):
            file.write(lines.encode(reviews, wording))
            write_users(users, id_offset)


@contextmanager
def compressed(path: Path) -> Iterator[BinaryIO]:
    """Open a gzip file without time and name, so that its bytes depend on its content alone."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=COMPRESSION, fileobj=raw, mtime=0) as file,
    ):
        yield cast(BinaryIO, file)


def write_pictures(catalogue: Catalogue, folder: Path) -> None:
    """Write a JPEG per item that has one; one is grey, and one may be truncated."""
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
    """Return the look of an item's picture; the pose has no meaning."""
    codes = {name: int(catalogue.codes[name][item]) for name in pictures.VISIBLE}
    return pictures.Look(**codes, pose=item % len(pictures.POSES))
