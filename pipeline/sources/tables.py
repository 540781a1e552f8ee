"""Format `tables`: the user's own interactions and items, under any column names.

    interactions    .csv, .tsv, .jsonl (each also as .gz) or .parquet: a row per interaction
    items           likewise: a row per item
    pictures        a folder, or a .zip or .tar archive

Files are scanned, so that only the columns in `columns` and `fields` are loaded.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.published.tables import file_name
from pipeline.sources import columns as c
from pipeline.sources.line_numbers import line_numbers
from pipeline.sources.raw import BadLines, Tables, empty_columns
from pipeline.sources.stream import Stream, completed
from pipeline.tables import schema as s

logger = logging.getLogger(__name__)

ROW = "row"  # from 1, without a header
UNPARSED = "unparsed {}"  # the text of a column before it is parsed
ID = "an id"
TIMES = {
    "s": "a time in seconds since 1970",
    "ms": "a time in milliseconds since 1970",
    "iso": "a date, or a date and time, in ISO 8601",
}


def read(source: params.TablesSource, folder: Path, max_bad_lines: int) -> Tables:
    """Read the interactions and their items; the arguments are those of every `Reader`.

    Bad lines are rows that lack an id or a time, or have something else in place of a number.

    Returns:
        Reviews in the order of the file, with `verified` if `columns` has it. Items sorted by
        raw_id, unique (the first row counts), with the columns of `fields` after the usual
        ones; nulls where an item has no row.

    Raises:
        RawDataError: a file does not exist or is unreadable, lacks a column, or has too many
            bad rows.
    """
    reviews = _interactions(source, folder / file_name(source.interactions), max_bad_lines)
    metadata = pl.DataFrame(schema=s.RAW_ITEMS)
    if source.items is not None:
        metadata = _items(source, folder / file_name(source.items), max_bad_lines)
    items = partial(completed, iter([metadata]), dict(metadata.schema))
    return Stream(iter([reviews]), items).tables()


def _interactions(source: params.TablesSource, path: Path, max_bad_lines: int) -> pl.DataFrame:
    names = source.columns
    wanted = {
        s.USER: names.user,
        s.ITEM: names.item,
        s.TIME: names.timestamp,
        s.RATING: names.rating,
        s.VERIFIED: names.verified,
    }
    table = c.scan(path, wanted)
    schema = table.collect_schema()
    rows = table.with_row_index(ROW, offset=1).select(
        ROW,
        *(c.identifier(name, schema, path, wanted) for name in (s.USER, s.ITEM)),
        c.seconds(schema, source.time, path),
        c.rating(schema),
        *empty_columns(s.PART),
        c.verified(schema),
        *(c.stripped(n).alias(UNPARSED.format(n)) for n in (s.TIME, s.RATING) if n in schema),
    )
    required = {s.USER: ID, s.ITEM: ID, s.TIME: TIMES[source.time], s.RATING: "a number"}
    good_rows = _without_bad(c.collect(rows, path), path, required, wanted, max_bad_lines)
    return good_rows.select(*s.REVIEWS, *([s.VERIFIED] if names.verified else []))


def _items(source: params.TablesSource, path: Path, max_bad_lines: int) -> pl.DataFrame:
    names = source.columns
    wanted = {s.RAW_ID: names.raw_id or names.item}
    wanted |= {name: getattr(names, name) for name in s.RAW_ITEMS if name != s.RAW_ID}
    if reserved := sorted(set(wanted) & set(source.fields)):
        raise ParamsError(
            f"params.yaml: sources.{path.parent.name}.fields: expected names other than "
            f"{list(s.RAW_ITEMS)}, got {reserved}; name the column in `columns`"
        )
    wanted |= {name: name for name in source.fields}
    table = c.scan(path, wanted)
    schema = table.collect_schema()
    rows = table.with_row_index(ROW, offset=1).select(
        ROW,
        c.identifier(s.RAW_ID, schema, path, wanted),
        *(c.text(name, schema, path, wanted) for name in wanted if name != s.RAW_ID),
    )
    good_rows = _without_bad(c.collect(rows, path), path, {s.RAW_ID: ID}, wanted, max_bad_lines)
    return good_rows.select(list(wanted)).with_columns(_image(source.pictures))


def _image(pictures: str | None) -> pl.Expr:
    """Return the column `image`: addresses unchanged, paths below the folder of pictures."""
    image = pl.col(s.IMAGE)
    if pictures is None:
        return image
    path = pl.concat_str(pl.lit(f"{pictures}/"), image)
    is_address = image.str.contains(r"^(?i)https?://")
    return pl.when(is_address).then(image).otherwise(path).alias(s.IMAGE)


def _without_bad(
    rows: pl.DataFrame, path: Path, required: dict[str, str], wanted: c.Names, limit: int
) -> pl.DataFrame:
    """Drop the rows without a required value; more than `limit` of them are an error.

    A rating may be missing, but not be something else than a number.
    """
    bad = BadLines(path, limit)
    for name, expected in required.items():
        if wanted[name] is None:
            continue
        unparsed = UNPARSED.format(name)
        unparsed = unparsed if unparsed in rows.columns else name
        is_bad = pl.col(name).is_null() & (pl.col(unparsed).is_not_null() | (name != s.RATING))
        shown = rows.filter(is_bad).select(ROW, unparsed).head(limit + 1).rows()
        lines = (
            {} if path.suffix == ".parquet" else line_numbers(path, [row for row, _ in shown])
        )
        for row, text in shown:
            where = f"column {wanted[name]!r}" + ("" if lines else f" of row {row}")
            bad.add(lines.get(row, row), text or "", f"{expected} in {where}")
        rows = rows.filter(~is_bad)
    logger.info("%s: %d rows, %d bad rows left out", path, rows.height, bad.count)
    if rows.is_empty():
        raise RawDataError(
            f"{path}: expected rows with {sorted(filter(None, wanted.values()))}, got none"
        )
    return rows
