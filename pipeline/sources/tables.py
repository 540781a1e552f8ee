"""Format `tables`: the user's own interactions and items, under any column names.

    interactions    .csv, .tsv, .jsonl (each also as .gz) or .parquet: a row per interaction
    items           likewise: a row per item
    pictures        a folder, or a .zip or .tar archive

Files are read in batches, of which only the columns in `columns` and `fields` are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import polars.selectors as cs

from pipeline import params
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.published.tables import file_name
from pipeline.sources import columns as c
from pipeline.sources.raw import OWN, FileCounts, Ledger, Tables, empty_columns, quoted
from pipeline.sources.records import LINE
from pipeline.sources.stream import Stream, completed
from pipeline.sources.table_files import Names, TableFile, scan
from pipeline.sources.values import LATEST
from pipeline.tables import schema as s

UNPARSED = "unparsed {}"  # the text of a column before it is parsed
ID = "an id"
TIMES = {
    "s": "a time in seconds since 1970",
    "ms": "a time in milliseconds since 1970",
    "iso": "a date, or a date and time, in ISO 8601, from 1970 to 2099",
}
DATES = (19700101, 20991231)  # as YYYYMMDD; as seconds, they are days of August 1970


def read(source: params.TablesSource, folder: Path, ledger: Ledger) -> Tables:
    """Read the interactions and their items into memory; see `stream`."""
    return stream(source, folder, ledger).tables()


def stream(source: params.TablesSource, folder: Path, ledger: Ledger) -> Stream:
    """Read the interactions and their items; the arguments are those of every `Reader`.

    Bad lines are records that lack an id or a time, or have something else in place of a
    number, and lines that are no record. A flag that is not understood is null, and counted.

    Returns:
        Reviews in the order of the file, with `verified` if `columns` has it. Items sorted by
        raw_id, unique (the first row counts), with the columns of `fields` after the usual
        ones; nulls where an item has no row. Reading raises RawDataError if a file does not
        exist or is damaged, lacks a column, or has too many bad lines.
    """

    def items(reviewed: pl.Series, work: Path) -> Iterator[pl.DataFrame]:
        columns, metadata = s.RAW_ITEMS, iter([pl.DataFrame(schema=s.RAW_ITEMS)])
        if source.items is not None:
            columns, metadata = _items(source, folder / file_name(source.items), ledger)
        yield from completed(metadata, columns, reviewed, work, ledger)

    names, counts = source.columns, ledger.of(folder / file_name(source.interactions), OWN)
    wanted = {
        s.USER: names.user,
        s.ITEM: names.item,
        s.TIME: names.timestamp,
        s.RATING: names.rating,
        s.VERIFIED: names.verified,
    }
    return Stream(interactions(counts, wanted, source.time, folder.name), items)


def interactions(
    counts: FileCounts, wanted: Names, unit: c.Unit, dataset: str
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file of interactions, with `verified` if it is wanted; see `stream`.

    Args:
        counts: of the file.
        wanted: the columns; `part` has the labels of `columns.PARTS`.
        unit: of the times.
        dataset: its name, for the messages.
    """
    expected = {s.USER: ID, s.ITEM: ID, s.TIME: TIMES[unit], s.RATING: "a number"}
    expected |= {s.PART: c.LABEL} if wanted.get(s.PART) else {}
    table = scan(counts, wanted, scalars=expected)
    for name in (s.USER, s.ITEM):
        c.check_ids(str(wanted[name]), table.schema[name], counts.file)
    for name, kind in table.schema.items():
        c.check_scalars(str(wanted[name]), kind, counts.file)
    if s.TIME in table.schema:
        c.check_times(str(wanted[s.TIME]), table.schema[s.TIME], counts.file, unit)
    columns = [*s.REVIEWS, *([s.VERIFIED] if wanted.get(s.VERIFIED) else [])]
    hints = {s.TIME: partial(c.time_hint, unit=unit, key=f"sources.{dataset}.time")}
    times: list[int | None] = []  # the first and the last of each batch
    for batch in table.batches:
        rows = _without_header(_parsed(batch, table, unit), counts, wanted)
        good = _without_bad(rows, counts, expected, wanted, hints)
        _count_flags(good, counts, wanted)
        times += [good[s.TIME].min(), good[s.TIME].max()]  # type: ignore[list-item]
        yield good.select(columns)
    _check_rows(counts, wanted)
    _check_unit(
        [time for time in times if time is not None],
        unit,
        f"{counts.file}: expected {TIMES[unit]}, since sources.{dataset}.time is",
    )


