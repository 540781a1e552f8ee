"""Models, new or trained; trained parameters are stored as safetensors.

A checkpoint has a checksum of its bytes, and in its facts the identity of what it belongs to:
dataset, architecture, settings and seed, and the sha256 of the data and the features that it
was trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from model import recommenders
from model.base import Recommender
from model.data import Interactions
from pipeline import params
from pipeline.job import devices
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.learning.command_line import Arguments
from pipeline.learning.dataset import Dataset, load_features, load_tokens
from pipeline.tables.features import digest_of
from pipeline.tables.io import replacing
from pipeline.tables.schema import CHECKPOINT_FILE
from pipeline.tables.tokens import tokens_path
from pipeline.tables.verified import damaged

CHECKSUM = "sha256"  # of the file, computed with `BLANK` in its place
BLANK = b"0" * 64
INPUTS = "inputs"  # what a model was trained on
AGAIN = "; run the stage train again"
UNREADABLE = (SafetensorError, AttributeError, LookupError, OSError, TypeError, ValueError)


def build(
    settings: params.Params,
    dataset: str,
    model: str,
    interactions: Interactions,
    features: dict[str, Tensor],
    generator: torch.Generator,
    **overrides: Any,
) -> Recommender:
    """Return an untrained model with its settings on the dataset, except for `overrides`.

    Raises:
        ParamsError: the model refuses its settings, features or the size of the dataset.
    """
    excluded = {"lr", "modalities", "tokens"}
    section = settings.model(model, dataset).model_dump(exclude=excluded)
    name = settings.architecture(model)
    values = section | overrides
    try:
        return recommenders.build(name, interactions, features, generator=generator, **values)
    except ValueError as error:
        raise ParamsError(f"params.yaml: {model} on {dataset}: {error}") from error


def save_checkpoint(tensors: dict[str, Tensor], facts: dict[str, Any], path: Path) -> None:
    """Write parameters, facts (epoch, seed, training data) and a checksum as safetensors."""
    # One metadata entry: safetensors does not keep the order of several. Not save_file: when
    # killed, it leaves a file with a random name behind.
    described = json.dumps(facts | {CHECKSUM: BLANK.decode()}, sort_keys=True)
    content = save(tensors, metadata={"facts": described})
    checksum = hashlib.sha256(content).hexdigest().encode()
    with replacing(path) as partial:
        partial.write_bytes(content.replace(BLANK, checksum, 1))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `save_checkpoint` wrote.

    Raises:
        SchemaError: the file is absent, or a byte of it has changed.
    """
    if not path.exists():
        raise SchemaError(f"{path}: no such checkpoint; run the stage train first")
    try:
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        facts = json.loads(header["__metadata__"]["facts"])
        checksum = facts.pop(CHECKSUM)
        blank = content.replace(checksum.encode(), BLANK, 1)
        if hashlib.sha256(blank).hexdigest() != checksum:
            raise ValueError("its checksum is of other bytes")
        return load(content), facts
    except UNREADABLE as error:
        raise damaged(path, "a checkpoint", error) from None


def content(settings: params.Params, arguments: Arguments, n_items: int) -> dict[str, Tensor]:
    """Return the features that the model reads, then its tokens.

    Returns:
        `{modality: (I, width) float32}` and `{kind: (E, 2) int64}`, pairs of item and token.

    Raises:
        SchemaError: a file is absent or damaged, or is of other items.
    """
    names, folder = (arguments.model, arguments.dataset), arguments.features
    features = load_features(folder, settings.model_modalities(*names), n_items)
    return features | load_tokens(folder, settings.model_tokens(*names), n_items)


def inputs(dataset: Dataset, features: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the sha256 of each file of the data, and of each modality and kind of tokens."""
    given: dict[str, Any] = {"data": dataset.digests(), "features": {}}
    for name, rows in features.items():
        kind = "features" if rows.is_floating_point() else "tokens"
        given.setdefault(kind, {})[name] = digest_of(rows.numpy())
    return given


def check_belongs(
    path: Path,
    facts: Mapping[str, Any],
    settings: params.Params,
    arguments: Arguments,
    given: Mapping[str, Any],
) -> None:
    """Refuse the checkpoint of another model, or one that was trained on something else.

    Args:
        path: of the checkpoint, for the message.
        facts: of the checkpoint.
        settings: the content of params.yaml.
        arguments: the names of dataset and model, and the folders.
        given: `inputs` of the data and the features at hand.

    Raises:
        SchemaError: something differs.
    """
    expected = {
        "dataset": arguments.dataset,
        "architecture": settings.architecture(arguments.model),
        "settings": settings.model(arguments.model, arguments.dataset).model_dump(mode="json"),
        "seed": settings.seed,
    }
    for name, value in expected.items():
        if facts.get(name) != value:
            raise SchemaError(
                f"{path}: expected a model of {name} {value}, as in params.yaml, got "
                f"{facts.get(name)}: its epoch was chosen for others{AGAIN}"
            )
    files = {
        "data": {name: arguments.processed / name for name in given["data"]},
        "features": {m: arguments.features / f"{m}.parquet" for m in given["features"]},
        "tokens": dict.fromkeys(given.get("tokens", {}), tokens_path(arguments.features)),
    }
    for kind, of_kind in files.items():
        trained_on = facts.get(INPUTS, {}).get(kind, {})
        for name, file in of_kind.items():
            if trained_on.get(name) != given[kind][name]:
                raise SchemaError(
                    f"{path}: expected a model trained on {file} as it is, got one trained on "
                    f"other content: the file has changed since{AGAIN}"
                )


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
        features: what `content` returns, by default.
        overrides: replace settings of the model.

    Raises:
        SchemaError: the checkpoint or a feature file is absent or damaged, or they do not
            belong together.
    """
    path = arguments.results / CHECKPOINT_FILE
    tensors, facts = read_checkpoint(path)
    given: dict[str, Any] = {"data": dataset.digests(), "features": {}}
    if features is None:
        features = content(settings, arguments, dataset.n_items)
        given = inputs(dataset, features)
    check_belongs(path, facts, settings, arguments, given)
    _check_finite(tensors, path)
    pairs = dataset.pairs(validation=facts["trained_on"] == "train and validation")
    generator = torch.Generator().manual_seed(settings.seed)
    names = arguments.dataset, arguments.model
    model = build(settings, *names, pairs, features, generator, **overrides)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise SchemaError(
            f"{path}: expected weights of {names[1]}, got {said}{AGAIN}"
        ) from None
    return model.to(devices.choose(arguments.device)).eval(), facts


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, values in tensors.items():
        if not values.isfinite().all():
            raise SchemaError(
                f"{path}: expected finite weights, got NaN or infinity in {name}; lower the "
                "model's lr in params.yaml, and run the stage train again"
            )
