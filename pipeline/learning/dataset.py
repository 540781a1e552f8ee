"""The processed tables, the features and the tokens as tensors."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from model.data import Interactions
from pipeline.job.errors import SchemaError
from pipeline.tables import processed
from pipeline.tables import schema as s
from pipeline.tables.features import has_features, read_features
from pipeline.tables.tokens import read_tokens, tokens_path


class Dataset:
    """The processed tables of a dataset; the test interactions are never read."""

    def __init__(self, folder: Path) -> None:
        """Read train, validation, and the raw ids of users and items.

        Raises:
            SchemaError: a table is missing or damaged, or they do not belong together.
        """
        self.folder = folder
        self.users, self.items = processed.read_users(folder), processed.read_items(folder)
        self.n_users, self.n_items = self.users.height, self.items.height
        self.train, self.validation = (self.part(name) for name in (s.TRAIN, s.VALIDATION))

    def part(self, name: str) -> pl.DataFrame:
        """Read `user` and `item` of a part; only the stages that may see test ask for it."""
        rows = processed.read_part(self.folder, name, self.n_users, self.n_items)
        return rows.select(s.USER, s.ITEM)

    def digests(self) -> dict[str, str]:
        """Return the sha256 of the ids in each file that a model is trained on."""
        return {
            s.USERS_FILE: processed.digest(self.users),
            s.ITEMS_FILE: processed.digest(self.items),
            s.TRAIN_FILE: processed.digest(self.train),
            s.VALIDATION_FILE: processed.digest(self.validation),
        }

    def pairs(self, *, validation: bool) -> Interactions:
        """Return the training pairs, with or without the validation items.

        A published split lists its validation pairs in train too; all copies are left out.
        """
        train_only = self.train.join(self.validation, on=[s.USER, s.ITEM], how="anti")
        if not validation:
            return self._interactions(train_only)
        if train_only.height < self.train.height:
            return self._interactions(self.train)
        return self._interactions(pl.concat([self.train, self.validation]))

    def candidates(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return users (R,), targets (R,) and negatives (R, N) of a part's R rows, int64.

        Raises:
            SchemaError: the file is missing or damaged, or was drawn for other parts.
        """
        sizes = self.n_users, self.n_items
        rows = processed.read_candidates(self.folder, part, *sizes)
        parts = {s.TRAIN: self.train, s.VALIDATION: self.validation}
        processed.check_same_split(self.folder, parts)
        return tensor(rows[s.USER]), tensor(rows[s.ITEM]), tensor(rows["negatives"])

    def split(self) -> dict[str, Any]:
        """Return the split's method; `{}` for leave-one-out and published splits."""
        return processed.read_split(self.folder)

    def pool(self, part: str) -> Tensor | None:
        """Return the items that a part's full ranking lists, (I,) bool; None for all.

        With cold items these are the part's own.
        """
        if not self._has_cold_items:
            return None
        pool = torch.zeros(self.n_items, dtype=torch.bool)
        pool[tensor(self.part(part)[s.ITEM])] = True
        return pool

    @cached_property
    def _has_cold_items(self) -> bool:
        return processed.is_cold(self.split())

    def _interactions(self, rows: pl.DataFrame) -> Interactions:
        return Interactions(
            tensor(rows[s.USER]),
            tensor(rows[s.ITEM]),
            n_users=self.n_users,
            n_items=self.n_items,
            cold_items=self._has_cold_items,
        )


def tensor(column: pl.Series) -> Tensor:
    """Return an integer column as int64, (n,) or (n, width)."""
    return torch.from_numpy(column.to_numpy().astype("int64"))


def load_features(folder: Path, modalities: list[str], n_items: int) -> dict[str, Tensor]:
    """Return `{modality: (I, width) float32}` in the given order.

    Raises:
        SchemaError: a file is absent, or the number of rows is not that of the items.
    """
    return {m: _load(folder / f"{m}.parquet", n_items) for m in modalities}


def load_tokens(folder: Path, kinds: list[str], n_items: int) -> dict[str, Tensor]:
    """Return `{kind: (E, 2) int64}`, pairs of item and token, in the given order.

    Args:
        folder: of the dataset's features; see `tables.tokens.tokens_path`.
        kinds: to read; the file is not opened for none.
        n_items: I.

    Raises:
        SchemaError: the file is absent or damaged, lacks a kind, or is of other items.
    """
    pairs = read_tokens(tokens_path(folder), kinds, n_items) if kinds else {}
    return {kind: torch.from_numpy(rows) for kind, rows in pairs.items()}


def load_present_features(
    folder: Path, modalities: Iterable[str], n_items: int
) -> dict[str, Tensor]:
    """Return `load_features` of the modalities whose file is there and has rows."""
    paths = {modality: folder / f"{modality}.parquet" for modality in modalities}
    there = [m for m, path in paths.items() if path.exists() and has_features(path)]
    return load_features(folder, there, n_items)


def _load(path: Path, n_items: int) -> Tensor:
    _, feature, _ = read_features(path)
    if len(feature) != n_items:
        raise SchemaError(
            f"{path}: expected {n_items} rows, one per item, got {len(feature)}; run the stage "
            "features again"
        )
    return torch.from_numpy(feature)
