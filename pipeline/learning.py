"""What train, evaluate and recommend share: tables to tensors, the model, the checkpoint."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

import model as models
from model import Interactions, Recommender
from pipeline import devices, params
from pipeline.command import parser
from pipeline.errors import SchemaError
from pipeline.feature_table import read_features
from pipeline.io import read_metadata, read_parquet, replacing
from pipeline.schema import (
    CANDIDATES,
    CANDIDATES_FILE,
    CHECKPOINT_FILE,
    INTERACTIONS,
    ITEM,
    ITEMS,
    ITEMS_FILE,
    PART,
    SPLIT,
    TRAIN_FILE,
    USER,
    USERS,
    USERS_FILE,
    VALIDATION_FILE,
)


@dataclass(frozen=True)
class Arguments:
    """The command line of train, evaluate and recommend."""

    dataset: str
    model: str
    processed: Path
    features: Path
    results: Path
    device: str


class Dataset:
    """The processed tables of a dataset that training may see."""

    def __init__(self, folder: Path) -> None:
        """Read train, validation and the numbers of users and items; not test."""
        self.folder = folder
        self.n_users = read_parquet(folder / USERS_FILE, USERS).height
        self.n_items = read_parquet(folder / ITEMS_FILE, ITEMS).height
        self.train = read_parquet(folder / TRAIN_FILE, INTERACTIONS).select(USER, ITEM)
        self.validation = read_parquet(folder / VALIDATION_FILE, INTERACTIONS).select(
            USER, ITEM
        )

    def pairs(self, *, validation: bool) -> Interactions:
        """Return the training pairs, with or without the validation items.

        A published split lists its validation items in train as well: without them means
        without every copy of such a pair.
        """
        held_out = self.train.join(self.validation, on=[USER, ITEM], how="anti")
        if not validation:
            return self._interactions(held_out)
        if held_out.height < self.train.height:
            return self._interactions(self.train)
        return self._interactions(pl.concat([self.train, self.validation]))

    def candidates(self, part: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return users (R,), targets (R,) and negatives (R, 99) of a part's R rows, int64."""
        table = read_parquet(self.folder / CANDIDATES_FILE, CANDIDATES)
        rows = table.filter(pl.col(PART) == part)
        if rows.is_empty():
            raise SchemaError(f"{self.folder / CANDIDATES_FILE}: no rows of part {part!r}")
        return tensor(rows[USER]), tensor(rows[ITEM]), tensor(rows["negatives"])

    def split(self) -> dict[str, Any]:
        """Return how the dataset was split; `{}` for leave-one-out and published splits."""
        path = self.folder / CANDIDATES_FILE
        return dict(json.loads(read_metadata(path).get(SPLIT, "{}")))

    def _interactions(self, rows: pl.DataFrame) -> Interactions:
        return Interactions(
            tensor(rows[USER]), tensor(rows[ITEM]), n_users=self.n_users, n_items=self.n_items
        )


def tensor(column: pl.Series) -> Tensor:
    """Return an integer column as int64, (n,) or (n, width)."""
    return torch.from_numpy(column.to_numpy().astype("int64"))


def load_features(folder: Path, modalities: list[str], n_items: int) -> dict[str, Tensor]:
    """Return `{modality: (I, width) float32}` in the given order.

    Raises:
        SchemaError: a file is absent or has not one row per item.
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


def build(
    settings: params.Params,
    dataset: str,
    model: str,
    interactions: Interactions,
    features: dict[str, Tensor],
    generator: torch.Generator,
    **other: Any,
) -> Recommender:
    """Return a freshly initialised model with its settings on the dataset, but for `other`."""
    values = settings.model(model, dataset).model_dump(exclude={"lr", "modalities"}) | other
    return models.build(
        settings.architecture(model), interactions, features, generator=generator, **values
    )


def save_checkpoint(tensors: dict[str, Tensor], facts: dict[str, Any], path: Path) -> None:
    """Write parameters and facts (epoch, seed, what it was trained on) as safetensors."""
    # One metadata entry: safetensors does not keep the order of several. Not save_file, which
    # writes under a random name of its own: a kill would leave it there for ever.
    content = save(tensors, metadata={"facts": json.dumps(facts, sort_keys=True)})
    with replacing(path) as partial:
        partial.write_bytes(content)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `save_checkpoint` wrote.

    Raises:
        SchemaError: the file is absent.
    """
    if not path.exists():
        raise SchemaError(f"{path}: no such checkpoint; run the stage train first")
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["facts"])


def restored(
    settings: params.Params,
    arguments: Arguments,
    dataset: Dataset,
    features: dict[str, Tensor] | None = None,
    **other: Any,
) -> tuple[Recommender, dict[str, Any]]:
    """Return the trained model in evaluation mode, and the checkpoint's facts.

    Args:
        settings: the file params.yaml.
        arguments: names, folders and device.
        dataset: the processed tables.
        features: of the model's modalities; by default those in `arguments.features`.
        other: takes the place of the model's settings.
    """
    tensors, facts = read_checkpoint(arguments.results / CHECKPOINT_FILE)
    names = arguments.dataset, arguments.model
    if features is None:
        modalities = settings.model_modalities(arguments.model, arguments.dataset)
        features = load_features(arguments.features, modalities, dataset.n_items)
    pairs = dataset.pairs(validation=facts["trained_on"] == "train and validation")
    generator = torch.Generator().manual_seed(settings.seed)
    model = build(settings, *names, pairs, features, generator, **other)
    model.load_state_dict(tensors)
    return model.to(devices.choose(arguments.device)).eval(), facts


def arguments(stage: str, documentation: str | None, argv: list[str] | None) -> Arguments:
    """Read the command line of a stage about one model, and fix the number of threads."""
    return chosen(command_line(stage, documentation).parse_args(argv))


def command_line(stage: str, documentation: str | None) -> argparse.ArgumentParser:
    """Return the parser of a stage about one model, to which more may be added."""
    parse = parser(stage, documentation)
    parse.add_argument("dataset", help="a name under `sources` in params.yaml")
    parse.add_argument("model", help="a model's section in params.yaml")
    parse.add_argument("processed", type=Path, help="folder of the processed tables")
    parse.add_argument("features", type=Path, help="folder of the features")
    parse.add_argument("results", type=Path, help="folder of the model's results")
    parse.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parse.add_argument("--threads", type=int, help="CPU threads; default: all there are")
    return parse


def chosen(args: argparse.Namespace) -> Arguments:
    """Return what `command_line` read, and fix the number of threads."""
    use_threads(args.threads)
    return Arguments(**{field.name: getattr(args, field.name) for field in fields(Arguments)})


def use_threads(count: int | None) -> None:
    """Fix the number of CPU threads, so that bytes do not depend on who started the job.

    Snakemake sets OMP_NUM_THREADS to a rule's threads and DVC sets nothing.
    """
    torch.set_num_threads(count or len(os.sched_getaffinity(0)))
    # Without it cuBLAS may add up in another order from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The default, but some versions of torch warn as long as nobody has said it.
    torch.sparse.check_sparse_tensor_invariants.disable()
    torch.use_deterministic_algorithms(True, warn_only=True)
