"""The checks of stage `validate`: errors and unusual values in a dataset's tables.

An error means that a later stage would compute wrong results. A warning needs a person's
judgement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from pipeline.tables import schema as s

MAX_MISSING = 0.5  # share of the items without a field, above which there is a warning
EARLIEST, LATEST = 788918400, 4102444800  # 1995-01-01, 2100-01-01; seconds
STARS = (1.0, 5.0)
STAR_FORMATS = ("sample", "amazon2014", "amazon2018", "amazon2023")  # ratings are 1 to 5 stars
Tables = Mapping[str, pl.DataFrame]
Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem, with the number of rows that have it and an example."""

    level: Level
    table: str
    what: str
    count: int
    of: int  # rows checked
    example: str = ""  # the first row


def raw(
    reviews: pl.DataFrame, items: pl.DataFrame, interactions: pl.DataFrame, format_: str
) -> Iterator[Finding]:
    """Check the tables of `ingest`.

    Times and ratings out of range are errors in reviews of pairs that the filters and the core
    left, and warnings in the others.

    Args:
        reviews: schema.REVIEWS.
        items: schema.RAW_ITEMS.
        interactions: of `with_raw_ids`.
        format_: of the source; some formats define the range of ratings.
    """
    where = "reviews"
    for name in (s.USER, s.ITEM):
        empty = pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")
        yield from _rows("error", where, f"rows without {name}", reviews, empty)
    unknown = reviews.join(items, left_on=s.ITEM, right_on=s.RAW_ID, how="anti")
    what = "rows of an item that is not in items"
    yield from _finding("error", where, what, unknown, reviews.height)
    yield from _rows("error", "items", "rows that repeat a raw_id", items, _repeats(s.RAW_ID))
    is_kept = _is_in(reviews, interactions)
    yield from _ranges(reviews.filter(is_kept), format_)
    for finding in _ranges(reviews.filter(~is_kept), ""):
        yield replace(finding, level="warning", what=f"{finding.what}, in no pair that is kept")
    yield from _last_times(reviews)
    if format_ != "published_split":
        same_row = _repeats(s.USER, s.ITEM, s.TIME, s.RATING)
        yield from _rows("warning", where, "repeated rows", reviews, same_row)
        yield from _rows("warning", where, "repeated pairs", reviews, _repeats(s.USER, s.ITEM))
    yield from _missing(items)


def with_raw_ids(tables: Tables) -> dict[str, pl.DataFrame]:
    """Add `raw_user` and `raw_item` to the tables that have a user or an item.

    The numbers of users and items mean nothing to a reader: an example shows the raw ids.

    Args:
        tables: by name; `users` and `items` have the raw ids, and stay as they are.
    """
    named = dict(tables)
    for name in (s.USER, s.ITEM):
        of = tables[f"{name}s"].unique(name).select(name, pl.col(s.RAW_ID).alias(f"raw_{name}"))
        for table in named.keys() - {"users", "items"}:
            named[table] = named[table].join(of, on=name, how="left", maintain_order="left")
    return named


def core(
    tables: Tables, k_user: int | None, k_item: int | None, *, published: bool
) -> Iterator[Finding]:
    """Check `interactions`, `users` and `items`.

    Args:
        tables: the three tables, `with_raw_ids`.
        k_user: minimum interactions per user; None if there is no core.
        k_item: minimum interactions per item; None if there is no core.
        published: whether this is a published split, which has no core.
    """
    interactions = tables["interactions"]
    for name in (s.USER, s.ITEM):
        of = tables[f"{name}s"]
        out_of_order = pl.col(name) != pl.int_range(pl.len())
        yield from _rows("error", f"{name}s", "ids that are not 0, 1, 2, ...", of, out_of_order)
        yield from _rows(
            "error", f"{name}s", "rows that repeat a raw_id", of, _repeats(s.RAW_ID)
        )
        unknown = ~pl.col(name).is_between(0, of.height - 1)
        yield from _rows("error", "interactions", f"rows of no {name}", interactions, unknown)
    if published:
        return
    same_pair = _repeats(s.USER, s.ITEM)
    yield from _rows("error", "interactions", "repeated pairs", interactions, same_pair)
    for name, k in ((s.USER, k_user), (s.ITEM, k_item)):
        counts = interactions.group_by(name, f"raw_{name}").len("n").sort(name)
        too_few = pl.col("n") < (k or 0)
        yield from _rows("error", f"{name}s", f"with fewer than {k} rows", counts, too_few)


