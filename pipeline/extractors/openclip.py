"""Both towers of a CLIP model, by open_clip's name: pictures and texts in one space.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML
2021, https://arxiv.org/abs/2103.00020; https://github.com/mlfoundations/open_clip. A vector is
the projected embedding, not normalised.
"""

from __future__ import annotations

import logging
from importlib.metadata import version

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from pipeline.extractors import weights as w
from pipeline.extractors.batches import check_strings, in_batches
from pipeline.extractors.encode import picture_encoder
from pipeline.extractors.extraction import Extraction, Machine, PictureEncoder, torch_device
from pipeline.extractors.network import Input, Network, arithmetic, width
from pipeline.extractors.packages import need
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.params.features import OpenClip

TEXTS = 16  # in a batch


class _Pictures(nn.Module):
    """The picture tower as a network."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.visual = clip.visual

    def forward(self, images: Tensor) -> Tensor:
        embedded: Tensor = self.visual(images)  # type: ignore[operator]
        return embedded


def encoder(settings: OpenClip, seed: int, machine: Machine) -> PictureEncoder:
    """Return the encoder of pictures that the settings name; see `load` for the errors."""
    device = torch_device(machine)
    network = load_pictures(_name(settings), settings.weights, seed)
    return picture_encoder(network, device, settings.precision)


def load_pictures(name: str, weights: str, seed: int) -> Network:
    """Return the picture tower; see `load`."""
    clip, sha256 = load(name, weights, seed)
    config = need("open_clip", "openclip").get_model_preprocess_cfg(clip)
    size = config["size"]
    side = int(size if isinstance(size, int) else size[0])
    expected = Input(
        resize=side,
        crop=side,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=InterpolationMode(config["interpolation"]),
    )
    module = _Pictures(clip)
    return Network(
        module=module,
        dim=width(module, expected),
        layer="projected embedding of the picture, not normalised",
        input=expected,
        weights=w.in_words(weights),
        weights_sha256=sha256,
        versions={"open_clip": version("open_clip_torch")},
    )


def extract(
    texts: pl.Series,
    settings: OpenClip,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Embed strings with the text tower; see `load`, which `seed` is for.

    Returns:
        One vector per text, computed lazily; None where it is null or blank.

    Raises:
        ParamsError: the column holds token lists; or see `load`.
        RawDataError: see `load`.
    """
    check_strings(texts, "openclip")
    device, name = torch_device(machine), _name(settings)
    clip, sha256 = load(name, settings.weights, seed)
    clip = clip.to(device).eval()
    tokenizer = need("open_clip", "openclip").get_tokenizer(name)

    def embed(batch: list[str]) -> np.ndarray:
        with arithmetic(device, settings.precision):
            rows: Tensor = clip.encode_text(tokenizer(batch).to(device))  # type: ignore[operator]
        return rows.float().cpu().numpy()

    return Extraction(
        dim=embed([""]).shape[1],
        weights=w.in_words(settings.weights),
        weights_sha256=sha256,
        preprocessing={
            "tokens": f"open_clip's tokenizer of {name}; longer texts are cut",
            "layer": "projected embedding of the text, not normalised",
            "precision": settings.precision,
        },
        versions={"torch": torch.__version__, "open_clip": version("open_clip_torch")},
        vectors=in_batches(texts, embed, TEXTS),
    )


def load(name: str, weights: str, seed: int) -> tuple[nn.Module, str]:
    """Return a whole CLIP model and the sha256 of its weights.

    Args:
        name: open_clip's, such as `ViT-B-32`.
        weights: a published tag such as `laion2b_s34b_b79k`, `seeded`, or the path of a state
            dict.
        seed: of the seeded weights.

    Raises:
        ParamsError: the package is not installed, or has no such model.
        RawDataError: the weights are unavailable, or are of another model.
    """
    open_clip = need("open_clip", "openclip")
    if name not in open_clip.list_models():
        raise ParamsError(
            f"extractor openclip:{name}: expected a model of open_clip, such as ViT-B-32; "
            "open_clip.list_models() has all of them"
        )

    def build() -> nn.Module:
        # open_clip warns about random weights; here they are intended, or replaced later.
        logging.getLogger().addFilter(_no_warning)
        try:
            module: nn.Module = open_clip.create_model(name, load_weights=False)
        finally:
            logging.getLogger().removeFilter(_no_warning)
        return module

    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights not in tags:
        return w.ready(build, f"openclip:{name}", weights, seed)
    try:
        module = open_clip.create_model(name, pretrained=weights, weights_only=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise RawDataError(
            f"weights {weights} of openclip:{name}: unavailable ({error}). Set `weights` to "
            "the path of a state dict, or to `seeded` (untrained)"
        ) from error
    return module, w.sha256_of_state(module)


def _name(settings: OpenClip) -> str:
    return settings.extractor.partition(":")[2]


def _no_warning(record: logging.LogRecord) -> bool:
    return "No pretrained weights loaded" not in record.getMessage()
