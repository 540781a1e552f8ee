"""Any network of timm by name, without its classes.

`timm:vit_base_patch16_dinov3.lvd1689m`, say; the tag of the published weights follows the dot.
https://huggingface.co/docs/timm
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.transforms import InterpolationMode

from pipeline.extractors import weights as w
from pipeline.extractors.network import Input, Network, width
from pipeline.extractors.packages import need, versions
from pipeline.job.errors import ParamsError, RawDataError


def load(name: str, weights: str, seed: int) -> Network:
    """Return a network of timm; see `networks.load`.

    Args:
        name: without `timm:`.
        weights: `imagenet` for the ones that timm publishes under the name (whatever they were
            trained on), `seeded`, or the path of a state dict.
        seed: of the seeded weights.
    """
    timm = need("timm", "timm")

    def build(pretrained: bool = False) -> nn.Module:
        try:
            module: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0)
        except RuntimeError as error:
            raise ParamsError(f"extractor timm:{name}: timm reports: {error}") from None
        # huggingface_hub's errors of all kinds are OSErrors.
        except (OSError, ValueError) as error:
            raise RawDataError(
                f"weights of timm:{name}: unavailable ({type(error).__name__}: {error}). Set "
                "`weights` to the path of a state dict, or to `seeded` (untrained)"
            ) from error
        return module

    if weights == w.IMAGENET:
        module = build(pretrained=True)
        sha256 = w.sha256_of_state(module)
    else:
        module, sha256 = w.ready(build, f"timm:{name}", weights, seed)
    expected = input_of(timm.data.resolve_model_data_config(module))
    return Network(
        module=module,
        dim=width(module, expected),
        layer="what timm hands to the classes (num_classes=0)",
        input=expected,
        weights=w.in_words(weights),
        weights_sha256=sha256,
        versions=versions("timm"),
    )


def input_of(config: dict[str, Any]) -> Input:
    """Translate timm's data configuration of a network."""
    side = int(config["input_size"][-1])
    return Input(
        resize=int(side / float(config["crop_pct"])),
        crop=side,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=InterpolationMode(config["interpolation"]),
    )
