"""The counts of a dataset that `validate` writes and `drift` compares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipeline.tables.schema import ITEM, RATING, RAW_ID, TIME, USER

Profile = dict[str, Any]


def profile(
    manifest: Sequence[Mapping[str, Any]],
    read: Mapping[str, Any],
    reviews: pl.DataFrame,
    items: pl.DataFrame,
    processed: Mapping[str, pl.DataFrame],
) -> Profile:
    """Return the counts of a dataset, for JSON.

    Args:
        manifest: of the raw files.
        read: what `ingest` counted in them, by file.
        reviews: schema.REVIEWS, optionally with more columns.
        items: schema.RAW_ITEMS, optionally with more columns.
        processed: tables by name, such as `interactions` and `train`; their rows are counted.
    """
    return {
        "files": files(manifest),
        "read": read,
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
    """Return `{file: {bytes, sha256}}`; a folder, such as images/, is one entry."""
    entries: dict[str, dict[str, Any]] = {}
    folders: dict[str, list[Mapping[str, Any]]] = {}
    for file in manifest:
        name, slash, _ = str(file["file"]).partition("/")
        if slash:
            folders.setdefault(f"{name}/", []).append(file)
        else:
            entries[name] = {"bytes": file["bytes"], "sha256": file["sha256"]}
    for folder, content in folders.items():
        lines = sorted(f"{file['file']} {file['sha256']}\n" for file in content)
        entries[folder] = {
            "files": len(content),
            "bytes": sum(file["bytes"] for file in content),
            "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
        }
    return entries


def _filled(table: pl.DataFrame) -> dict[str, int]:
    """Return the number of rows with a value, by column; an empty list is not a value."""
    has_value = {
        name: pl.col(name).list.len() > 0
        if isinstance(dtype, pl.List)
        else pl.col(name).is_not_null()
        for name, dtype in table.schema.items()
    }
    counts = table.select(value.sum().alias(name) for name, value in has_value.items())
    return {name: int(count) for name, count in counts.row(0, named=True).items()}


def _counted(values: pl.Series) -> dict[str, int]:
    """Return how often each value occurs, in the order of the values."""
    counts = values.value_counts().sort(values.name)
    return {f"{value:g}": count for value, count in counts.iter_rows()}