def _check_unit(times: Sequence[int], unit: c.Unit, expected: str) -> None:
    """Refuse times that are all in another unit, by the first and the last of them."""
    if unit == "ms" and 0 < max(times, default=0) < LATEST // 1000:
        raise RawDataError(
            f"{expected} ms, got none after February 1970; write `time: s` if they are seconds"
        )
    if unit == "s" and times and DATES[0] <= min(times) and max(times) <= DATES[1]:
        raise RawDataError(
            f"{expected} s, got {min(times)} to {max(times)}, which look like dates; write "
            "`time: iso` if they are"
        )


def _parsed(batch: pl.DataFrame, table: TableFile, unit: c.Unit) -> pl.DataFrame:
    """Return schema.REVIEWS, `verified`, `LINE`, and the text of each column of the file."""
    kinds = table.schema
    if s.VERIFIED in kinds and kinds[s.VERIFIED].is_float():
        batch = batch.with_columns(pl.col(s.VERIFIED).fill_nan(None))
    texts = batch.select(c.stripped(name, kind) for name, kind in kinds.items())
    parsed = [c.identifiers(texts[name], kinds[name]) for name in (s.USER, s.ITEM)]
    if s.TIME in kinds:
        has_times = kinds[s.TIME].is_temporal()
        parsed.append(c.seconds((batch if has_times else texts)[s.TIME], unit))
    if s.RATING in kinds:
        parsed.append(c.ratings(texts[s.RATING]))
    if s.VERIFIED in kinds:
        parsed.append(c.flags(texts[s.VERIFIED]))
    if s.PART in kinds:
        parsed.append(c.parts(texts[s.PART]))
    absent = [name for name in s.REVIEWS if name not in kinds]
    texts = texts.select(pl.all().name.map(UNPARSED.format))
    return batch.select(LINE).with_columns(
        *parsed, *texts.get_columns(), *empty_columns(*absent)
    )


def _items(
    source: params.TablesSource, path: Path, ledger: Ledger
) -> tuple[s.Columns, Iterator[pl.DataFrame]]:
    """Return the types of the columns of the items, and the batches."""
    names, counts = source.columns, ledger.of(path, OWN)
    wanted = {s.RAW_ID: names.raw_id or names.item}
    wanted |= {name: getattr(names, name) for name in s.RAW_ITEMS if name != s.RAW_ID}
    if reserved := sorted(set(wanted) & set(source.fields)):
        raise ParamsError(
            f"params.yaml: sources.{path.parent.name}.fields: expected names other than "
            f"{list(s.RAW_ITEMS)}, got {reserved}; name the column in `columns`"
        )
    wanted |= {name: name for name in source.fields}
    table = scan(counts, wanted, source.fields)
    c.check_ids(str(wanted[s.RAW_ID]), table.schema[s.RAW_ID], path)
    for name in table.schema.keys() - {s.RAW_ID}:
        c.check_text(str(wanted[name]), table.schema[name], path, is_list=name in source.fields)
    types: s.Columns = {
        name: pl.List(pl.String) if isinstance(table.schema.get(name), pl.List) else pl.String()
        for name in wanted
    }
    return types, _item_batches(source, table, counts, wanted)


