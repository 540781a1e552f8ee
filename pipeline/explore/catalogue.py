"""What the explorer shows: users, items, neighbours, lists; found by id or title.

    a dataset's tables, features and results -> dictionaries for pipeline/pages/explorer.html.j2

A tile is (item, note); the note is the number of users, the cosine, or the part of the split.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.explore import neighbours
from pipeline.pages import gallery
from pipeline.tables import schema as s
from pipeline.tables.features import read_features
from pipeline.tables.pictures import read_pictures

MAX_RESULTS, MAX_HISTORY, N_NEIGHBOURS = 48, 24, 10
SIDE, QUALITY, KEPT = 320, 85, 2000  # pixels of a picture's longer side; JPEG; kept in memory
HELD_OUT = {s.VALIDATION: "validation", s.TEST: "held out"}
Tiles = list[tuple[int, str]]


class Catalogue:
    """A dataset with the results of its models."""

    def __init__(self, material: gallery.Material, features: Path, images: Path) -> None:
        """Keep the tables; features and pictures are read on demand.

        Args:
            material: of the dataset and the models.
            features: folder of the features.
            images: table of pictures, schema.IMAGES.
        """
        self.material, self.features, self.images = material, features, images
        self.items, self.users = material.items.sort(s.ITEM), material.users.sort(s.USER)
        self.titles = gallery.labels(self.items, self.items[s.ITEM].to_list())
        self.lower = pl.Series([self.titles[item].lower() for item in self.items[s.ITEM]])
        parts = [table.select(s.USER, s.ITEM) for table in material.parts.values()]
        self.interactions = pl.concat(parts).unique(maintain_order=True)
        self.pictured = gallery.pictured(images)
        self.picture = lru_cache(KEPT)(self._picture)
        self.feature = cache(self._feature)

    def search(self, query: str) -> dict[str, Any]:
        """Return users and items whose id begins with the query, or whose title contains it.

        Without a query: the report's users, and the most popular items.
        """
        query = query.strip()
        if not query:
            return self._start()
        users = self.users.filter(pl.col(s.RAW_ID).str.starts_with(query)).head(MAX_RESULTS)
        by_id = self.items[s.RAW_ID].str.starts_with(query)
        by_title = self.lower.str.contains(query.lower(), literal=True)
        items = self.items.filter(by_id | by_title).head(MAX_RESULTS)[s.ITEM].to_list()
        return {"users": self._with_id(users[s.USER]), "items": [(item, "") for item in items]}

    def user(self, user: int) -> dict[str, Any]:
        """Return a user's items, and the top of every model's list for them."""
        material = self.material
        past = {part: _items(table, user) for part, table in material.parts.items()}
        notes = {item: HELD_OUT[part] for part in HELD_OUT for item in past[part]}
        train = [item for item in past[s.TRAIN] if item not in past[s.VALIDATION]]
        lists = {m: _items(self._top(table), user) for m, table in material.lists.items()}
        return {
            "user": user,
            "raw_id": self.users[s.RAW_ID][user],
            "n_train": len(train),
            "chosen": [*((item, "") for item in train[-MAX_HISTORY:]), *notes.items()],
            "lists": {m: [(i, notes.get(i, "")) for i in items] for m, items in lists.items()},
            "places": {m: _place(table, user) for m, table in material.ranks.items()},
        }

    def item(self, item: int) -> dict[str, Any]:
        """Return an item's text, its neighbours by modality, its users, its recommendations."""
        material, row = self.material, self.items.row(item, named=True)
        is_item = pl.col(s.ITEM) == item
        users = self.interactions.filter(is_item)[s.USER].unique().sort()
        modalities = material.settings.dataset_features(material.dataset)
        return {
            "item": item,
            "raw_id": row[s.RAW_ID],
            "description": row[s.DESCRIPTION] or "",
            "n_users": len(users),
            "users": self._with_id(users.head(MAX_HISTORY)),
            "near": {modality: self.near(modality, item) for modality in modalities},
            "shown": {
                m: self._top(t).filter(is_item).height for m, t in material.lists.items()
            },
        }

    def near(self, modality: str, item: int) -> Tiles | None:
        """Return the nearest items by cosine; None if this one has no vector or a zero one."""
        feature, length = self.feature(modality)
        if not length[item]:
            return None
        (row,) = neighbours.nearest(feature, length, np.array([item]), N_NEIGHBOURS)
        return [(near.item, f"{near.cosine:.3f}") for near in row]

    def _start(self) -> dict[str, Any]:
        parts, n = self.material.parts, self.material.settings.compare.users
        users = gallery.chosen_users(parts[s.TRAIN], parts[s.TEST], n)
        counts = self.interactions.group_by(s.ITEM).len()
        popular = counts.sort("len", s.ITEM, descending=[True, False]).head(MAX_RESULTS)
        tiles = [(item, f"{n} users") for item, n in popular.iter_rows()]
        return {"users": self._with_id(users), "items": tiles}

    def _top(self, lists: pl.DataFrame) -> pl.DataFrame:
        return lists.filter(pl.col("position") < self.material.settings.compare.k)

    def _feature(self, modality: str) -> tuple[neighbours.Feature, neighbours.Numbers]:
        _, feature, _ = read_features(self.features / f"{modality}.parquet")
        return feature, neighbours.lengths(feature)

    def _picture(self, item: int) -> bytes | None:
        """Return an item's picture as a small JPEG; None if it has none or it is damaged."""
        data = read_pictures(self.images, [item]).get(item)
        return gallery.small_jpeg(data, SIDE, QUALITY) if data else None

    def _with_id(self, users: Iterable[int]) -> list[tuple[int, str]]:
        return [(user, self.users[s.RAW_ID][user]) for user in users]


def _items(table: pl.DataFrame, user: int) -> list[int]:
    return table.filter(pl.col(s.USER) == user)[s.ITEM].to_list()


def _place(ranks: pl.DataFrame, user: int) -> int | None:
    places = ranks.filter(pl.col(s.USER) == user)["rank_full"].to_list()
    return places[0] if places else None
