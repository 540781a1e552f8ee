"""What is wrong with a dataset's tables, or unusual enough to look at.

Not a stage: what `validate` runs. An error means that a later stage would compute nonsense; a
warning is for a person to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from pipeline.tables.schema import (
    ITEM,
    PART,
    RATING,
    RAW_ID,
    TEST,
    TIME,
    TRAIN,
    USER,
    VALIDATION,
)

MAX_MISSING = 0.5  # of the items, without a field; above it is worth a look
EARLIEST, LATEST = 788918400, 4102444800  # 1995-01-01, 2100-01-01; seconds
STARS = (1.0, 5.0)
KNOWN_STARS = ("sample", "amazon2014", "amazon2018", "amazon2023")  # formats
Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: how bad, where, what, how often, and the first case."""

    level: Literal["error", "warning"]
    table: str
    what: str
    count: int
    of: int
    example: str = ""


def raw(reviews: pl.DataFrame, items: pl.DataFrame, format_: str) -> Iterator[Finding]:
    """Yield what is found in the tables of ingest.

    Args:
        reviews: schema.REVIEWS.
        items: schema.RAW_ITEMS.
        format_: of the source; only some say which stars there are.
    """
    where = "reviews"
    for name in (USER, ITEM):
        empty = pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")
        yield from _rows("error", where, f"rows without {name}", reviews, empty)
    lost = reviews.join(items, left_on=ITEM, right_on=RAW_ID, how="anti")
    yield from _some(
        "error", where, "rows of an item that is not in items", lost, reviews.height
    )
    yield from _rows("error", "items", "rows that repeat a raw_id", items, _again(RAW_ID))
    yield from _times(reviews)
    level: Literal["error", "warning"] = "error" if format_ in KNOWN_STARS else "warning"
    low, high = STARS
    wrong = ~pl.col(RATING).is_between(low, high) | pl.col(RATING).is_nan()
    yield from _rows(level, where, f"ratings outside {low:g} to {high:g}", reviews, wrong)
    if format_ != "published_split":
        whole = [USER, ITEM, TIME, RATING]
        yield from _rows("warning", where, "repeated rows", reviews, _again(*whole))
        yield from _rows("warning", where, "repeated pairs", reviews, _again(USER, ITEM))
    yield from _missing(items)


def core(
    tables: Tables, k_user: int | None, k_item: int | None, *, published: bool
) -> Iterator[Finding]:
    """Yield what is found in interactions, users and items.

    Args:
        tables: `interactions`, `users` and `items`.
        k_user: interactions that each user has; None where no core was made.
        k_item: likewise of each item.
        published: a split that was taken as it is, of which no core was made.
    """
    interactions = tables["interactions"]
    for name in (USER, ITEM):
        of = tables[f"{name}s"]
        out_of_order = pl.col(name) != pl.int_range(pl.len())
        yield from _rows("error", f"{name}s", "ids that are not 0, 1, 2, ...", of, out_of_order)
        yield from _rows("error", f"{name}s", "rows that repeat a raw_id", of, _again(RAW_ID))
        lost = ~pl.col(name).is_between(0, of.height - 1)
        yield from _rows("error", "interactions", f"rows of no {name}", interactions, lost)
    if published:
        return
    yield from _rows(
        "error", "interactions", "repeated pairs", interactions, _again(USER, ITEM)
    )
    for name, k in ((USER, k_user), (ITEM, k_item)):
        counts = interactions.group_by(name).len("n").sort(name)
        yield from _rows(
            "error", f"{name}s", f"with fewer than {k} rows", counts, pl.col("n") < (k or 0)
        )


