"""Stage `split`: hold out the items to predict, and draw the candidates.

    data/processed/D/interactions.parquet
        -> data/processed/D/{train,validation,test,candidates}.parquet

The methods are in pipeline/interactions/splits.py, the draw of the candidates is in
pipeline/interactions/candidates.py. Except for leave-one-out, the methods' settings and counts
are in the Parquet metadata of the parts and the candidates, under `split`. Times have day
resolution; among equal times the order of the raw file decides. A published split is not
changed: its validation items are also in its train, and training holds them out. Nor are the
labels of a published benchmark (format `inter`).

Candidates are data: `evaluate.candidates` items per held-out item, drawn uniformly and without
replacement from the items that the user has in no part; with `cold_items` only from those that
are held out for the same part. Every model and every epoch ranks the same lists.

    python -m pipeline.split sample data/interim/sample data/processed/sample
"""

from __future__ import annotations

import json
import logging
from datetime import date
from typing import Any

import polars as pl

from pipeline import params
from pipeline.interactions import splits
from pipeline.interactions.candidates import candidates
from pipeline.interactions.splits import Parts
from pipeline.job.command_line import parser, run
from pipeline.job.errors import RawDataError
from pipeline.params.sources import WITH_SPLIT
from pipeline.tables import processed
from pipeline.tables import schema as s
from pipeline.tables.io import read_parquet, write_parquet

log = logging.getLogger("split")


def divided(
    interactions: pl.DataFrame,
    settings: params.Split,
    users: pl.DataFrame,
    items: pl.DataFrame,
    seed: int,
) -> tuple[Parts, dict[str, Any]]:
    """Split by the method of the section `split`.

    Args:
        interactions: schema.INTERACTIONS, sorted by user, time and raw order.
        settings: the section `split`.
        users: schema.USERS; an error names the raw id.
        items: schema.ITEMS; likewise.
        seed: of the draw of cold items.

    Returns:
        The parts, and the metadata of the split; none for leave-one-out, the default.

    Raises:
        RawDataError: a part is empty, or an interaction has no time.
    """
    if settings.method == "leave_one_out":
        return splits.leave_one_out(interactions), {}
    metadata = settings.model_dump(exclude_none=True)
    if settings.method == "ratio":
        parts = splits.by_ratio(interactions, settings.shares)
    elif settings.method == "cold_items":
        parts, metadata["items"] = splits.by_items(interactions, settings.shares, seed)
    else:
        splits.check_times(interactions, users, items)
        times = _times(interactions, settings)
        parts = splits.by_time(interactions, *times)
        names = ("validation_from", "test_from")
        metadata |= zip(names, map(splits.iso_time, times), strict=True)
    return parts, splits.facts(metadata, parts)


def _times(interactions: pl.DataFrame, settings: params.TimeSplit) -> tuple[int, int]:
    """Return the first second of validation and of test."""
    if settings.quantiles:
        return splits.instants(interactions, settings.quantiles)
    days = (settings.validation_from, settings.test_from)
    first, second = (splits.midnight(date.fromisoformat(str(day))) for day in days)
    return first, second


def published_parts(reviews: pl.DataFrame) -> Parts:
    """Return the parts of a published split, sorted by user, in the published order.

    Raises:
        RawDataError: a part has no rows.
    """
    rows = reviews.with_columns(pl.col(s.USER, s.ITEM).cast(pl.Int32)).sort(
        s.USER, maintain_order=True
    )
    of_part = {part: rows.filter(pl.col(s.PART) == part) for part in processed.PART_FILES}
    parts = {part: table.select(list(s.INTERACTIONS)) for part, table in of_part.items()}
    if empty := [part for part, table in parts.items() if table.is_empty()]:
        counts = {part: table.height for part, table in parts.items()}
        raise RawDataError(
            f"split: expected rows in every part of the published split, got none in "
            f"{' and '.join(empty)} ({counts}); run the stages download and ingest again"
        )
    return parts


def main(argv: list[str] | None = None) -> None:
    """Read, split, draw, write."""
    arguments = parser(__doc__, "dataset", "interim", "processed")
    args = arguments.parse_args(argv)
    settings = params.load().of(args.dataset)

    users, items = processed.read_users(args.processed), processed.read_items(args.processed)
    format_ = settings.source(args.dataset).format
    if format_ == "published_split":
        parts = published_parts(read_parquet(args.interim / s.REVIEWS_FILE, s.REVIEWS))
        facts: dict[str, Any] = {}
    elif format_ in WITH_SPLIT:
        reviews = read_parquet(args.interim / s.REVIEWS_FILE, s.REVIEWS)
        parts = splits.by_label(reviews, users, items)
        facts = splits.facts({"method": "labels"}, parts)
    else:
        interactions = processed.read_interactions(args.processed, users.height, items.height)
        parts, facts = divided(interactions, settings.split, users, items, settings.seed)
    ranked = splits.ranked(parts) if facts else parts
    pools = splits.pools(parts) if processed.is_cold(facts) else None
    n, seed = settings.evaluate.candidates, settings.seed
    drawn = candidates(parts, users, items.height, n, seed, ranked, pools)
    counts = {part: rows.height for part, rows in parts.items()}
    log.info("%s: %s", args.dataset, counts | facts)
    metadata = {s.SPLIT: json.dumps(facts, sort_keys=True)} if facts else None
    for part, rows in parts.items():
        write_parquet(rows, args.processed / processed.PART_FILES[part], metadata)
    digests = {part: processed.digest(rows) for part, rows in parts.items()}
    metadata = (metadata or {}) | {s.PARTS: json.dumps(digests, sort_keys=True)}
    write_parquet(drawn, args.processed / s.CANDIDATES_FILE, metadata)


if __name__ == "__main__":
    run(main)
