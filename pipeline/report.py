"""The report's page: one HTML file that needs nothing else.

Curves are drawn as SVG in the page, pictures are small JPEG in CSS classes, each stored once.
All text from outside is escaped by Jinja.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from pipeline.io import read_parquet
from pipeline.pictures import open_rgb
from pipeline.schema import (
    IMAGES,
    INTERACTIONS,
    ITEM,
    ITEMS,
    ITEMS_FILE,
    RAW_ID,
    TEST_FILE,
    TITLE,
    TRAIN_FILE,
    USER,
    USERS,
    USERS_FILE,
    VALIDATION_FILE,
)

THUMBNAIL = 96  # pixels
HISTORY_SHOWN = 8  # items that a user chose, the latest
PALETTE = (
    "#2563eb",
    "#d97706",
    "#059669",
    "#dc2626",
    "#7c3aed",
    "#0891b2",
    "#be185d",
    "#65a30d",
)
WIDTH, HEIGHT, LEFT, BOTTOM = 560, 240, 48, 28  # of a chart, in SVG units
Point = tuple[float, float]


@dataclass(frozen=True)
class Gallery:
    """A few users: what they chose, what was held out, what each model would show them."""

    users: list[dict[str, Any]]
    thumbnails: dict[int, str]  # item -> base64 JPEG
    titles: dict[int, str]

    @classmethod
    def read(
        cls,
        processed: Path,
        images: Path,
        lists: dict[str, pl.DataFrame],
        *,
        n_users: int,
        k: int,
    ) -> Gallery:
        """Choose users evenly over activity, and gather what the page shows of them.

        Args:
            processed: data/processed/D.
            images: data/images/D.parquet.
            lists: `{model: schema.RECOMMENDATIONS}`.
            n_users: how many users at most.
            k: items per list.
        """
        train = read_parquet(processed / TRAIN_FILE, INTERACTIONS)
        held = {
            part: dict(read_parquet(processed / file, INTERACTIONS).select(USER, ITEM).rows())
            for part, file in (("validation", VALIDATION_FILE), ("test", TEST_FILE))
        }
        names = dict(read_parquet(processed / USERS_FILE, USERS).select(USER, RAW_ID).rows())
        chosen = _spread(train.filter(pl.col(USER).is_in(list(held["test"]))), n_users)
        rows = {name: table.filter(pl.col(USER).is_in(chosen)) for name, table in lists.items()}
        users = [
            {
                "name": names[user],
                "chosen": _own(train, user, held["validation"].get(user)),
                "validation": held["validation"].get(user),
                "test": held["test"][user],
                "lists": {
                    name: table.filter(pl.col(USER) == user)[ITEM].head(k).to_list()
                    for name, table in rows.items()
                },
            }
            for user in chosen
        ]
        shown = _shown(users)
        items = read_parquet(processed / ITEMS_FILE, ITEMS).filter(pl.col(ITEM).is_in(shown))
        titles = {i: title or raw for i, title, raw in items.select(ITEM, TITLE, RAW_ID).rows()}
        return cls(users, _thumbnails(images, shown), titles)


def page(
    table: dict[str, Any],
    statistics: dict[str, Any],
    histories: dict[str, pl.DataFrame],
    ranks: dict[str, pl.DataFrame],
    gallery: Gallery,
    features: dict[str, dict[str, Any]],
) -> str:
    """Return report.html.

    Args:
        table: comparison.json.
        statistics: statistics.json.
        histories: `{model: schema.HISTORY}`.
        ranks: `{model: schema.RANKS}`.
        gallery: the example users.
        features: `{modality: extractor settings}`.
    """
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined)
    colours = dict(zip(histories, PALETTE * len(histories), strict=False))
    return environment.get_template("report.html.j2").render(
        table=table,
        statistics=statistics,
        features=features,
        gallery=gallery,
        colours=colours,
        learning=chart({name: _learning(rows) for name, rows in histories.items()}),
        hits=chart({name: _hits(rows) for name, rows in ranks.items()}),
    )


def chart(series: dict[str, list[Point]]) -> dict[str, Any]:
    """Return what the template draws of some lines: SVG points and labelled ticks.

    Args:
        series: `{name: (x, y) points}`; y starts at 0.
    """
    everything = [point for points in series.values() for point in points] or [(1.0, 1.0)]
    right = max(x for x, _ in everything)
    top = max(y for _, y in everything) or 1.0

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - 8) * x / right
        return f"{across:.1f},{HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 8) * y / top:.1f}"

    return {
        "size": (WIDTH, HEIGHT, LEFT, BOTTOM),
        "lines": {name: " ".join(place(*p) for p in points) for name, points in series.items()},
        "x": [
            (place(right * n / 4, 0).split(",")[0], f"{right * n / 4:.0f}") for n in range(5)
        ],
        "y": [(place(0, top * n / 4).split(",")[1], f"{top * n / 4:.2f}") for n in range(5)],
    }


def _learning(history: pl.DataFrame) -> list[Point]:
    rows = history.filter((pl.col("phase") == "select") & pl.col("ndcg@10").is_not_null())
    return [(float(x), float(y)) for x, y in rows.select("epoch", "ndcg@10").rows()]


def _hits(ranks: pl.DataFrame) -> list[Point]:
    rank = ranks["rank_sampled"]
    return [(float(k), float((rank < k).sum()) / len(rank)) for k in range(1, 21)]


def _spread(train: pl.DataFrame, n_users: int) -> list[int]:
    """Return users from the least to the most active, evenly over the ranking."""
    order = train.group_by(USER).len().sort("len", USER)[USER].to_list()
    count = min(n_users, len(order))
    return [order[int((place + 0.5) * len(order) / count)] for place in range(count)]


def _own(train: pl.DataFrame, user: int, validation: int | None) -> list[int]:
    """Return the latest training items of a user, without the validation item."""
    rows = train.filter((pl.col(USER) == user) & (pl.col(ITEM) != (validation or -1)))
    items: list[int] = rows[ITEM].to_list()
    return items[-HISTORY_SHOWN:]


def _shown(users: list[dict[str, Any]]) -> list[int]:
    items: set[int] = set()
    for user in users:
        items |= {*user["chosen"], user["test"]}
        items |= set() if user["validation"] is None else {user["validation"]}
        items = items.union(*user["lists"].values())
    return sorted(items)


def _thumbnails(images: Path, items: list[int]) -> dict[int, str]:
    table = read_parquet(images, IMAGES)
    rows = table.filter(pl.col(ITEM).is_in(items) & (pl.col("status") == "ok"))
    return {item: _thumbnail(data) for item, data in rows.select(ITEM, "bytes").rows()}


def _thumbnail(data: bytes) -> str:
    picture = open_rgb(data)
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode("ascii")
