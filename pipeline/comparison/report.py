"""The page of stage `compare`: what was run, how it went, what the users would be shown.

    comparison, data/processed/D, results/D/M, pictures -> one self-contained HTML text

Titles come from strangers: the template escapes every text. Pictures become small JPEGs, each
once, as the background of a CSS class. The page has no script and asks for nothing.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.pages import template
from pipeline.params import Params
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, read_parquet
from pipeline.tables.pictures import open_rgb

SIDE, QUALITY = 96, 80  # pixels of a thumbnail's longer side; of the JPEG
SHOWN_TRAIN = 24  # a user's latest training items; heavy users have hundreds
MAX_TITLE = 160  # characters
TOP = 20  # largest k of the hit-ratio curves
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


def render(
    table: dict[str, Any], material: Material, people: People, pictures: Mapping[int, bytes]
) -> str:
    """Return the page.

    Args:
        table: the content of comparison.json.
        material: of the same dataset and models.
        people: the `gallery`.
        pictures: files of `items_shown`, where there are any.
    """
    small = {item: code for item in sorted(pictures) if (code := thumbnail(pictures[item]))}
    return template.render(
        "report",
        table=table,
        material=material,
        period=_period(material.parts),
        people=people,
        labels=labels(material.items, items_shown(people)),
        thumbnails=small,
        charts=[chart for chart in charts(material) if chart["points"]],
        short=short,
        rule=rule,
        latest=SHOWN_TRAIN,
    )


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


def charts(material: Material) -> list[dict[str, Any]]:
    """Return the curves of training and of HR@k, as points and round ticks."""
    chosen = pl.col("phase") == "select"
    runs = {m: history.filter(chosen) for m, history in material.histories.items()}
    found = []
    for title, column in (("Training loss", "loss"), ("NDCG@10 during training", "ndcg@10")):
        lines = {m: h.select("epoch", column).drop_nulls().rows() for m, h in runs.items()}
        found.append(_chart(title, "epoch", lines))
    for part, ranks in (("sampled", "rank_sampled"), ("full", "rank_full")):
        hits = {
            m: [(k, (rows[ranks] < k).sum() / rows.height) for k in range(1, TOP + 1)]
            for m, rows in material.ranks.items()
        }
        found.append(_chart(f"HR@k, {part}", "k", hits))
    return found


def short(name: str) -> str:
    """Return a metric's column title: `N@5` for `ndcg@5`."""
    return name.replace("ndcg", "N").replace("hr", "HR")


def rule(row: Mapping[str, Any]) -> str:
    """Return in words what chose a model's epoch, and what it was trained on."""
    again = "trained again on" if row["refit"] else "trained on"
    return f"{row['selected_on']}, {again} {row['trained_on'] or s.TRAIN}"


def _chart(title: str, x: str, lines: dict[str, list[Any]]) -> dict[str, Any]:
    points = [point for line in lines.values() for point in line]
    xs, ys = zip(*points or [(1, 1)], strict=True)
    axes = {"right": max(xs), "xs": _ticks(0, max(xs)), "ys": _ticks(min(0, *ys), max(ys))}
    return {"title": title, "x": x, "lines": lines, "points": len(points)} | axes


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers that enclose [low, high]."""
    rough = (high - low) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 10) for n in range(first, last + 1)]


def _by_user(table: pl.DataFrame, users: list[int], column: str) -> dict[int, list[int]]:
    """Return each user's values of `column` in the order of the table."""
    rows = table.filter(pl.col(s.USER).is_in(users)).group_by(s.USER, maintain_order=True)
    return dict(rows.agg(column).iter_rows())


def _clean(text: str) -> str:
    """Make one line of a stranger's text: no control signs, no endless title."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1].rstrip()}…"


def _period(parts: Mapping[str, pl.DataFrame]) -> tuple[str, str] | None:
    """Return the first and last day of the interactions, or None without time stamps."""
    times = pl.concat([table[s.TIME] for table in parts.values()]).drop_nulls().sort()
    days = pl.from_epoch(times).dt.to_string("%Y-%m-%d")
    return None if days.is_empty() else (days[0], days[-1])