def parts(tables: Tables, candidates: pl.DataFrame, *, published: bool) -> Iterator[Finding]:
    """Yield what is found in the split and the candidates.

    Args:
        tables: `interactions`, `train`, `validation` and `test`.
        candidates: schema.CANDIDATES.
        published: a split that was taken as it is, whose parts may overlap.
    """
    train, held = tables[TRAIN], {name: tables[name] for name in (VALIDATION, TEST)}
    if not published:
        every = pl.concat([train, *held.values()])
        kept = tables["interactions"]
        same = every.sort(USER, ITEM).equals(kept.sort(USER, ITEM))
        if not same:
            what = "the rows of all parts are not those of interactions"
            yield Finding("error", "train, validation, test", what, every.height, kept.height)
    elif (again := held[TEST].join(train, on=[USER, ITEM], how="semi")).height:
        what = "rows that are in train as well"
        yield from _some("warning", TEST, what, again, held[TEST].height)
    for name, rows in held.items():
        yield from _cold(name, rows, train)
        drawn = candidates.filter(pl.col(PART) == name).select(USER, ITEM).sort(USER, ITEM)
        # Of users whom train lacks, split may leave out the targets.
        known = rows.join(train, on=USER, how="semi")
        wanted = (part.select(USER, ITEM).sort(USER, ITEM) for part in (rows, known))
        if not any(drawn.equals(pairs) for pairs in wanted):
            what = f"the targets of part {name} are not its rows"
            yield Finding("error", "candidates", what, drawn.height, rows.height)
    n_items = tables["items"].height
    lists = pl.col("negatives").arr
    lost = (lists.min() < 0) | (lists.max() >= n_items) | (lists.n_unique() < lists.len())
    what = "lists with a repeated item, or one that is not there"
    yield from _rows("error", "candidates", what, candidates, lost)


def _times(reviews: pl.DataFrame) -> Iterator[Finding]:
    early, late = pl.col(TIME) < EARLIEST, (pl.col(TIME) < 0) | (pl.col(TIME) >= LATEST)
    yield from _rows("error", "reviews", "times before 1970 or from 2100 on", reviews, late)
    yield from _rows("warning", "reviews", "times before 1995", reviews, early & ~late)
    if 0 < reviews[TIME].null_count() < reviews.height:
        yield from _rows("warning", "reviews", "no time", reviews, pl.col(TIME).is_null())
    last = reviews.drop_nulls(TIME).group_by(USER).agg(pl.col(TIME).top_k(2)).sort(USER)
    tied = (pl.col(TIME).list.len() == 2) & (pl.col(TIME).list.n_unique() == 1)
    what = "whose last two reviews have the same time: the order of the file decides"
    yield from _rows("warning", "users", what, last.select(USER, TIME), tied)


def _missing(items: pl.DataFrame) -> Iterator[Finding]:
    for name in items.columns[1:]:
        without = pl.col(name).is_null()
        if isinstance(items.schema[name], pl.List):
            without |= pl.col(name).list.len() == 0
        rows = items.select(RAW_ID, name)
        for found in _rows("warning", "items", f"without {name}", rows, without):
            # What no item has is not published, and the page says so in its counts.
            if MAX_MISSING * found.of < found.count < found.of:
                yield found


def _cold(part: str, rows: pl.DataFrame, train: pl.DataFrame) -> Iterator[Finding]:
    for name in (USER, ITEM):
        new = rows.join(train, on=name, how="anti")
        yield from _some(
            "warning", part, f"rows of {name}s that train has not", new, rows.height
        )


def _again(*names: str) -> pl.Expr:
    """Return which rows have been there before."""
    return ~pl.struct(names).is_first_distinct()


def _rows(
    level: Literal["error", "warning"],
    table: str,
    what: str,
    rows: pl.DataFrame,
    is_bad: pl.Expr,
) -> Iterator[Finding]:
    yield from _some(level, table, what, rows.filter(is_bad), rows.height)


def _some(
    level: Literal["error", "warning"], table: str, what: str, bad: pl.DataFrame, of: int
) -> Iterator[Finding]:
    if bad.height:
        first = {
            name: value for name, value in bad.row(0, named=True).items() if value is not None
        }
        shown = ", ".join(f"{n} {str(v)[:40]!r}" for n, v in list(first.items())[:4])
        yield Finding(level, table, what, bad.height, of, shown)
