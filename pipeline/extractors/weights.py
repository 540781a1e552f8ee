"""The weights of a network: published, drawn from the seed, or the user's file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.job.errors import RawDataError
from pipeline.tables.io import sha256_of

IMAGENET, SEEDED = "imagenet", "seeded"  # settings of `weights`; else a version or a path
# Raised on reading a file of another kind.
NO_STATE_DICT = (
    UnpicklingError,
    SafetensorError,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    RuntimeError,
)


def in_words(weights: str) -> str:
    """Return a setting as it is written in the features' metadata."""
    return "seeded (untrained)" if weights == SEEDED else weights


def ready(
    build: Callable[[], nn.Module],
    name: str,
    weights: str,
    seed: int,
    url: str | None = None,
    prefix: str = "",
) -> tuple[nn.Module, str]:
    """Build a network and load its weights.

    Args:
        build: makes the module up to the feature's layer, initialised as its library does.
        name: of the network, for messages.
        weights: `seeded` or the path of a state dict; ignored if there is a `url`.
        seed: of the seeded weights.
        url: of the published state dict, if the setting names one.
        prefix: to add to the names in the file to get those of the module.

    Returns:
        The module, and the sha256 of the file, or of the seeded tensors' bytes.

    Raises:
        RawDataError: the weights are unavailable, or are of another network.
    """
    if weights == SEEDED and url is None:
        module = seeded(build, seed)
        return module, sha256_of_state(module)
    path = _published_file(url, name) if url else Path(weights)
    state = _read_state(path, name)
    with torch.device("meta"):
        module = build()
    renamed = {f"{prefix}{key}": value for key, value in state.items()}
    module.load_state_dict(_checked(renamed, module, path, name), assign=True)
    return module, sha256_of(path)


def sha256_of_state(module: nn.Module) -> str:
    """Return the sha256 of the bytes of all tensors, in the module's order."""
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return the module as its library initialises it, without using up torch's generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _published_file(url: str, name: str) -> Path:
    """Return torchvision's file in torch hub's folder, downloaded if it is absent."""
    path: Path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    sha256 = path.stem.rpartition("-")[2]  # its first digits: vgg16-397923af.pth
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), sha256)
    except (URLError, OSError, RuntimeError) as error:
        raise RawDataError(
            f"weights of {name}: expected {url}, got {error}. Put that file at {path}, "
            "or set `weights` to the path of a state dict, or to `seeded` (untrained)"
        ) from error
    if not sha256_of(path).startswith(sha256):
        raise RawDataError(f"{path}: expected sha256 {sha256}..., got another; delete the file")
    return path


def _read_state(path: Path, name: str) -> dict[str, Tensor]:
    """Read a state dict without running code from the file."""
    if not path.is_file():
        raise RawDataError(
            f"{path}: no such file; `weights` of {name} is `{IMAGENET}`, `{SEEDED}`, a "
            "published version or the path of a state dict (.pth or .safetensors)"
        )
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except NO_STATE_DICT as error:
        raise RawDataError(f"{path}: expected a state dict, got {error}") from error
    if not isinstance(state, dict):
        raise RawDataError(f"{path}: expected a state dict, got {type(state).__name__}")
    return state


def _checked(
    state: dict[str, Tensor], network: nn.Module, path: Path, name: str
) -> dict[str, Tensor]:
    """Return the tensors that the network needs; a state dict may have more."""
    needed = network.state_dict()
    shapes = {key: getattr(state.get(key), "shape", None) for key in needed}
    wrong = [key for key, tensor in needed.items() if shapes[key] != tensor.shape]
    if wrong:
        first = wrong[0]
        raise RawDataError(
            f"{path}: expected the weights of {name}, got {len(wrong)} tensors that are absent "
            f"or of another shape; {first}: expected {tuple(needed[first].shape)}, "
            f"got {shapes[first]}"
        )
    return {key: state[key].to(tensor.dtype) for key, tensor in needed.items()}
