"""The protocol of an extractor: what it takes and what it returns to the stage `features`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.tables.features import Vector

if TYPE_CHECKING:
    import torch

BLOCK = 64  # pictures; a batch never crosses a block, and a stopped run keeps whole blocks


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The hardware that runs an extractor; it changes the speed, not the experiment."""

    device: str = "auto"  # auto, cpu, cuda or mps
    threads: int = 1  # CPU threads inside the network


@dataclass(frozen=True, kw_only=True)
class Description:
    """How the vectors are made; stored in the metadata of the features."""

    dim: int
    weights: str  # which weights these are
    weights_sha256: str
    preprocessing: dict[str, Any]  # in words, stored as JSON
    versions: dict[str, str]  # library -> version


@dataclass(frozen=True, kw_only=True)
class PictureEncoder(Description):
    """A network with its weights; the vector of a picture does not depend on other pictures.

    `encode` yields a (dim,) vector for each file, lazily; the files must be decodable. Two
    streams that start a multiple of `BLOCK` apart give identical vectors.
    """

    encode: Callable[[Iterable[bytes]], Iterator[Vector]]


@dataclass(frozen=True, kw_only=True)
class Extraction(Description):
    """The vectors of texts or ids, possibly computed lazily."""

    vectors: Iterable[Vector | None]  # one (dim,) per row; None: no content


@dataclass(frozen=True)
class Extractor:
    """The functions of one extractor: for pictures, for texts, or for both.

    `pictures(settings, seed, machine)` returns a PictureEncoder; used where the field is
    `image`. `texts(column, settings, seed, machine, fit_to=None)` returns the Extraction of a
    polars Series of strings or token lists, one per item. `fit_to` holds the texts to learn
    from, where they are not the texts to encode.
    """

    pictures: Callable[..., PictureEncoder] | None = None
    texts: Callable[..., Extraction] | None = None


def n_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def torch_device(machine: Machine) -> torch.device:
    """Set torch's number of threads and return the device to compute on.

    Left to OMP_NUM_THREADS, an engine that sets that variable would change the last digits of
    the features.

    Raises:
        ParamsError: the requested device is absent, or GPU_SLOTS names others.
    """
    import torch

    from pipeline.job import devices

    torch.set_num_threads(machine.threads)
    return devices.choose(machine.device)
