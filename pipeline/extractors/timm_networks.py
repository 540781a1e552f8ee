"""Any network of timm by its name: what stands before its classes.

`timm:vit_base_patch16_dinov3.lvd1689m`, say, where what follows the dot is the published
weights' tag. https://huggingface.co/docs/timm
"""

from __future__ import annotations

import torch
from torch import nn
from torchvision.transforms import InterpolationMode

from pipeline.extractors import weights as w
from pipeline.extractors.extra import need, version
from pipeline.extractors.networks import Input, Network
from pipeline.job.errors import ParamsError, RawDataError


def load(name: str, weights: str, seed: int) -> Network:
    """Return a network of timm; see `networks.load`.

    Args:
        name: without `timm:`.
        weights: `imagenet` for those that timm publishes under the name (whatever they were
            trained on), `seeded`, or the path of a state dict.
        seed: of the seeded weights.
    """
    timm = need("timm", "timm")

    def build(pretrained: bool = False) -> nn.Module:
        try:
            module: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0)
        except RuntimeError as error:
            raise ParamsError(f"extractor timm:{name}: timm says: {error}") from None
        # huggingface_hub's errors of all kinds are OSErrors.
        except (OSError, ValueError) as error:
            raise RawDataError(
                f"weights of timm:{name}: not to be had ({type(error).__name__}: {error}). Set "
                "`weights` to the path of a state dict, or to `seeded` (untrained)"
            ) from error
        return module

    if weights == w.IMAGENET:
        module = build(pretrained=True)
        sha256 = w.sha256_of_state(module)
    else:
        module, sha256 = w.ready(build, f"timm:{name}", weights, seed, None)
    expected = input_of(timm.data.resolve_model_data_config(module))
    return Network(
        module=module,
        dim=width(module, expected),
        layer="what timm hands to the classes (num_classes=0)",
        input=expected,
        weights=w.in_words(weights),
        weights_sha256=sha256,
        versions={"timm": version("timm")},
    )


def input_of(config: dict[str, object]) -> Input:
    """Return timm's data configuration of a network as the pictures are prepared here."""
    side = int(config["input_size"][-1])  # type: ignore[index]
    return Input(
        resize=int(side / float(config["crop_pct"])),  # type: ignore[arg-type]
        crop=side,
        mean=tuple(config["mean"]),  # type: ignore[arg-type]
        std=tuple(config["std"]),  # type: ignore[arg-type]
        interpolation=InterpolationMode(config["interpolation"]),
    )


def width(module: nn.Module, expected: Input) -> int:
    """Return how many numbers a network makes of one picture."""
    side = expected.crop
    training = module.training
    with torch.inference_mode():
        row = module.eval()(torch.zeros(1, 3, side, side))
    module.train(training)
    return int(row.shape[1])
