"""Format `inter`: a published benchmark, whose file says which part a row belongs to.

    D.inter     tab-separated, a header, a row per interaction

MMRec names the columns userID, itemID and x_label; RecBole adds a type to a name, such as
user_id:token, which is left out here. The label is 0 for train, 1 for validation, 2 for test.
All rows are kept, in the part that the file gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import polars as pl

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.sources import table_header
from pipeline.sources.raw import OWN, Ledger, Tables, check_exists
from pipeline.sources.stream import Stream, completed
from pipeline.sources.tables import interactions
from pipeline.tables import schema as s

TYPE = re.compile(r":(token|float)(_seq)?$")  # of a column, as RecBole writes it
# Our name of a column: the key in `columns`, and the names it has in MMRec and RecBole.
NAMES = {
    s.USER: ("user", "userID", "user_id"),
    s.ITEM: ("item", "itemID", "item_id"),
    s.PART: ("label", "x_label"),
    s.TIME: ("timestamp", "timestamp"),
    s.RATING: ("rating", "rating"),
}
REQUIRED = (s.USER, s.ITEM, s.PART)


def read(source: params.InterSource, folder: Path, ledger: Ledger) -> Tables:
    """Read the interactions into memory; see `stream`."""
    return stream(source, folder, ledger).tables()


def stream(source: params.InterSource, folder: Path, ledger: Ledger) -> Stream:
    """Read the interactions; the arguments are those of every `Reader`.

    Bad lines are those of the format `tables`, and rows whose label is none of 0, 1 and 2.

    Returns:
        Reviews in the order of the file, with `part`. Items sorted by raw_id, of which only
        that id is known. Reading raises RawDataError if the file does not exist or is damaged,
        lacks a column, has too many bad lines, or has a pair twice.
    """
    path = folder / PurePosixPath(source.interactions).name
    check_exists(path)
    wanted = _columns(source, table_header.read(path).names, path)
    reviews = interactions(ledger.of(path, OWN), wanted, source.time, folder.name)
    nothing = iter([pl.DataFrame(schema=s.RAW_ITEMS)])
    return Stream(
        _each_pair_once(reviews, path), partial(completed, nothing, s.RAW_ITEMS, ledger=ledger)
    )


def _columns(
    source: params.InterSource, header: Sequence[str], path: Path
) -> dict[str, str | None]:
    """Return `{our name: name in the header}`; None for an optional column that is absent."""
    untyped = {TYPE.sub("", name): name for name in reversed(header)}
    untyped |= {name: name for name in header}
    wanted: dict[str, str | None] = {}
    for ours, (key, *usual) in NAMES.items():
        own = getattr(source.columns, key)
        names = [own] if own else usual
        wanted[ours] = next((untyped[name] for name in names if name in untyped), None)
        if wanted[ours] is None and (own or ours in REQUIRED):
            raise RawDataError(
                f"{path}: expected a column {' or '.join(map(repr, names))}, got "
                f"{list(header)}; name it in sources.{path.parent.name}.columns.{key} of "
                "params.yaml, or mend the header, which is the first line"
            )
    return wanted


def _each_pair_once(reviews: Iterator[pl.DataFrame], path: Path) -> Iterator[pl.DataFrame]:
    """Yield the reviews; at the end, refuse a user and an item that are there twice."""
    pairs = []
    for table in reviews:
        pairs.append(table.select(s.USER, s.ITEM, s.PART))
        yield table
    every = pl.concat(pairs)
    repeated = every.filter(every.select(s.USER, s.ITEM).is_duplicated())
    if repeated.height:
        user, item, _ = repeated.row(0)
        rows = repeated.filter((pl.col(s.USER) == user) & (pl.col(s.ITEM) == item))
        raise RawDataError(
            f"{path}: expected each user and item once, got user {user!r} and item {item!r} in "
            f"{' and '.join(rows[s.PART])}; {repeated.height:,} rows are of such pairs. Leave "
            "one row of each pair in the file"
        )
