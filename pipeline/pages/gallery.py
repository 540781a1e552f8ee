"""A gallery of users: their items and each model's recommendations, with small pictures.

Titles come from outside: `labels` cleans them, the templates escape them. Pictures are decoded
and written again as small JPEGs.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.params import Params
from pipeline.tables import processed as tables
from pipeline.tables import schema as s
from pipeline.tables.io import read_json, scan_parquet
from pipeline.tables.pictures import open_rgb, read_pictures
from pipeline.tables.results import check_targets, read_lists, read_results

SIDE, QUALITY = 96, 80  # pixels of a thumbnail's longer side; of the JPEG
SHOWN_TRAIN = 24  # a user's latest training items; heavy users have hundreds
MAX_TITLE = 160  # characters
People = list[dict[str, Any]]


@dataclass(frozen=True)
class Material:
    """The tables behind a page, without the pictures."""

    settings: Params
    dataset: str
    statistics: dict[str, Any]
    items: pl.DataFrame
    users: pl.DataFrame
    parts: dict[str, pl.DataFrame]  # train, validation, test
    ranks: dict[str, pl.DataFrame]  # of each model, like the next two
    histories: dict[str, pl.DataFrame]
    lists: dict[str, pl.DataFrame]  # schema.RECOMMENDATIONS
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each model
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each checkpoint


def read(processed: Path, results: Path, settings: Params, dataset: str) -> Material:
    """Read everything but the pictures.

    Raises:
        SchemaError: a file is missing or damaged, or they do not belong together.
    """
    users, items = tables.read_users(processed), tables.read_items(processed)
    sizes = users.height, items.height
    parts = {n: tables.read_part(processed, n, *sizes) for n in tables.PART_FILES}
    of_models = {m: read_results(results / m) for m in settings.models}
    for model, of_model in of_models.items():
        check_targets(of_model, parts, items.height, results / model, dataset)
    return Material(
        settings=settings,
        dataset=dataset,
        statistics=read_json(processed / s.STATISTICS_FILE),
        items=items,
        users=users,
        parts=parts,
        metrics={m: of_model.metrics for m, of_model in of_models.items()},
        ranks={m: of_model.ranks for m, of_model in of_models.items()},
        histories={m: of_model.history for m, of_model in of_models.items()},
        lists={m: read_lists(results / m, users, items, parts) for m in of_models},
        facts={m: of_model.facts for m, of_model in of_models.items()},
    )


def gallery(material: Material) -> People:
    """Return, for each chosen user, their items and each model's recommendations.

    A tile is (item, kind): train, validation, test for a held-out item, or empty.
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
        validation, test = past[s.VALIDATION].get(user, []), past[s.TEST][user]
        train = [item for item in past[s.TRAIN].get(user, []) if item not in validation]
        shown = {m: by_user.get(user, []) for m, by_user in lists.items()}
        kinds = ((train[-SHOWN_TRAIN:], s.TRAIN), (validation, s.VALIDATION), (test, s.TEST))
        people.append(
            {
                "user": user,
                "raw_id": _clean(raw_ids.get(user, "")),
                "n_train": len(train),
                "chosen": [(item, kind) for items, kind in kinds for item in items],
                "lists": {m: [(i, s.TEST * (i in test)) for i in shown[m]] for m in shown},
                "places": {m: places[m].get(user, [None])[0] for m in places},
                "recommended_by": [m for m in shown if set(shown[m]) & set(test)],
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


def pictures(material: Material, images: Path, items: set[int]) -> dict[int, bytes]:
    """Return the picture files of items; none for a dataset whose features read no pictures.

    Such a dataset needs no table of pictures.
    """
    return (
        read_pictures(images, items) if material.settings.reads_images(material.dataset) else {}
    )


def labels(items: pl.DataFrame, shown: Iterable[int]) -> dict[int, str]:
    """Return a text for each item: its title, else its id and its first tokens."""
    columns = [name for name in items.columns if name.endswith("_tokens")]
    texts = {}
    for row in items.filter(pl.col(s.ITEM).is_in(sorted(shown))).iter_rows(named=True):
        words = " ".join(str(word) for name in columns for word in (row[name] or [])[:4])
        tokens = f", tokens {words}" if words else ""
        title = _clean(row[s.TITLE] or "")
        texts[row[s.ITEM]] = title or _clean(f"item {row[s.RAW_ID]}{tokens}")
    return texts


def thumbnails(pictures: Mapping[int, bytes]) -> dict[int, str]:
    """Return picture files as small JPEGs in base64, without those that cannot be decoded."""
    small = {item: small_jpeg(pictures[item]) for item in sorted(pictures)}
    return {item: base64.b64encode(data).decode() for item, data in small.items() if data}


def small_jpeg(data: bytes, side: int = SIDE, quality: int = QUALITY) -> bytes | None:
    """Return a picture file as a JPEG of at most `side` pixels; None if it is damaged."""
    try:
        picture = open_rgb(data)
    except RawDataError:
        return None
    picture.thumbnail((side, side))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def pictured(images: Path) -> set[int]:
    """Return the items that have a picture, without loading it.

    Raises:
        SchemaError: the table is absent or is not schema.IMAGES.
    """
    rows = scan_parquet(images, s.IMAGES).filter(pl.col("status") == "ok")
    return set(rows.select(s.ITEM).collect()[s.ITEM])


def _by_user(table: pl.DataFrame, users: list[int], column: str) -> dict[int, list[int]]:
    """Return each user's values of `column` in the order of the table."""
    rows = table.filter(pl.col(s.USER).is_in(users)).group_by(s.USER, maintain_order=True)
    return dict(rows.agg(column).iter_rows())


def _clean(text: str) -> str:
    """Return one printable line of at most `MAX_TITLE` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1].rstrip()}…"
