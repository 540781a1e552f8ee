"""Training of any model on tensors, without files.

trained = train("lightgcn", users, items, epochs=40, dim=64, lr=0.001, l2=0.01, layers=4)
trained.top_k([0, 1], 10)    # items and scores
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model import ranking, recommenders
from model.base import Preparation, Recommender
from model.data import Interactions
from model.fit import Training, fit
from model.sampler import Sampling
from pipeline.job import devices
from pipeline.job.errors import ParamsError
from pipeline.library.arguments import checked
from pipeline.params.model_section import ContentModel, Model, TokenModel
from pipeline.params.models import ARCHITECTURES, learning_rate

SEED = 2023  # as in params.yaml
Numbers: TypeAlias = Tensor | npt.NDArray[Any] | Sequence[int]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A trained model, and the pairs that it was trained on."""

    model: Recommender  # in evaluation mode
    interactions: Interactions

    def scores(self, users: Numbers) -> Tensor:
        """Return the scores of all I items for (n,) users, (n, I) float32 on the CPU."""
        with torch.inference_mode():
            return self.model.scorer()(_numbers(users)).cpu()

    def top_k(self, users: Numbers, k: int) -> tuple[Tensor, Tensor]:
        """Return the best k items of (n,) users without those that they were trained on.

        Returns:
            Items (n, k) int64 and scores (n, k) float32, best first. For a user with more than
            I - k items the row ends in scores of -inf.
        """
        with torch.inference_mode():
            scorer = self.model.scorer()
            blocks = list(ranking.top_k(scorer, _numbers(users), self.interactions, k))
        return torch.cat([items for _, items, _ in blocks]), torch.cat([s for *_, s in blocks])


def train(
    name: str,
    users: Numbers,
    items: Numbers,
    features: Mapping[str, Tensor | npt.NDArray[np.float32]] | None = None,
    *,
    item_tokens: Mapping[str, Tensor | npt.NDArray[np.int64]] | None = None,
    epochs: int,
    n_users: int | None = None,
    n_items: int | None = None,
    batch_size: int = 2048,
    sampling: Sampling = "users",
    seed: int = SEED,
    device: str = "auto",
    **settings: Any,
) -> Trained:
    """Train the model called `name` for a number of epochs.

    Args:
        name: of a model in model/recommenders, such as `lightgcn`.
        users: (P,) user numbers of the training pairs, from 0.
        items: (P,) their items.
        features: `{modality: (I, width) float32}`, for models with content; an item without a
            modality has a row of zeros.
        item_tokens: `{kind: (E, 2)}`, pairs of item and token, for models that read tokens.
        epochs: passes over the pairs.
        n_users: U; default: the largest number and 1.
        n_items: I; default: the rows of the features, or the largest number and 1.
        batch_size: triples per step.
        sampling: `users` (distinct users and one of their items each) or `pairs` (one pass
            over the pairs). InvRL and DMRL always take pairs.
        seed: of all random numbers.
        device: auto, cpu, cuda or mps.
        settings: of the model, all of those in its section of pipeline/params/models.py.
            `modalities` is by default the names of `features`, `tokens` those of `item_tokens`.

    Returns:
        The model after the last epoch.

    Raises:
        ParamsError: no such model or device, missing or wrong settings, features that are
            missing or have another number of rows, or tokens that are missing or no pairs.
        ValueError: there are no pairs, a number is out of range, or a user has every item.
        model.fit.LossNotFinite: a loss became NaN or infinite.
    """
    content = {name: _rows(rows) for name, rows in (features or {}).items()}
    tokens = {name: _numbers(rows) for name, rows in (item_tokens or {}).items()}
    section = _section(name, settings, content, tokens)
    pairs = _pairs(users, items)
    n_rows = max(map(len, content.values()), default=0)
    interactions = Interactions(
        *pairs,
        n_users=n_users or _count(pairs[0]),
        n_items=n_items or n_rows or _count(pairs[1]),
    )
    generator = torch.Generator().manual_seed(seed)
    values = section.model_dump(exclude={"lr", "modalities", "tokens"})
    read = _content_read(name, section, content, tokens, interactions.n_items)
    training = Training(
        recommenders.build(name, interactions, read, generator=generator, **values),
        interactions,
        lr=learning_rate(section),
        batch_size=batch_size,
        generator=generator,
        device=devices.choose(device),
        sampling=sampling,
    )
    _run(training, epochs)
    return Trained(training.model.eval(), interactions)