def parts(
    tables: Tables, candidates: pl.DataFrame, *, published: bool, cold: bool = False
) -> Iterator[Finding]:
    """Check the split and the candidates.

    Args:
        tables: `interactions`, `train`, `validation`, `test` and `items`, `with_raw_ids`.
        candidates: schema.CANDIDATES.
        published: whether this is a published split, whose parts may overlap.
        cold: whether the split holds out items, which then are in no other part.
    """
    train, held_out = tables[s.TRAIN], {name: tables[name] for name in (s.VALIDATION, s.TEST)}
    if not published:
        rows, interactions = pl.concat([train, *held_out.values()]), tables["interactions"]
        if not rows.sort(s.USER, s.ITEM).equals(interactions.sort(s.USER, s.ITEM)):
            what, n = "the rows of all parts are not those of interactions", interactions.height
            yield Finding("error", "train, validation, test", what, rows.height, n)
    else:
        overlap = held_out[s.TEST].join(train, on=[s.USER, s.ITEM], how="semi")
        what = "rows that are in train as well"
        yield from _finding("warning", s.TEST, what, overlap, held_out[s.TEST].height)
    for name, rows in held_out.items():
        others = [tables[n].select(s.ITEM) for n in (s.TRAIN, *held_out) if n != name]
        yield from _cold(name, rows, train, pl.concat(others) if cold else None)
        targets = (
            candidates.filter(pl.col(s.PART) == name)
            .select(s.USER, s.ITEM)
            .sort(s.USER, s.ITEM)
        )
        # `split` may leave out the targets of users that are not in train.
        warm = rows.join(train, on=s.USER, how="semi")
        pairs = (part.select(s.USER, s.ITEM).sort(s.USER, s.ITEM) for part in (rows, warm))
        if not any(targets.equals(expected) for expected in pairs):
            what = f"the targets of part {name} are not its rows"
            yield Finding("error", "candidates", what, targets.height, rows.height)
    n_items = tables["items"].height
    lists = pl.col("negatives").arr
    is_bad = (lists.min() < 0) | (lists.max() >= n_items) | (lists.n_unique() < lists.len())
    what = "lists with a repeated item, or one that is not there"
    yield from _rows("error", "candidates", what, candidates, is_bad)


def _is_in(reviews: pl.DataFrame, interactions: pl.DataFrame) -> pl.Series:
    """Return whether the pair of each review is among the interactions."""
    raw_ids = pl.col("raw_user", "raw_item").cast(pl.String)
    marked = reviews.select(s.USER, s.ITEM).join(
        interactions.select(raw_ids).unique().with_columns(is_kept=True),
        left_on=[s.USER, s.ITEM],
        right_on=["raw_user", "raw_item"],
        how="left",
        maintain_order="left",
    )
    return marked["is_kept"].fill_null(False)


def _ranges(reviews: pl.DataFrame, format_: str) -> Iterator[Finding]:
    early, late = pl.col(s.TIME) < EARLIEST, (pl.col(s.TIME) < 0) | (pl.col(s.TIME) >= LATEST)
    yield from _rows("error", "reviews", "times before 1970 or from 2100 on", reviews, late)
    yield from _rows("warning", "reviews", "times before 1995", reviews, early & ~late)
    level: Level = "error" if format_ in STAR_FORMATS else "warning"
    low, high = STARS
    is_out = ~pl.col(s.RATING).is_between(low, high) | pl.col(s.RATING).is_nan()
    what = f"ratings outside {low:g} to {high:g}"
    yield from _rows(level, "reviews", what, reviews, is_out)


def _last_times(reviews: pl.DataFrame) -> Iterator[Finding]:
    if 0 < reviews[s.TIME].null_count() < reviews.height:
        yield from _rows("warning", "reviews", "no time", reviews, pl.col(s.TIME).is_null())
    last = reviews.drop_nulls(s.TIME).group_by(s.USER).agg(pl.col(s.TIME).top_k(2)).sort(s.USER)
    tied = (pl.col(s.TIME).list.len() == 2) & (pl.col(s.TIME).list.n_unique() == 1)
    what = "whose last two reviews have the same time: the order of the file decides"
    yield from _rows("warning", "users", what, last.select(s.USER, s.TIME), tied)


def _missing(items: pl.DataFrame) -> Iterator[Finding]:
    for name in items.columns[1:]:
        without = pl.col(name).is_null()
        if isinstance(items.schema[name], pl.List):
            without |= pl.col(name).list.len() == 0
        rows = items.select(s.RAW_ID, name)
        for finding in _rows("warning", "items", f"without {name}", rows, without):
            # A field that no item has is not published; the counts on the page show that.
            if MAX_MISSING * finding.of < finding.count < finding.of:
                yield finding


def _cold(
    part: str, rows: pl.DataFrame, train: pl.DataFrame, others: pl.DataFrame | None
) -> Iterator[Finding]:
    """Check users and items that train lacks; cold items against those of the `others`."""
    if others is not None:
        shared = rows.join(others, on=s.ITEM, how="semi")
        what = "rows of cold items that are in another part"
        yield from _finding("error", part, what, shared, rows.height)
    for name in (s.USER, s.ITEM) if others is None else (s.USER,):
        new = rows.join(train, on=name, how="anti")
        what = f"rows of {name}s that train has not"
        yield from _finding("warning", part, what, new, rows.height)


def _repeats(*names: str) -> pl.Expr:
    """Return whether an earlier row has the same values in these columns."""
    return ~pl.struct(names).is_first_distinct()


def _rows(
    level: Level, table: str, what: str, rows: pl.DataFrame, is_bad: pl.Expr
) -> Iterator[Finding]:
    yield from _finding(level, table, what, rows.filter(is_bad), rows.height)


def _finding(
    level: Level, table: str, what: str, bad: pl.DataFrame, of: int
) -> Iterator[Finding]:
    """Yield a finding if there are bad rows; its example has the first row's first 4 values.

    Raw ids take the place of the numbers of a user and an item, see `with_raw_ids`.
    """
    if bad.height:
        row = bad.row(0, named=True)
        for name in (s.USER, s.ITEM):
            if (raw_id := row.pop(f"raw_{name}", None)) is not None:
                row[name] = raw_id
        values = [f"{n} {str(v)[:40]!r}" for n, v in row.items() if v is not None]
        yield Finding(level, table, what, bad.height, of, ", ".join(values[:4]))
