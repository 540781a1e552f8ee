"""Format `published_split`: the splits published with the MEGCF code.

    train.txt, validation.txt, test.txt     user item item ...      one user a line
    i2e_title.txt, i2e_visual.txt           item token token ...    one item a line

Everything is a whole number. The split is taken as it is. Titles and images themselves are not
published, only which words and image tags an item has.
"""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.published.published_split import PARTS, TOKENS
from pipeline.sources.lines import batches
from pipeline.sources.raw import BadLines, Tables
from pipeline.tables.schema import (
    DESCRIPTION,
    IMAGE,
    ITEM,
    PART,
    RATING,
    RAW_ID,
    REVIEWS,
    TIME,
    TITLE,
    TRAIN,
    USER,
    VALIDATION,
)

logger = logging.getLogger(__name__)

# Ids are dense from 0, so a table of 0..max is about as long as there are ids. A damaged id
# must not ask for a table of billions of rows.
SPARSEST, SLACK = 10, 1000


def read(source: params.PublishedSplitSource, folder: Path, max_bad_lines: int) -> Tables:
    """Read a split and its token lists.

    Args:
        source: not needed: the files say it all.
        folder: data/raw/<dataset>.
        max_bad_lines: lines per file that may be no numbers.

    Returns:
        Reviews: the rows of train, then validation, then test, marked in `part`; no time, no
        rating. Items: ids 0..max over all files with `title_tokens` and `visual_tokens`
        (list<string>; null where the file has no line for the item, [] where the line is
        empty); title, description and image are null.

    Raises:
        RawDataError: too many bad lines, several held-out items for one user, or ids that are
            not dense.
    """
    parts = [_part(folder / name, part, max_bad_lines) for part, name in PARTS.items()]
    tokens = {column: _numbers(folder / name, max_bad_lines) for column, name in TOKENS.items()}
    reviews = pl.concat(parts)
    return Tables(_as_reviews(reviews), _items(folder, reviews, tokens))


def _numbers(path: Path, max_bad_lines: int) -> pl.DataFrame:
    """Return columns `line`, `id` (int64) and `rest` (list<int64>), one row a line."""
    bad = BadLines(path, max_bad_lines)
    tables = [_parse(batch.table(), bad) for batch in batches(path)]
    n_lines = sum(table.height for table in tables)
    logger.info("%s: %d lines, %d bad", path, n_lines, bad.count)
    if n_lines == 0:
        raise RawDataError(f"{path}: expected lines of whole numbers, got an empty file")
    return pl.concat(tables)


def _parse(lines: pl.DataFrame, bad: BadLines) -> pl.DataFrame:
    # 18 digits always fit an int64; anything else is no id.
    is_numbers = pl.col("text").str.contains(r"^[0-9]{1,18}(\s+[0-9]{1,18})*$")
    for line, text in lines.filter(~is_numbers).rows():
        bad.add(line, text, "whole numbers separated by spaces")
    numbers = pl.col("text").str.extract_all(r"[0-9]+").cast(pl.List(pl.Int64))
    return lines.filter(is_numbers).select(
        "line", numbers.list.first().alias("id"), numbers.list.slice(1).alias("rest")
    )


def _part(path: Path, part: str, max_bad_lines: int) -> pl.DataFrame:
    """Return one row per (user, item) of a part, in the order of the file."""
    rows = (
        _numbers(path, max_bad_lines)
        .filter(pl.col("rest").list.len() > 0)
        .explode("rest")
        .select("line", pl.col("id").alias(USER), pl.col("rest").alias(ITEM))
    )
    if part != TRAIN:
        _check_one_item_a_user(rows, path)
    return rows.select(USER, ITEM, pl.lit(part).alias(PART))


def _check_one_item_a_user(rows: pl.DataFrame, path: Path) -> None:
    repeats = rows.filter(~pl.col(USER).is_first_distinct())
    if repeats.height:
        line, user, item = repeats.row(0)
        raise RawDataError(
            f"{path}:{line}: expected one item for each user, got a further one for user "
            f"{user}: {item}"
        )


def _as_reviews(rows: pl.DataFrame) -> pl.DataFrame:
    train, held = rows.filter(pl.col(PART) == TRAIN), rows.filter(pl.col(PART) == VALIDATION)
    logger.info(
        "reviews: %d rows; %d train pairs repeat; %d of %d validation pairs are in train",
        rows.height,
        train.height - train.select(USER, ITEM).n_unique(),
        held.join(train, on=[USER, ITEM], how="semi").height,
        held.height,
    )
    return rows.select(
        pl.col(USER).cast(pl.String),
        pl.col(ITEM).cast(pl.String),
        pl.lit(None, dtype=REVIEWS[TIME]).alias(TIME),
        pl.lit(None, dtype=REVIEWS[RATING]).alias(RATING),
        PART,
    )


def _items(
    folder: Path, reviews: pl.DataFrame, tokens: dict[str, pl.DataFrame]
) -> pl.DataFrame:
    ids = pl.concat([reviews[ITEM].alias("id"), *(table["id"] for table in tokens.values())])
    n_items = _dense_count(ids, folder)
    table = pl.DataFrame({"id": pl.int_range(n_items, dtype=pl.Int64, eager=True)})
    for column, lists in tokens.items():
        first = lists.unique("id", keep="first", maintain_order=True)
        logger.info(
            "%s: %d items have a line, %d of them an empty one; %d repeated lines left out",
            column,
            first.height,
            first.filter(pl.col("rest").list.len() == 0).height,
            lists.height - first.height,
        )
        as_text = pl.col("rest").cast(pl.List(pl.String)).alias(column)
        table = table.join(first.select("id", as_text), on="id", how="left")
    nothing = [
        pl.lit(None, dtype=pl.String).alias(name) for name in (TITLE, DESCRIPTION, IMAGE)
    ]
    return table.sort("id").select(
        pl.col("id").cast(pl.String).alias(RAW_ID), *nothing, *tokens
    )


def _dense_count(ids: pl.Series, folder: Path) -> int:
    n_distinct, largest = ids.n_unique(), int(ids.cast(pl.Int64).to_numpy().max(initial=-1))
    if largest >= SPARSEST * n_distinct + SLACK:
        raise RawDataError(
            f"{folder}: expected item ids dense from 0, got {n_distinct} ids up to {largest}"
        )
    return largest + 1