def _section(
    name: str,
    settings: dict[str, Any],
    features: Mapping[str, Tensor],
    tokens: Mapping[str, Tensor],
) -> Model:
    if name not in ARCHITECTURES:
        raise ParamsError(
            f"train: no model {name!r}; expected one of {sorted(ARCHITECTURES)}. For a "
            "variant, give its architecture and all settings"
        )
    kind = ARCHITECTURES[name]
    if issubclass(kind, ContentModel):
        settings = {"modalities": list(features)} | settings
    if issubclass(kind, TokenModel):
        settings = {"tokens": list(tokens)} | settings
    try:
        section: Model = checked(kind, settings, f"train {name}")
    except ParamsError as error:
        raise ParamsError(
            f"{error}\nGive settings by keyword, or those of a params.yaml: "
            f'**params.load().model("{name}", "sample").model_dump()'
        ) from None
    return section


def _content_read(
    name: str,
    section: Model,
    features: dict[str, Tensor],
    tokens: dict[str, Tensor],
    n_items: int,
) -> dict[str, Tensor]:
    """Return the features and tokens that the model reads, checked."""
    read = _features_read(name, section, features, n_items)
    return read | _tokens_read(name, section, tokens, n_items)


def _features_read(
    name: str, section: Model, features: dict[str, Tensor], n_items: int
) -> dict[str, Tensor]:
    """Return the features that the model reads, checked."""
    read = section.reads(features)
    for modality in read:
        if modality not in features:
            raise ParamsError(
                f"train {name}: modalities: expected some of {sorted(features)}, the names of "
                f"`features`, got {modality!r}"
            )
        if len(features[modality]) != n_items:
            raise ParamsError(
                f"train {name}: features: {modality}: expected {n_items} rows, one per item, "
                f"got {len(features[modality])}"
            )
    return {modality: features[modality] for modality in read}


def _tokens_read(
    name: str, section: Model, tokens: dict[str, Tensor], n_items: int
) -> dict[str, Tensor]:
    """Return the tokens that the model reads, checked."""
    read = section.reads_tokens(tokens)
    for kind in read:
        if kind not in tokens:
            raise ParamsError(
                f"train {name}: tokens: expected some of {sorted(tokens)}, the names of "
                f"`item_tokens`, got {kind!r}"
            )
        pairs = tokens[kind]
        if pairs.dim() != 2 or pairs.shape[1] != 2 or not len(pairs):
            raise ParamsError(
                f"train {name}: item_tokens: {kind}: expected (E, 2), pairs of item and token, "
                f"got {tuple(pairs.shape)}"
            )
        if pairs.min() < 0 or pairs[:, 0].max() >= n_items:
            raise ParamsError(
                f"train {name}: item_tokens: {kind}: expected items in [0, {n_items}) and "
                f"tokens from 0, got {pairs.min(0).values.tolist()} to "
                f"{pairs.max(0).values.tolist()}"
            )
    return {kind: tokens[kind] for kind in read}


def _run(training: Training, epochs: int) -> None:
    """Prepare the model, and take all epochs."""
    preparation = Preparation(
        training.interactions,
        training.batch_size,
        training.optimiser.defaults["lr"],
        training.generator,
        training.device,
        None,
        log.info,
    )
    training.model.prepare(preparation)
    for record in fit(training, epochs=epochs, evaluate_every=epochs, patience=1, measure=None):
        log.info("epoch %d: loss %s", record.epoch, record.loss)


def _numbers(values: Numbers) -> Tensor:
    """Return int64; arrays are copied, since those of polars are read-only."""
    return (
        values.long() if isinstance(values, Tensor) else torch.tensor(np.array(values)).long()
    )


def _rows(values: Tensor | npt.NDArray[np.float32]) -> Tensor:
    return (
        values.float() if isinstance(values, Tensor) else torch.tensor(np.array(values)).float()
    )


def _pairs(users: Numbers, items: Numbers) -> tuple[Tensor, Tensor]:
    pairs = _numbers(users), _numbers(items)
    if len(pairs[0]) != len(pairs[1]):
        raise ValueError(f"expected as many users as items, got {[len(p) for p in pairs]}")
    return pairs


def _count(numbers: Tensor) -> int:
    return 1 + int(numbers.max()) if len(numbers) else 1
