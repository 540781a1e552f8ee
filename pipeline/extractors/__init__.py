"""The extractors by name, and what each hands to the stage `features`.

A new one is a module, a line in `EXTRACTORS` (or `texts.TEXTS`) with the function that unpacks
its settings, and those settings as a section in pipeline/params/features.py. torch, gensim and
the like are imported by the modules, and those only when they are asked for: `--help`, and an
extractor that needs neither, must not wait for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.extractors.texts import TEXTS
from pipeline.params import features as s
from pipeline.tables.features import Vector

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What runs an extractor; it changes the speed, not the experiment."""

    device: str = "auto"  # auto, cpu, cuda or mps
    threads: int = 1  # CPU threads inside the network


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an extractor says of itself; it goes into the metadata of the features."""

    dim: int
    weights: str  # which weights these are
    weights_sha256: str
    preprocessing: dict[str, Any]  # in words, stored as JSON
    versions: dict[str, str]  # library -> version


@dataclass(frozen=True, kw_only=True)
class PictureEncoder(Description):
    """A network that is ready. What it makes of a picture does not depend on the others."""

    # Files, each known to decode, to a (dim,) vector each, computed as they are asked for.
    # Two streams that begin a multiple of `BLOCK` apart agree to the last digit.
    encode: Callable[[Iterable[bytes]], Iterator[Vector]]


@dataclass(frozen=True, kw_only=True)
class Extraction(Description):
    """The vectors of texts or ids; they may be computed as they are asked for."""

    vectors: Iterable[Vector | None]  # one (dim,) per row; None: nothing in it


@dataclass(frozen=True)
class Extractor:
    """What a name stands for; one of the two, or both.

    `pictures(settings, seed, machine)` returns a PictureEncoder, used where the field is
    `image`. `texts(column, settings, seed, machine)` returns an Extraction of a polars Series
    of strings or token lists, one per item; it also takes `fit_to`, the texts to learn from
    where they are not those to encode.
    """

    pictures: Callable[..., PictureEncoder] | None = None
    texts: Callable[..., Extraction] | None = None


BLOCK = 64  # pictures; batches lie within one, and what is kept of a stopped run is whole ones


def n_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def torch_device(machine: Machine) -> torch.device:
    """Set torch's threads and return the device to compute on.

    The threads are set here, and not left to OMP_NUM_THREADS, because an engine that sets that
    variable would otherwise change the last digits of the features.

    Raises:
        ParamsError: the device that was asked for is not there, or GPU_SLOTS names others.
    """
    import torch

    from pipeline.job import devices

    torch.set_num_threads(machine.threads)
    return devices.choose(machine.device)


def _network(settings: s.ImageNetwork, seed: int, machine: Machine) -> PictureEncoder:
    from pipeline.extractors.encode import picture_encoder
    from pipeline.extractors.networks import load

    device = torch_device(machine)
    network = load(settings.extractor, settings.weights, seed)
    return picture_encoder(network, device, settings.precision)


def _openclip_pictures(settings: s.OpenClip, seed: int, machine: Machine) -> PictureEncoder:
    from pipeline.extractors.encode import picture_encoder
    from pipeline.extractors.openclip import load_pictures

    device = torch_device(machine)
    network = load_pictures(settings.extractor.partition(":")[2], settings.weights, seed)
    return picture_encoder(network, device, settings.precision)


def _openclip_texts(
    texts: pl.Series,
    settings: s.OpenClip,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.openclip import extract_texts

    return extract_texts(
        texts,
        name=settings.extractor.partition(":")[2],
        weights=settings.weights,
        seed=seed,
        device=torch_device(machine),
        precision=settings.precision,
    )


def _mcauley(
    asins: pl.Series,
    settings: s.Mcauley,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.mcauley import extract

    return extract(asins, Path(settings.path))


def _precomputed(
    items: pl.Series,
    settings: s.Precomputed,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.precomputed import extract

    return extract(
        items,
        Path(settings.path),
        id_column=settings.id_column,
        column=settings.column,
        ids=None if settings.ids is None else Path(settings.ids),
    )


EXTRACTORS = {name: Extractor(pictures=_network) for name in (*s.NETWORKS, "timm")} | {
    "openclip": Extractor(pictures=_openclip_pictures, texts=_openclip_texts),
    "mcauley": Extractor(texts=_mcauley),
    "precomputed": Extractor(texts=_precomputed),
    **{name: Extractor(texts=extract) for name, extract in TEXTS.items()},
}
