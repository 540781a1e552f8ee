r"""Stage `feature_sheet`: one page per feature file, to judge features by eye.

    data/features/D/F.parquet, data/processed/D/items.parquet, data/images/D.parquet
        -> results/D/features/F.html

It shows how the vectors were made, how many items lack one, their lengths, a map of the items,
and the nearest neighbours of a dozen items spread over the space: with a good extractor, the
neighbours of shoes are shoes. Similarity is the cosine. Map, variance and queries use a sample
of the items, drawn from the seed; neighbours are searched among all.

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
COMPONENTS = 50  # principal components that t-SNE reads
QUERIES, NEIGHBOURS = 12, 8
SAMPLING = 6  # stream of the seed; the generated dump uses 0 to 3, the factors' study 4 and 5
log = logging.getLogger("feature_sheet")


def measure(present: npt.NDArray[np.bool_], feature: Feature, seed: int) -> Space | None:
    """Return what the page shows of the vectors; None if all have length 0.

    Args:
        present: (N,) bool.
        feature: (N, D), zero where not present.
        seed: of the sample, the map and the queries.
    """
    length = lengths(feature)
    usable = np.flatnonzero(length)
    if not len(usable):
        return None
    from pipeline.explore import item_map  # imports scikit-learn, too slow for `--help`

    # The number of threads changes how BLAS and OpenMP split sums, and so the page's bytes.
    with threadpool_limits(1):
        sample = np.random.default_rng([seed, SAMPLING]).permutation(usable)[:SAMPLE]
        directions = unit(feature, length, sample)
        points = principal(directions)[0][:, :COMPONENTS]
        shares = principal(feature[sample].astype(np.float64))[1]
        queries = sample[item_map.spread_rows(points, QUERIES, seed)]
        neighbours = nearest(feature, length, queries, NEIGHBOURS)
        places = item_map.positions(points, seed)
    return Space(
        n_zero=int(present.sum()) - len(usable),
        copies=copies(feature, np.flatnonzero(present)),
        lengths=length[present],
        shares=shares,
        # Consecutive items of a permutation are random pairs.
        by_chance=np.einsum("md,md->m", directions[1:], directions[:-1]),
        sample=sample.tolist(),
        places=places,
        neighbours=dict(zip(queries.tolist(), neighbours, strict=True)),
    )


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


def main(argv: list[str] | None = None) -> None:
    """Read, measure, write."""
    arguments = parser(__doc__, "dataset", "modality", "processed", "images", "features")
    arguments.add_argument("output", type=Path, help="page to write")
    args = arguments.parse_args(argv)
    sheet = read(args, params.load().seed)
    write_text(sheet_page.render(sheet, args.images), args.output)
    log.info("%s: %d of %d items present", args.output, sheet.n_present, sheet.items.height)


if __name__ == "__main__":
    run(main)
