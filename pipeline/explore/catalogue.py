"""What the pages of `explore` show: users, items, neighbours, lists; found by number or words.

    a dataset's tables, features and results -> dictionaries for pipeline/pages/explorer.html.j2

A tile is (item, note): the note says why the item is there, or how near it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipeline.comparison import report
from pipeline.explore import neighbours
from pipeline.job.errors import RawDataError
from pipeline.tables import schema as s
from pipeline.tables.features import read_features
from pipeline.tables.pictures import open_rgb, read_pictures

FOUND, SHOWN, NEAR = 48, 24, 10  # tiles of a search, of a history, of neighbours
SIDE, QUALITY, KEPT = 320, 85, 2000  # pixels of a picture's longer side; JPEG; kept in memory
Tiles = list[tuple[int, str]]


class Catalogue:
    """A dataset with the results of its models."""

    def __init__(self, material: report.Material, features: Path, images: Path) -> None:
        """Keep the tables; features and pictures are read when they are asked for.

        Args:
            material: of the dataset and the models.
            features: folder of the features.
            images: table of pictures, schema.IMAGES.
        """
        self.material, self.features, self.images = material, features, images
        self.items, self.users = material.items.sort(s.ITEM), material.users.sort(s.USER)
        self.titles = report.labels(self.items, self.items[s.ITEM].to_list())
        self.words = pl.Series([self.titles[item].lower() for item in self.items[s.ITEM]])
        self.taken = pl.concat(
            [table.select(s.USER, s.ITEM) for table in material.parts.values()]
        ).unique(maintain_order=True)
        read_pictures(images, [])  # refuses what is no table of pictures
        good = pl.scan_parquet(images, glob=False).filter(pl.col("status") == "ok")
        self.pictured = set(good.select(s.ITEM).collect()[s.ITEM])
        self.picture = lru_cache(KEPT)(self._picture)
        self.feature = lru_cache(None)(self._feature)

    def search(self, query: str) -> dict[str, Any]:
        """Return users and items whose id begins with the query, or whose title has it.

        Without a query: the report's users, and the items that most took.
        """
        query = query.strip()
        if not query:
            parts, n = self.material.parts, self.material.settings.compare.users
            users = report.chosen_users(parts[s.TRAIN], parts[s.TEST], n)
            popular = (
                self.taken.group_by(s.ITEM).len().sort("len", s.ITEM, descending=[True, False])
            )
            most = [(item, f"{n} users") for item, n in popular.head(FOUND).iter_rows()]
            return {"users": self._named(users), "items": most}
        own = self.users.filter(pl.col(s.RAW_ID).str.starts_with(query)).head(FOUND)
        by_id = self.items[s.RAW_ID].str.starts_with(query)
        by_title = self.words.str.contains(query.lower(), literal=True)
        items = self.items.filter(by_id | by_title).head(FOUND)[s.ITEM].to_list()
        return {"users": self._named(own[s.USER]), "items": [(item, "") for item in items]}

    def user(self, user: int) -> dict[str, Any]:
        """Return what a user chose, and the top of every model's list for them."""
        material = self.material
        past = {part: self._items(table, user) for part, table in material.parts.items()}
        held = {item: part for part in (s.VALIDATION, s.TEST) for item in past[part]}
        train = [item for item in past[s.TRAIN] if item not in past[s.VALIDATION]]
        top = pl.col("position") < material.settings.compare.k
        lists = {
            model: [
                (item, _held(held.get(item))) for item in self._items(table.filter(top), user)
            ]
            for model, table in material.lists.items()
        }
        return {
            "user": user,
            "raw_id": self.users[s.RAW_ID][user],
            "n_train": len(train),
            "chosen": [(item, "") for item in train[-SHOWN:]]
            + [(item, _held(part)) for item, part in held.items()],
            "lists": lists,
            "places": {m: self._place(table, user) for m, table in material.ranks.items()},
        }

    def item(self, item: int) -> dict[str, Any]:
        """Return an item's text, its neighbours by modality, and who took or is shown it."""
        row = self.items.row(item, named=True)
        took = self.taken.filter(pl.col(s.ITEM) == item)[s.USER].unique().sort()
        top = (pl.col("position") < self.material.settings.compare.k) & (pl.col(s.ITEM) == item)
        return {
            "item": item,
            "raw_id": row[s.RAW_ID],
            "description": row[s.DESCRIPTION] or "",
            "n_users": len(took),
            "users": self._named(took.head(SHOWN)),
            "near": {m: self.near(m, item) for m in self._modalities()},
            "shown": {m: t.filter(top).height for m, t in self.material.lists.items()},
        }

    def near(self, modality: str, item: int) -> Tiles | None:
        """Return the items nearest by cosine; None if this one has no such vector."""
        feature, length = self.feature(modality)
        if not length[item]:
            return None
        (found,) = neighbours.nearest(feature, length, np.array([item]), NEAR)
        return [(one.item, f"{one.cosine:.3f}") for one in found]

    def _modalities(self) -> list[str]:
        return list(self.material.settings.dataset_features(self.material.dataset))

    def _feature(self, modality: str) -> tuple[neighbours.Feature, neighbours.Numbers]:
        _, feature, _ = read_features(self.features / f"{modality}.parquet")
        return feature, neighbours.lengths(feature)

    def _picture(self, item: int) -> bytes | None:
        """Return an item's picture as a small JPEG; None where there is none to be had."""
        data = read_pictures(self.images, [item]).get(item)
        try:
            picture = open_rgb(data) if data else None
        except RawDataError:
            picture = None
        if picture is None:
            return None
        picture.thumbnail((SIDE, SIDE))
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue()

    def _named(self, users: Iterable[int]) -> list[tuple[int, str]]:
        return [(user, self.users[s.RAW_ID][user]) for user in users]

    def _items(self, table: pl.DataFrame, user: int) -> list[int]:
        return table.filter(pl.col(s.USER) == user)[s.ITEM].to_list()

    def _place(self, ranks: pl.DataFrame, user: int) -> int | None:
        found = ranks.filter(pl.col(s.USER) == user)["rank_full"].to_list()
        return found[0] if found else None


def _held(part: str | None) -> str:
    return {s.VALIDATION: "validation", s.TEST: "held out"}.get(part or "", "")
