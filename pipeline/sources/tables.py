"""Format `tables`: the user's own interactions and items, whatever their columns are called.

    interactions    .csv, .tsv, .jsonl (each perhaps .gz) or .parquet: a row per interaction
    items           likewise: a row per item
    pictures        a folder, or a .zip or .tar archive

Files are scanned, not loaded: only the columns that `columns` and `fields` name are kept.
"""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.published.tables import file_name
from pipeline.sources import columns as c
from pipeline.sources.raw import BadLines, Tables, complete_items
from pipeline.tables.schema import (
    IMAGE,
    ITEM,
    PART,
    RATING,
    RAW_ID,
    RAW_ITEMS,
    REVIEWS,
    TIME,
    USER,
    VERIFIED,
)

logger = logging.getLogger(__name__)

ROW = "row"  # from 1, without a header
GIVEN = "given {}"  # what a row has in a column before it is understood
ID = "an id"
TIMES = {
    "s": "a time in seconds since 1970",
    "ms": "a time in milliseconds since 1970",
    "iso": "a date, or a date and time, in ISO 8601",
}


def read(source: params.TablesSource, folder: Path, max_bad_lines: int) -> Tables:
    """Read the interactions, and the items in them.

    Args:
        source: the names of files and columns.
        folder: data/raw/<dataset>.
        max_bad_lines: rows of a file that may lack an id or a time, or hold no number where
            one should be.

    Returns:
        Reviews in the order of the file, with `verified` if `columns` has it. Items sorted by
        raw_id, one each (the first row counts), then the columns of `fields`; nulls where an
        item has no row.

    Raises:
        RawDataError: a file is absent or unreadable, lacks a column, or has too many bad rows.
    """
    reviews = _interactions(source, folder / file_name(source.interactions), max_bad_lines)
    metadata = pl.DataFrame(schema=RAW_ITEMS)
    if source.items is not None:
        metadata = _items(source, folder / file_name(source.items), max_bad_lines)
    return Tables(reviews, complete_items(reviews, metadata, key=ITEM))


def _interactions(source: params.TablesSource, path: Path, max_bad_lines: int) -> pl.DataFrame:
    named = source.columns
    wanted = {
        USER: named.user,
        ITEM: named.item,
        TIME: named.timestamp,
        RATING: named.rating,
        VERIFIED: named.verified,
    }
    table = c.scan(path, wanted)
    schema = table.collect_schema()
    rows = table.with_row_index(ROW, offset=1).select(
        ROW,
        *(c.identifier(name, schema, path, wanted) for name in (USER, ITEM)),
        c.seconds(schema, source.time, path),
        c.rating(schema),
        pl.lit(None, dtype=REVIEWS[PART]).alias(PART),
        c.verified(schema),
        *(c.stripped(n).alias(GIVEN.format(n)) for n in (TIME, RATING) if n in schema),
    )
    needed = {USER: ID, ITEM: ID, TIME: TIMES[source.time], RATING: "a number"}
    found = _without_bad(c.collect(rows, path), path, needed, wanted, max_bad_lines)
    return found.select(*REVIEWS, *([VERIFIED] if named.verified else []))


def _items(source: params.TablesSource, path: Path, max_bad_lines: int) -> pl.DataFrame:
    named = source.columns
    wanted = {RAW_ID: named.raw_id or named.item}
    wanted |= {name: getattr(named, name) for name in RAW_ITEMS if name != RAW_ID}
    if taken := sorted(set(wanted) & set(source.fields)):
        raise ParamsError(
            f"params.yaml: sources.{path.parent.name}.fields: expected names other than "
            f"{list(RAW_ITEMS)}, got {taken}; name the column in `columns`"
        )
    wanted |= {name: name for name in source.fields}
    table = c.scan(path, wanted)
    schema = table.collect_schema()
    rows = table.with_row_index(ROW, offset=1).select(
        ROW,
        c.identifier(RAW_ID, schema, path, wanted),
        *(c.text(name, schema, path, wanted) for name in wanted if name != RAW_ID),
    )
    found = _without_bad(c.collect(rows, path), path, {RAW_ID: ID}, wanted, max_bad_lines)
    return found.select(list(wanted)).with_columns(_place(source.pictures))


def _place(pictures: str | None) -> pl.Expr:
    """Return the column `image`: an address as it is, a path below the pictures."""
    image = pl.col(IMAGE)
    if pictures is None:
        return image
    below = pl.concat_str(pl.lit(f"{pictures}/"), image)
    return (
        pl.when(image.str.contains(r"^(?i)https?://")).then(image).otherwise(below).alias(IMAGE)
    )


def _without_bad(
    rows: pl.DataFrame, path: Path, needed: dict[str, str], wanted: c.Named, max_bad_lines: int
) -> pl.DataFrame:
    """Drop the rows that lack what they must have; more of them than allowed are an error.

    A rating may be absent, which is not the same as one that is no number.
    """
    bad = BadLines(path, max_bad_lines)
    for name, expected in needed.items():
        given = GIVEN.format(name)
        given = given if given in rows.columns else name
        is_bad = pl.col(name).is_null() & (pl.col(given).is_not_null() | (name != RATING))
        if wanted[name] is None:
            continue
        for row, text in rows.filter(is_bad).select(ROW, given).head(max_bad_lines + 1).rows():
            bad.add(row, text or "", f"{expected} in column {wanted[name]!r} of row {row}")
        rows = rows.filter(~is_bad)
    logger.info("%s: %d rows, and %d bad ones left out", path, rows.height, bad.count)
    if rows.is_empty():
        raise RawDataError(
            f"{path}: expected rows with {sorted(filter(None, wanted.values()))}, got none"
        )
    return rows
