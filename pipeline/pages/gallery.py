"""The gallery of pages: what users chose, and what each model recommends them.

Titles are text from outside: templates escape them. Pictures become small JPEGs.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.params import Params
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, read_parquet
from pipeline.tables.pictures import open_rgb

SIDE, QUALITY = 96, 80  # pixels of a thumbnail's longer side; of the JPEG
SHOWN_TRAIN = 24  # a user's latest training items; heavy users have hundreds
MAX_TITLE = 160  # characters
People = list[dict[str, Any]]


@dataclass(frozen=True)
class Material:
    """What the page is made of, next to the comparison and the pictures."""

    settings: Params
    dataset: str
    statistics: dict[str, Any]
    items: pl.DataFrame
    users: pl.DataFrame
    parts: dict[str, pl.DataFrame]  # train, validation, test
    ranks: dict[str, pl.DataFrame]  # of each model, like the next two
    histories: dict[str, pl.DataFrame]
    lists: dict[str, pl.DataFrame]  # schema.RECOMMENDATIONS


def read(processed: Path, results: Path, settings: Params, dataset: str) -> Material:
    """Read everything but the pictures.

    Raises:
        SchemaError: a file is absent or is not the expected table.
    """
    models = {model: results / model for model in settings.models}
    files = {s.TRAIN: s.TRAIN_FILE, s.VALIDATION: s.VALIDATION_FILE, s.TEST: s.TEST_FILE}
    return Material(
        settings=settings,
        dataset=dataset,
        statistics=read_json(processed / s.STATISTICS_FILE),
        items=read_parquet(processed / s.ITEMS_FILE, s.ITEMS),
        users=read_parquet(processed / s.USERS_FILE, s.USERS),
        parts={n: read_parquet(processed / f, s.INTERACTIONS) for n, f in files.items()},
        ranks={m: read_parquet(p / s.RANKS_FILE, s.RANKS) for m, p in models.items()},
        histories={m: read_parquet(p / s.HISTORY_FILE, s.HISTORY) for m, p in models.items()},
        lists={
            m: read_parquet(p / s.RECOMMENDATIONS_FILE, s.RECOMMENDATIONS)
            for m, p in models.items()
        },
    )


def gallery(material: Material) -> People:
    """Return, for each chosen user, what they chose and what each model would show them.

    A tile is (item, kind): train, validation, test for the held-out item, or empty.
    """
    parts = material.parts
    users = chosen_users(parts[s.TRAIN], parts[s.TEST], material.settings.compare.users)
    raw_ids = dict(material.users.select(s.USER, s.RAW_ID).iter_rows())
    past = {part: _by_user(table, users, s.ITEM) for part, table in parts.items()}
    top = pl.col("position") < material.settings.compare.k
    lists = {m: _by_user(t.filter(top), users, s.ITEM) for m, t in material.lists.items()}
    places = {m: _by_user(t, users, "rank_full") for m, t in material.ranks.items()}
    people = []
    for user in users:
        held, target = past[s.VALIDATION].get(user, []), past[s.TEST][user]
        train = [item for item in past[s.TRAIN].get(user, []) if item not in held]
        shown = {m: by_user.get(user, []) for m, by_user in lists.items()}
        kinds = ((train[-SHOWN_TRAIN:], s.TRAIN), (held, s.VALIDATION), (target, s.TEST))
        people.append(
            {
                "user": user,
                "raw_id": _clean(raw_ids.get(user, "")),
                "n_train": len(train),
                "chosen": [(item, kind) for items, kind in kinds for item in items],
                "lists": {m: [(i, s.TEST * (i in target)) for i in shown[m]] for m in shown},
                "places": {m: places[m].get(user, [None])[0] for m in places},
                "found": [m for m in shown if set(shown[m]) & set(target)],
            }
        )
    return people


def chosen_users(train: pl.DataFrame, test: pl.DataFrame, n: int) -> list[int]:
    """Return up to `n` test users, spread evenly from the least to the most active."""
    counts = train.group_by(s.USER).len()
    users = test.select(s.USER).unique().join(counts, on=s.USER, how="left")
    ordered = users.sort(pl.col("len").fill_null(0), s.USER)[s.USER].to_list()
    last, n = len(ordered) - 1, min(n, len(ordered))
    return [ordered[place * last // max(n - 1, 1)] for place in range(n)]


def items_shown(people: People) -> set[int]:
    """Return the items of a gallery."""
    rows = (row for person in people for row in (person["chosen"], *person["lists"].values()))
    return {item for row in rows for item, _ in row}


def thumbnail(data: bytes) -> str | None:
    """Return a picture file as a small JPEG in base64, or None if it cannot be decoded."""
    try:
        picture = open_rgb(data)
    except RawDataError:
        return None
    picture.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def labels(items: pl.DataFrame, shown: Iterable[int]) -> dict[int, str]:
    """Return a text for each item: its title, else its id and its first tokens."""
    tokens = [name for name in items.columns if name.endswith("_tokens")]
    found = {}
    for row in items.filter(pl.col(s.ITEM).is_in(sorted(shown))).iter_rows(named=True):
        words = " ".join(str(word) for name in tokens for word in (row[name] or [])[:4])
        some = f", tokens {words}" if words else ""
        found[row[s.ITEM]] = _clean(row[s.TITLE] or "") or _clean(f"item {row[s.RAW_ID]}{some}")
    return found


def _by_user(table: pl.DataFrame, users: list[int], column: str) -> dict[int, list[int]]:
    """Return each user's values of `column` in the order of the table."""
    rows = table.filter(pl.col(s.USER).is_in(users)).group_by(s.USER, maintain_order=True)
    return dict(rows.agg(column).iter_rows())


def _clean(text: str) -> str:
    """Make one line of a stranger's text: no control signs, no endless title."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1].rstrip()}…"
