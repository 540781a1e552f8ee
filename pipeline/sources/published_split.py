"""Format `published_split`: the splits published with the MEGCF code.

    train.txt, validation.txt, test.txt     user item item ...      one user per line
    i2e_title.txt, i2e_visual.txt           item token token ...    one item per line

All values are whole numbers. The split is used unchanged. Titles and images are not published,
only the numbers of an item's words and image tags.
"""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.published.published_split import PARTS, TOKENS
from pipeline.sources.lines import Batch, parsed
from pipeline.sources.raw import FileCounts, Ledger, Tables, empty_columns
from pipeline.tables import schema as s

logger = logging.getLogger(__name__)

# Ids are dense from 0, so a table of 0..max has about as many rows as there are ids. A damaged
# id must not lead to a table of billions of rows.
SPARSEST, SLACK = 10, 1000


def read(source: params.PublishedSplitSource, folder: Path, ledger: Ledger) -> Tables:
    """Read a split and its token lists; the arguments are those of every `Reader`.

    Returns:
        Reviews: the rows of train, then validation, then test, marked in `part`; time and
        rating are null. Items: ids 0..max over all files, with `title_tokens` and
        `visual_tokens` (list<string>; null where the file has no line for the item, [] where
        the line is empty); title, description and image are null.

    Raises:
        RawDataError: there are too many bad lines, a user has several held-out items, or ids
            are not dense.
    """
    parts = [_part(folder / name, part, ledger) for part, name in PARTS.items()]
    tokens = {column: _numbers(folder / name, ledger) for column, name in TOKENS.items()}
    pairs = pl.concat(parts)
    return Tables(_reviews(pairs), _items(folder, pairs, tokens))


def _numbers(path: Path, ledger: Ledger) -> pl.DataFrame:
    """Return columns `line`, `id` (int64) and `rest` (list<int64>), one row per line."""
    tables = list(parsed(ledger.of(path), _parse))
    if not any(table.height for table in tables):
        raise RawDataError(f"{path}: expected lines of whole numbers, got an empty file")
    return pl.concat(tables)


def _parse(batch: Batch, counts: FileCounts) -> pl.DataFrame:
    # 18 digits always fit an int64; longer numbers are not ids.
    is_numbers = pl.col("text").str.contains(r"^[0-9]{1,18}(\s+[0-9]{1,18})*$")
    lines = counts.without(batch.table(), is_numbers, "whole numbers separated by spaces")
    numbers = pl.col("text").str.extract_all(r"[0-9]+").cast(pl.List(pl.Int64))
    return lines.select(
        "line", numbers.list.first().alias("id"), numbers.list.slice(1).alias("rest")
    )


def _part(path: Path, part: str, ledger: Ledger) -> pl.DataFrame:
    """Return one row per (user, item) of a part, in the order of the file."""
    rows = (
        _numbers(path, ledger)
        .filter(pl.col("rest").list.len() > 0)
        .explode("rest")
        .select("line", pl.col("id").alias(s.USER), pl.col("rest").alias(s.ITEM))
    )
    repeats = rows.filter(~pl.col(s.USER).is_first_distinct())
    if part != s.TRAIN and repeats.height:
        line, user, item = repeats.row(0)
        raise RawDataError(
            f"{path}:{line}: expected one item per user, got another one for user {user}: "
            f"{item}"
        )
    return rows.select(s.USER, s.ITEM, pl.lit(part).alias(s.PART))


def _reviews(pairs: pl.DataFrame) -> pl.DataFrame:
    train, validation = (
        pairs.filter(pl.col(s.PART) == part) for part in (s.TRAIN, s.VALIDATION)
    )
    logger.info(
        "reviews: %d rows; %d train pairs repeat; %d of %d validation pairs are in train",
        pairs.height,
        train.height - train.select(s.USER, s.ITEM).n_unique(),
        validation.join(train, on=[s.USER, s.ITEM], how="semi").height,
        validation.height,
    )
    ids = pl.col(s.USER, s.ITEM).cast(pl.String)
    return pairs.select(ids, *empty_columns(s.TIME, s.RATING), s.PART)


def _items(folder: Path, pairs: pl.DataFrame, tokens: dict[str, pl.DataFrame]) -> pl.DataFrame:
    ids = pl.concat([pairs[s.ITEM].alias("id"), *(table["id"] for table in tokens.values())])
    n_items = _dense_count(ids, folder)
    table = pl.DataFrame({"id": pl.int_range(n_items, dtype=pl.Int64, eager=True)})
    for column, lists in tokens.items():
        first = lists.unique("id", keep="first", maintain_order=True)
        logger.info(
            "%s: %d items have a line, %d of them an empty one; %d repeated lines ignored",
            column,
            first.height,
            first.filter(pl.col("rest").list.len() == 0).height,
            lists.height - first.height,
        )
        as_text = pl.col("rest").cast(pl.List(pl.String)).alias(column)
        table = table.join(first.select("id", as_text), on="id", how="left")
    raw_id = pl.col("id").cast(pl.String).alias(s.RAW_ID)
    return table.sort("id").select(
        raw_id, *empty_columns(s.TITLE, s.DESCRIPTION, s.IMAGE), *tokens
    )


def _dense_count(ids: pl.Series, folder: Path) -> int:
    n_distinct, largest = ids.n_unique(), int(ids.cast(pl.Int64).to_numpy().max(initial=-1))
    if largest >= SPARSEST * n_distinct + SLACK:
        raise RawDataError(
            f"{folder}: expected item ids dense from 0, got {n_distinct} ids up to {largest}"
        )
    return largest + 1
