"""VGG16's second fully connected layer: 4096 numbers for a picture.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
ICLR 2015, https://arxiv.org/abs/1409.1556, configuration D, as torchvision builds it. The paper
takes f_v from VGG16, 4096-d (section 3.2); the network stops after the ReLU of `fc7`.

Shapes: B pictures of a batch, 3 channels, 224 x 224 pixels, 4096 features.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import VGG, VGG16_Weights
from torchvision.transforms import InterpolationMode, functional

from pipeline.errors import RawDataError
from pipeline.extractors import Extraction, n_cpus
from pipeline.feature_table import Vector
from pipeline.io import sha256_of
from pipeline.pictures import IN_WORDS, open_rgb

DIM = 4096
IMAGENET, SEEDED = "imagenet", "seeded"  # settings of `weights`; anything else is a path
# torchvision VGG16_Weights.IMAGENET1K_V1.transforms(); channel order RGB, range 0..1
RESIZE, CROP = 256, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAX_ASPECT = (
    20  # longer pictures are cut to this first: a 1 x 50000 strip would be resized to GBs
)
BATCH = 16  # fixed: the last digits of a feature may depend on it
AHEAD = 8 * BATCH  # pictures decoded ahead of the network
# What reading another kind of file raises.
NO_STATE_DICT = (
    UnpicklingError,
    SafetensorError,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    RuntimeError,
)


def extract(
    pictures: Iterable[bytes], *, weights: str, seed: int, device: torch.device
) -> Extraction:
    """Encode pictures, one batch at a time, as the vectors are asked for.

    Args:
        pictures: files that `pictures.open_rgb` can decode.
        weights: `imagenet` (downloaded by torchvision), `seeded` (random, untrained) or the
            path of a state dict with torchvision's names, .pth or .safetensors.
        seed: of the seeded weights.
        device: where the network runs.

    Returns:
        One (4096,) vector per picture.

    Raises:
        RawDataError: the weights cannot be had, or are not VGG16's.
    """
    network = truncated_vgg16()
    state, sha256 = weights_of(network, weights, seed)
    network.load_state_dict(state, assign=True)
    network = network.to(memory_format=torch.channels_last).to(device).eval()
    return Extraction(
        dim=DIM,
        weights="seeded (untrained)" if weights == SEEDED else weights,
        weights_sha256=sha256,
        preprocessing=_preprocessing(),
        versions={
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "pillow": PIL.__version__,
            "numpy": np.__version__,
        },
        vectors=_encode(network, pictures, device),
    )


def truncated_vgg16() -> VGG:
    """Return torchvision's VGG16 up to fc7's ReLU, without memory for its weights yet."""
    with torch.device("meta"):
        network: VGG = torchvision.models.vgg16(weights=None, init_weights=False)
    # Linear, ReLU, Dropout, Linear, ReLU
    network.classifier = network.classifier[:5]
    return network


def weights_of(network: nn.Module, weights: str, seed: int) -> tuple[dict[str, Tensor], str]:
    """Return the state dict that a setting stands for, and its sha256; see `extract`."""
    if weights == SEEDED:
        state = seeded_state(network, seed)
        digest = hashlib.sha256()
        for tensor in state.values():
            digest.update(tensor.numpy().tobytes())
        return state, digest.hexdigest()
    path = _imagenet_file() if weights == IMAGENET else Path(weights)
    return _checked(_read_state(path), network, path), sha256_of(path)


def seeded_state(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return random weights of the distributions that torchvision gives an untrained VGG16.

    Convolutions are He normal over fan-out, linear layers N(0, 0.01^2), biases 0. torchvision
    draws from the global generator; here the seed is an argument.
    """
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, like in network.state_dict().items():
        tensor = torch.zeros(like.shape)
        if like.dim() == 4:
            fan_out = like.shape[0] * like.shape[2] * like.shape[3]
            tensor.normal_(0, (2 / fan_out) ** 0.5, generator=generator)
        elif like.dim() == 2:
            tensor.normal_(0, 0.01, generator=generator)
        state[name] = tensor
    return state


def _imagenet_file() -> Path:
    """Return torchvision's file in torch hub's folder, downloaded if it is not there."""
    url = VGG16_Weights.IMAGENET1K_V1.url
    path: Path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    sha256 = path.stem.rpartition("-")[2]  # its first digits: vgg16-397923af.pth
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), sha256)
    except (URLError, OSError, RuntimeError) as error:
        raise RawDataError(
            f"weights imagenet of vgg16: expected {url}, got {error}. Put that file at {path}, "
            "or set `weights` to the path of a state dict, or to `seeded` (untrained)"
        ) from error
    if not sha256_of(path).startswith(sha256):
        raise RawDataError(f"{path}: expected sha256 {sha256}..., got another; delete the file")
    return path


def _read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running anything that the file says."""
    if not path.is_file():
        raise RawDataError(
            f"{path}: no such file; `weights` of vgg16 is `{IMAGENET}`, `{SEEDED}` or the path "
            "of a state dict (.pth or .safetensors)"
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


def _checked(state: dict[str, Tensor], network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Return what the network needs of a state dict, as float32; more may be there."""
    needed = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: getattr(state.get(name), "shape", None) for name in needed}
    wrong = [name for name, shape in needed.items() if found[name] != shape]
    if wrong:
        first = wrong[0]
        raise RawDataError(
            f"{path}: expected torchvision's VGG16, got {len(wrong)} tensors that are absent "
            f"or of another shape; {first}: expected {tuple(needed[first])}, got {found[first]}"
        )
    return {name: state[name].float() for name in needed}


def preprocess(data: bytes) -> Tensor:
    """Return a picture as torchvision's VGG16 wants it, but for the normalisation.

    Args:
        data: a picture file.

    Returns:
        (3, 224, 224) uint8.
    """
    image = _central_part(open_rgb(data))
    image = functional.resize(image, [RESIZE], InterpolationMode.BILINEAR, antialias=True)
    pixels: Tensor = functional.pil_to_tensor(functional.center_crop(image, [CROP, CROP]))
    return pixels


def _central_part(image: Image.Image) -> Image.Image:
    longest = MAX_ASPECT * min(image.size)
    if max(image.size) <= longest:
        return image
    size = [min(image.height, longest), min(image.width, longest)]
    part: Image.Image = functional.center_crop(image, size)
    return part


def _encode(
    network: nn.Module, pictures: Iterable[bytes], device: torch.device
) -> Iterator[Vector]:
    """Yield a vector per picture; threads decode ahead while the network computes."""
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, STD))
    with ThreadPoolExecutor(n_cpus()) as pool:
        pixels = _decoded_ahead(pool, iter(pictures))
        while batch := list(islice(pixels, BATCH)):
            images = torch.stack(batch).to(device, memory_format=torch.channels_last)
            with torch.inference_mode():
                features = network((images / 255 - mean) / std)
            yield from features.cpu().numpy()


def _decoded_ahead(pool: ThreadPoolExecutor, pictures: Iterator[bytes]) -> Iterator[Tensor]:
    waiting = deque(pool.submit(preprocess, one) for one in islice(pictures, AHEAD))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(preprocess, one) for one in islice(pictures, 1))


def _preprocessing() -> dict[str, Any]:
    """Say in words what was done; stored with the features."""
    return {
        "decoded": IN_WORDS,
        "resized": f"shorter side to {RESIZE}, bilinear with antialiasing",
        "cropped": f"centre, {CROP} x {CROP}; beyond 1 : {MAX_ASPECT} also before resizing",
        "mean": MEAN,
        "std": STD,
        "layer": "second fully connected layer after its ReLU, dropout off",
    }
