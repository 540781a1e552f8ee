"""What a dataset is like, in counts: what a person reads, and what two versions differ in.

Not a stage: what `validate` writes beside its findings and `drift` compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipeline.tables.schema import ITEM, RATING, RAW_ID, TIME, USER

Profile = dict[str, Any]


def profile(
    manifest: Sequence[Mapping[str, Any]],
    reviews: pl.DataFrame,
    items: pl.DataFrame,
    processed: Mapping[str, pl.DataFrame],
) -> Profile:
    """Return a dataset's counts, as JSON can hold them.

    Args:
        manifest: of the raw files.
        reviews: schema.REVIEWS, perhaps with more columns.
        items: schema.RAW_ITEMS, perhaps with more columns.
        processed: tables by name, such as interactions and train, for their rows.
    """
    return {
        "files": files(manifest),
        "reviews": {
            "rows": reviews.height,
            "users": reviews[USER].n_unique(),
            "items": reviews[ITEM].n_unique(),
            "filled": _filled(reviews),
            "years": _counted(pl.from_epoch(reviews[TIME]).dt.year().drop_nulls()),
            "ratings": _counted(reviews[RATING].drop_nulls()),
        },
        "items": {"rows": items.height, "filled": _filled(items.drop(RAW_ID))},
        "rows": {name: table.height for name, table in processed.items()},
    }


def files(manifest: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return `{file: {bytes, sha256}}`; the files of a folder, such as pictures, as one."""
    found: dict[str, dict[str, Any]] = {}
    folders: dict[str, list[Mapping[str, Any]]] = {}
    for entry in manifest:
        folder, slash, _ = str(entry["file"]).partition("/")
        if slash:
            folders.setdefault(f"{folder}/", []).append(entry)
        else:
            found[folder] = {"bytes": entry["bytes"], "sha256": entry["sha256"]}
    for folder, entries in folders.items():
        lines = sorted(f"{entry['file']} {entry['sha256']}\n" for entry in entries)
        found[folder] = {
            "files": len(entries),
            "bytes": sum(entry["bytes"] for entry in entries),
            "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
        }
    return found


def _filled(table: pl.DataFrame) -> dict[str, int]:
    """Return how many rows have a value, by column; an empty list is none."""
    some = [
        ((pl.col(n).list.len() > 0) if isinstance(kind, pl.List) else pl.col(n).is_not_null())
        .sum()
        .alias(n)
        for n, kind in table.schema.items()
    ]
    return {name: int(count) for name, count in table.select(some).row(0, named=True).items()}


def _counted(values: pl.Series) -> dict[str, int]:
    """Return how often each value stands there, in the order of the values."""
    counts = values.value_counts().sort(values.name)
    return {f"{value:g}": count for value, count in counts.iter_rows()}