def _item_batches(
    source: params.TablesSource, table: TableFile, counts: FileCounts, wanted: Names
) -> Iterator[pl.DataFrame]:
    filled = pl.element().cast(pl.String).filter(pl.element().cast(pl.String) != "")
    texts = [
        pl.col(name).list.eval(filled) if isinstance(kind, pl.List) else c.stripped(name, kind)
        for name, kind in table.schema.items()
    ]
    absent = empty_columns(*(name for name in wanted if name not in table.schema))
    for batch in table.batches:
        # NaN is what other programs write in a column of numbers where there is none.
        batch = batch.with_columns((cs.float() - cs.by_name(s.RAW_ID)).fill_nan(None))
        rows = batch.select(LINE, *texts, *absent)
        ids = c.identifiers(rows[s.RAW_ID], table.schema[s.RAW_ID])
        rows = rows.with_columns(ids, rows[s.RAW_ID].alias(UNPARSED.format(s.RAW_ID)))
        good = _without_bad(rows, counts, {s.RAW_ID: ID}, wanted, {})
        yield good.select(list(wanted)).with_columns(_image(source.pictures))
    _check_rows(counts, wanted)


def _image(pictures: str | None) -> pl.Expr:
    """Return the column `image`: addresses unchanged, paths below the folder of pictures."""
    image = pl.col(s.IMAGE)
    if pictures is None:
        return image
    path = pl.concat_str(pl.lit(f"{pictures}/"), image)
    is_address = image.str.contains(r"^(?i)https?://")
    return pl.when(is_address).then(image).otherwise(path).alias(s.IMAGE)


def _without_header(rows: pl.DataFrame, counts: FileCounts, wanted: Names) -> pl.DataFrame:
    """Drop the header where it is repeated, as in joined files, and count it as a bad line."""
    texts = (pl.col(UNPARSED.format(name)) for name in (s.USER, s.ITEM))
    user, item = (text.str.strip_prefix("\ufeff") for text in texts)
    is_header = ((user == wanted[s.USER]) & (item == wanted[s.ITEM])).fill_null(False)
    for line in rows.filter(is_header)[LINE]:
        counts.reject(line, quoted(str(wanted[s.USER])), "a record, not the header again")
    return rows.filter(~is_header)


def _without_bad(
    rows: pl.DataFrame,
    counts: FileCounts,
    required: Mapping[str, str],
    wanted: Names,
    hints: Mapping[str, Callable[[str], str]],
) -> pl.DataFrame:
    """Drop the rows without a required value, and count them as bad lines, the first one first.

    A rating may be absent, but not be something else than a number.
    """
    bad: list[tuple[int, str, str]] = []  # line, name, text
    good = rows
    for name in required:
        if wanted[name] is not None and good[name].null_count():
            is_bad = pl.col(name).is_null()
            if name == s.RATING:
                is_bad &= pl.col(UNPARSED.format(name)).is_not_null()
            found = good.filter(is_bad).select(LINE, pl.lit(name), UNPARSED.format(name))
            bad += found.iter_rows()
            good = good.filter(~is_bad)
    for line, name, text in sorted(bad):
        where = f"column {wanted[name]!r}"
        where += f" of row {line}" if counts.file.suffix == ".parquet" else ""
        hint = hints[name](text) if text and name in hints else ""
        counts.reject(line, quoted(text or ""), f"{required[name]} in {where}", hint)
    return good


def _count_flags(rows: pl.DataFrame, counts: FileCounts, wanted: Names) -> None:
    """Count the flags, and those that are neither true nor false."""
    if wanted.get(s.VERIFIED) is None:
        return
    text, name = pl.col(UNPARSED.format(s.VERIFIED)), f"column {wanted[s.VERIFIED]!r}"
    unclear = rows.filter(pl.col(s.VERIFIED).is_null() & text.is_not_null())
    counts.present({name: rows.select(text.count()).item()})
    if unclear.height:
        counts.not_understood(name, unclear.select(LINE, text).rows())


def _check_rows(counts: FileCounts, wanted: Names) -> None:
    if not counts.n_rows:
        raise RawDataError(
            f"{counts.file}: expected rows with {sorted(filter(None, wanted.values()))}, got "
            "none"
        )
