"""Models, new or trained; trained parameters are stored as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from model import recommenders
from model.base import Recommender
from model.data import Interactions
from pipeline import params
from pipeline.job import devices
from pipeline.job.errors import SchemaError
from pipeline.learning.command_line import Arguments
from pipeline.learning.dataset import Dataset, load_features
from pipeline.tables.io import replacing
from pipeline.tables.schema import CHECKPOINT_FILE


def build(
    settings: params.Params,
    dataset: str,
    model: str,
    interactions: Interactions,
    features: dict[str, Tensor],
    generator: torch.Generator,
    **overrides: Any,
) -> Recommender:
    """Return an untrained model with its settings on the dataset, except for `overrides`."""
    section = settings.model(model, dataset).model_dump(exclude={"lr", "modalities"})
    name = settings.architecture(model)
    return recommenders.build(
        name, interactions, features, generator=generator, **section | overrides
    )


def save_checkpoint(tensors: dict[str, Tensor], facts: dict[str, Any], path: Path) -> None:
    """Write parameters and facts (epoch, seed, training data) as safetensors."""
    # One metadata entry: safetensors does not keep the order of several. Not save_file: when
    # killed, it leaves a file with a random name behind.
    content = save(tensors, metadata={"facts": json.dumps(facts, sort_keys=True)})
    with replacing(path) as partial:
        partial.write_bytes(content)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `save_checkpoint` wrote.

    Raises:
        SchemaError: the file is absent or damaged.
    """
    if not path.exists():
        raise SchemaError(f"{path}: no such checkpoint; run the stage train first")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()["facts"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SchemaError(
            f"{path}: expected a checkpoint, got {error}; delete it, and either engine makes "
            "it again"
        ) from None


def restored(
    settings: params.Params,
    arguments: Arguments,
    dataset: Dataset,
    features: dict[str, Tensor] | None = None,
    **overrides: Any,
) -> tuple[Recommender, dict[str, Any]]:
    """Return the trained model in evaluation mode, and the checkpoint's facts.

    Args:
        settings: the content of params.yaml.
        arguments: names, folders and device.
        dataset: the processed tables.
        features: of the model's modalities; by default read from `arguments.features`.
        overrides: replace settings of the model.

    Raises:
        SchemaError: the checkpoint or a feature file is absent or of other items.
    """
    tensors, facts = read_checkpoint(arguments.results / CHECKPOINT_FILE)
    if features is None:
        modalities = settings.model_modalities(arguments.model, arguments.dataset)
        features = load_features(arguments.features, modalities, dataset.n_items)
    pairs = dataset.pairs(validation=facts["trained_on"] == "train and validation")
    generator = torch.Generator().manual_seed(settings.seed)
    names = arguments.dataset, arguments.model
    model = build(settings, *names, pairs, features, generator, **overrides)
    model.load_state_dict(tensors)
    return model.to(devices.choose(arguments.device)).eval(), facts
