r"""Stage `look`: one page per feature file, from which an eye sees whether it is any good.

    data/features/D/F.parquet, data/processed/D/items.parquet, data/images/D.parquet
        -> results/D/features/F.html

It shows what made the vectors, how many items lack one, how long they are, a map of the items,
and the nearest neighbours of a dozen that are spread over the space: with a good extractor,
shoes lie beside shoes. Nearness is the cosine. Map, spectrum and queries are of a sample of the
items, drawn from the seed; neighbours are looked for among all.

    python -m pipeline.explore.feature_sheet sample visual data/processed/sample \
        data/images/sample.parquet data/features/sample/visual.parquet \
        results/sample/features/visual.html
"""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from pipeline import params
from pipeline.explore import sheet_page
from pipeline.explore.neighbours import Feature, copies, lengths, nearest, principal, unit
from pipeline.explore.sheet_page import Sheet, Space
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s
from pipeline.tables.features import read_features
from pipeline.tables.io import read_parquet, write_text

SAMPLE = 2000  # items; t-SNE takes seconds for so many
COMPONENTS = 50  # that t-SNE sees
QUERIES, NEIGHBOURS = 12, 8
SAMPLING = 6  # stream of the seed; the dump draws from 0 to 3, factors from 4 and 5
log = logging.getLogger("look")


def measure(present: npt.NDArray[np.bool_], feature: Feature, seed: int) -> Space | None:
    """Return what the page shows of a table of vectors; None if none has a direction.

    Args:
        present: (N,) bool.
        feature: (N, D), zero where not present.
        seed: of the sample, the map and the queries.
    """
    length = lengths(feature)
    usable = np.flatnonzero(length)
    if not len(usable):
        return None
    from pipeline.explore import (
        item_map,  # scikit-learn takes a second, which `--help` need not wait
    )

    # How BLAS and OpenMP split a sum depends on the number of threads; the page must not.
    with threadpool_limits(1):
        sample = np.random.default_rng([seed, SAMPLING]).permutation(usable)[:SAMPLE]
        directions = unit(feature, length, sample)
        points = principal(directions)[0][:, :COMPONENTS]
        shares = principal(feature[sample].astype(np.float64))[1]
        rows = item_map.spread_rows(points, QUERIES, seed)
        found = nearest(feature, length, sample[rows], NEIGHBOURS)
        places = item_map.positions(points, seed)
    return Space(
        n_zero=int(present.sum()) - len(usable),
        copies=copies(feature, np.flatnonzero(present)),
        lengths=length[present],
        shares=shares,
        # A permutation's neighbours are pairs drawn at random.
        by_chance=np.einsum("md,md->m", directions[1:], directions[:-1]),
        sample=sample.tolist(),
        places=places,
        neighbours=dict(zip(sample[rows].tolist(), found, strict=True)),
    )


def pictured(images: Path) -> set[int]:
    """Return the items that have a whole picture, without loading it.

    Raises:
        SchemaError: the table is absent, or lacks a column.
    """
    if not images.exists():
        raise SchemaError(f"{images}: no such table; run `python -m pipeline.images` first")
    rows = pl.scan_parquet(images, glob=False)
    if absent := [name for name in (s.ITEM, "status") if name not in rows.collect_schema()]:
        raise SchemaError(f"{images}: expected columns {list(s.IMAGES)}, got none of {absent}")
    whole = rows.filter(pl.col("status") == "ok").select(s.ITEM).collect()
    return set(whole[s.ITEM].to_list())


def read(args: Namespace, seed: int) -> Sheet:
    """Read a feature file and its items, and measure the vectors.

    Raises:
        SchemaError: the features are not those of the items.
    """
    table = args.processed / s.ITEMS_FILE
    items = read_parquet(table, s.ITEMS).sort(s.ITEM)
    present, feature, metadata = read_features(args.features)
    if len(present) != items.height and metadata["extractor"] != "none":
        raise SchemaError(
            f"{args.features}: expected a row for each of the {items.height} items of {table}, "
            f"got {len(present)}; run `python -m pipeline.features` again"
        )
    return Sheet(
        dataset=args.dataset,
        modality=args.modality,
        metadata=sheet_page.parsed(metadata, args.features),
        items=items,
        n_present=int(present.sum()),
        space=measure(present, feature, seed),
    )


def _arguments(argv: list[str] | None) -> Namespace:
    arguments = parser(__doc__, "dataset", "modality", "processed", "images", "features")
    arguments.add_argument("output", type=Path, help="page to write")
    return arguments.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Read, measure, write."""
    args = _arguments(argv)
    sheet = read(args, params.load().seed)
    page = sheet_page.render(sheet, pictured(args.images), args.images)
    write_text(page, args.output)
    log.info("%s: %d of %d items present", args.output, sheet.n_present, sheet.items.height)


if __name__ == "__main__":
    run(main)
