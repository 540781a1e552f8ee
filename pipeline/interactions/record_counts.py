"""Where the records of the raw files went: each is an interaction, a bad line or filtered."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.interactions.filters import Steps
from pipeline.job.errors import RawDataError
from pipeline.tables.io import read_metadata
from pipeline.tables.schema import INGEST


def read_counts(reviews: Path) -> dict[str, Any]:
    """Return what `ingest` counted, from the metadata of reviews.parquet.

    Returns:
        `files`: by name, the records, rows, bad lines and values that were not understood;
        `reviews`: records and bad lines of the reviews, None where a line has several. Both
        are empty for a table that `ingest` did not write.
    """
    entry = read_metadata(reviews).get(INGEST)
    return dict(json.loads(entry)) if entry else {"files": {}, "reviews": None}


def reconciled(
    records: dict[str, int] | None, n_reviews: int, steps: Steps, n_interactions: int
) -> dict[str, Any]:
    """Return `records`, `bad_lines`, what each filter dropped (`filtered`), and `interactions`.

    Args:
        records: `reviews` of `read_counts`; if None, the reviews are counted from here.
        n_reviews: rows of reviews.parquet.
        steps: of the filters and of repeated pairs; what is lost after them is the core's, or
            in a published split, which has no steps, the part validation, if train has it too.
        n_interactions: rows of interactions.parquet.

    Raises:
        RawDataError: they do not add up.
    """
    records = records or {"records": n_reviews, "bad_lines": 0}
    left = [n_reviews, *(step["reviews"] for step in steps)]
    drops = (before - after for before, after in pairwise(left))
    dropped = dict(zip((step["filter"] for step in steps), drops, strict=True))
    dropped["core" if steps else "validation"] = left[-1] - n_interactions
    lost = records["bad_lines"] + sum(dropped.values())
    if records["records"] != n_interactions + lost or min(dropped.values()) < 0:
        raise RawDataError(
            f"kcore: expected records = interactions + bad lines + filtered, got "
            f"{records['records']:,} records, {n_interactions:,} interactions, "
            f"{records['bad_lines']:,} bad lines, filtered {dropped}. Run ingest again"
        )
    dropped.pop("all reviews", None)  # drops nothing, as was checked
    if not steps and not dropped["validation"]:
        del dropped["validation"]
    return {**records, "filtered": dropped, "interactions": n_interactions}
