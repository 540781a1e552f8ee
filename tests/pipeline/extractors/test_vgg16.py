"""The reference is torchvision's own network and preprocessing with the same weights."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image
from torchvision.models import VGG16_Weights

from pipeline.errors import RawDataError
from pipeline.extractors import vgg16

CPU = torch.device("cpu")
REAL = Path(__file__).parents[4] / "shared/data/product_images/images"


def jpeg(seed: int, size: tuple[int, int] = (60, 80)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return vgg16.seeded_state(vgg16.truncated_vgg16(), seed=7)


def reference(state: dict[str, torch.Tensor], pictures: list[bytes]) -> np.ndarray:
    """torchvision's VGG16 as it comes, stopped after the second ReLU of its classifier."""
    with torch.device("meta"):
        network = torchvision.models.vgg16(weights=None, init_weights=False)
    network.load_state_dict(state, strict=False, assign=True)
    network.eval()
    transforms = VGG16_Weights.IMAGENET1K_V1.transforms()
    images = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    with torch.inference_mode():
        hidden = network.avgpool(network.features(torch.stack([transforms(i) for i in images])))
        return network.classifier[:5](hidden.flatten(1)).numpy()


def test_features_equal_torchvision(state):
    pictures = [jpeg(0), jpeg(1, (300, 200)), jpeg(2, (256, 700))]

    extraction = vgg16.extract(pictures, weights="seeded", seed=7, device=CPU)
    feature = np.stack(list(extraction.vectors))

    np.testing.assert_allclose(feature, reference(state, pictures), rtol=1e-4, atol=1e-5)
    assert feature.shape == (3, 4096)
    assert feature.dtype == np.float32
    assert (feature > 0).mean() > 0.1
    digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in state.values()))
    assert extraction.weights_sha256 == digest.hexdigest()
    assert extraction.weights == "seeded (untrained)"
    assert extraction.dim == 4096
    assert set(extraction.versions) == {"torch", "torchvision", "pillow", "numpy"}
    assert extraction.preprocessing["mean"] == (0.485, 0.456, 0.406)


def test_seeded_weights_depend_on_the_seed_alone(state):
    network = vgg16.truncated_vgg16()
    torch.manual_seed(0)
    before = torch.get_rng_state()

    again = vgg16.seeded_state(network, seed=7)

    assert all(torch.equal(again[name], state[name]) for name in state)
    assert torch.equal(torch.get_rng_state(), before)
    first = vgg16.truncated_vgg16().features[:1]
    other = vgg16.seeded_state(first, seed=8)
    assert not torch.equal(other["0.weight"], state["features.0.weight"])


def test_preprocessing_is_torchvisions_exactly():
    preset = VGG16_Weights.IMAGENET1K_V1.transforms()
    assert (preset.resize_size, preset.crop_size) == ([vgg16.RESIZE], [vgg16.CROP])
    assert (tuple(preset.mean), tuple(preset.std)) == (vgg16.MEAN, vgg16.STD)
    data = jpeg(3, (333, 257))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (vgg16.MEAN, vgg16.STD))

    ours = (vgg16.preprocess(data) / 255 - mean) / std

    assert torch.equal(ours, preset(Image.open(io.BytesIO(data))))


def test_a_strip_of_pixels_does_not_fill_the_memory():
    assert vgg16.preprocess(jpeg(4, (1, 20_000))).shape == (3, 224, 224)
    assert vgg16.preprocess(jpeg(4, (20_000, 1))).shape == (3, 224, 224)


def small(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A whole state dict in a few kilobytes: every tensor is one number, repeated."""
    return {
        name: torch.tensor(0.01).expand(t.shape) for name, t in network.state_dict().items()
    }


def test_weights_from_a_file(tmp_path):
    network = vgg16.truncated_vgg16()
    state = small(network) | {"classifier.6.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "vgg.pth")

    read, sha256 = vgg16.weights_of(network, str(tmp_path / "vgg.pth"), seed=0)

    assert read.keys() == network.state_dict().keys()
    assert all(torch.equal(read[name], state[name]) for name in read)
    assert sha256 == hashlib.sha256((tmp_path / "vgg.pth").read_bytes()).hexdigest()


def test_files_that_hold_no_vgg16(tmp_path):
    network = vgg16.truncated_vgg16()
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    wrong = {"features.0.weight": torch.zeros(2, 2)}
    safetensors.torch.save_file(wrong, tmp_path / "other.safetensors")

    for name in ("text.pth", "text.safetensors", "list.pth"):
        with pytest.raises(RawDataError, match=rf"{name}: expected a state dict, got"):
            vgg16.weights_of(network, str(tmp_path / name), seed=0)
    with pytest.raises(RawDataError, match=r"features.0.weight: expected \(64, 3, 3, 3\)"):
        vgg16.weights_of(network, str(tmp_path / "other.safetensors"), seed=0)
    with pytest.raises(RawDataError, match="no such file"):
        vgg16.weights_of(network, "nowhere.pth", seed=0)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")

    with pytest.raises(RawDataError, match="expected a state dict"):
        vgg16.weights_of(vgg16.truncated_vgg16(), str(tmp_path / "evil.pth"), seed=0)
    assert not (tmp_path / "ran").exists()


def test_imagenet_weights_that_cannot_be_had(tmp_path, monkeypatch):
    def offline(*_):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    there = tmp_path / "checkpoints/vgg16-397923af.pth"

    with pytest.raises(
        RawDataError, match=r"vgg16-397923af\.pth, got .*no network.*Put that file"
    ) as e:
        vgg16.weights_of(vgg16.truncated_vgg16(), "imagenet", seed=0)
    assert str(there) in str(e.value)
    assert "`seeded`" in str(e.value)

    there.write_bytes(b"cut short")
    with pytest.raises(RawDataError, match="expected sha256 397923af"):
        vgg16.weights_of(vgg16.truncated_vgg16(), "imagenet", seed=0)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real product pictures are not here")
def test_real_pictures_are_told_apart():
    pictures = [path.read_bytes() for path in sorted(REAL.glob("*.jpg"))[:3]]

    extraction = vgg16.extract(pictures, weights="seeded", seed=7, device=CPU)
    feature = np.stack(list(extraction.vectors))

    assert np.isfinite(feature).all()
    assert len(np.unique(feature, axis=0)) == 3
