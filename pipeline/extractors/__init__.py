"""The extractors by name, and what each hands to the stage `features`.

A new one is a module with a function that returns an `Extraction`, a line in `EXTRACTORS` with
the function that unpacks its settings, and those settings as a section in pipeline/params.py.
torch, gensim and the like are imported by the modules, and those only when they are asked for:
`--help`, and an extractor that needs neither, must not wait for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from pipeline.feature_table import Vector
from pipeline.params import Sif, Vgg16

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What runs an extractor; it changes the speed, not the experiment."""

    device: str = "auto"  # auto, cpu, cuda or mps
    threads: int = 1  # CPU threads inside the network


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What an extractor hands over; `vectors` may be computed as they are asked for."""

    dim: int
    weights: str  # for the metadata: which weights these are
    weights_sha256: str
    preprocessing: dict[str, Any]  # in words, stored as JSON
    versions: dict[str, str]  # library -> version
    vectors: Iterable[Vector | None]  # one (dim,) per piece of content; None: nothing in it


@dataclass(frozen=True)
class Extractor:
    """An encoder and the kind of content it reads.

    `extract(content, settings, seed, machine)` returns an Extraction. For `image`, content is
    an iterable of the distinct pictures' file bytes, each known to decode; for `text`, a polars
    Series of strings or of token lists, one per item. It also takes `fit_to`, the
    texts to learn from where they are not those to encode.
    """

    reads: Literal["image", "text"]
    extract: Callable[..., Extraction]


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
        ParamsError: the device that was asked for is not there.
    """
    import torch

    from pipeline.errors import ParamsError

    torch.set_num_threads(machine.threads)
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name = machine.device
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if not there.get(name, False):
        usable = [kind for kind, available in there.items() if available]
        raise ParamsError(f"--device {name}: not on this machine; expected one of {usable}")
    return torch.device(name)


def _vgg16(
    pictures: Iterable[bytes], settings: Vgg16, seed: int, machine: Machine
) -> Extraction:
    from pipeline.extractors.vgg16 import extract

    return extract(pictures, weights=settings.weights, seed=seed, device=torch_device(machine))


def _sif(
    texts: pl.Series,
    settings: Sif,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    from pipeline.extractors.sif import extract

    return extract(
        texts,
        weights=settings.weights,
        dim=settings.dim,
        smoothing=settings.smoothing,
        window=settings.window,
        epochs=settings.epochs,
        min_count=settings.min_count,
        seed=seed,
        fit_to=fit_to,
    )


EXTRACTORS = {
    "vgg16": Extractor("image", _vgg16),
    "sif": Extractor("text", _sif),
}
