"""The processed tables and the features as tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from model.data import Interactions
from pipeline.job.errors import SchemaError
from pipeline.tables import schema as s
from pipeline.tables.features import read_features
from pipeline.tables.io import read_metadata, read_parquet


class Dataset:
    """The processed tables of a dataset; the test interactions are never read."""

    def __init__(self, folder: Path) -> None:
        """Read train, validation and the numbers of users and items."""
        self.folder = folder
        self.n_users = read_parquet(folder / s.USERS_FILE, s.USERS).height
        self.n_items = read_parquet(folder / s.ITEMS_FILE, s.ITEMS).height
        self.train = read_parquet(folder / s.TRAIN_FILE, s.INTERACTIONS).select(s.USER, s.ITEM)
        self.validation = read_parquet(folder / s.VALIDATION_FILE, s.INTERACTIONS).select(
            s.USER, s.ITEM
        )

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
        """Return users (R,), targets (R,) and negatives (R, N) of a part's R rows, int64."""
        path = self.folder / s.CANDIDATES_FILE
        rows = read_parquet(path, s.CANDIDATES).filter(pl.col(s.PART) == part)
        if rows.is_empty():
            raise SchemaError(f"{path}: expected rows of part {part!r}, got none")
        return tensor(rows[s.USER]), tensor(rows[s.ITEM]), tensor(rows["negatives"])

    def split(self) -> dict[str, Any]:
        """Return the split's method; `{}` for leave-one-out and published splits."""
        metadata = read_metadata(self.folder / s.CANDIDATES_FILE)
        return dict(json.loads(metadata.get(s.SPLIT, "{}")))

    def _interactions(self, rows: pl.DataFrame) -> Interactions:
        return Interactions(
            tensor(rows[s.USER]),
            tensor(rows[s.ITEM]),
            n_users=self.n_users,
            n_items=self.n_items,
        )


def tensor(column: pl.Series) -> Tensor:
    """Return an integer column as int64, (n,) or (n, width)."""
    return torch.from_numpy(column.to_numpy().astype("int64"))


def load_features(folder: Path, modalities: list[str], n_items: int) -> dict[str, Tensor]:
    """Return `{modality: (I, width) float32}` in the given order.

    Raises:
        SchemaError: a file is absent, or the number of rows is not that of the items.
    """
    features = {}
    for modality in modalities:
        path = folder / f"{modality}.parquet"
        _, feature, _ = read_features(path)
        if len(feature) != n_items:
            raise SchemaError(
                f"{path}: expected {n_items} rows, one per item, got {len(feature)}"
            )
        features[modality] = torch.from_numpy(feature)
    return features
