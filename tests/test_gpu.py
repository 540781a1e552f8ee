"""On a CUDA GPU: the CPU's results up to rounding, and the same bytes in every run."""

import io

import numpy as np
import pytest
import torch
import toy
from PIL import Image

from model.fit import Progress, Training
from model.recommenders import MODELS, build
from pipeline.extractors import networks
from pipeline.extractors.encode import picture_encoder
from pipeline.extractors.extraction import BLOCK, Machine, torch_device
from pipeline.learning.command_line import use_threads

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LEARN = [name for name in MODELS if name not in ("popularity", "itemknn", "ease")]
EPOCHS = 3
# Relative to the norm, with random weights; docs/benchmarks.md has the measurements.
DEVIATIONS = {"float32": 1e-5, "tensorfloat32": 5e-3, "bfloat16": 5e-2}


@pytest.fixture(autouse=True)
def torch_settings_of_the_stages():
    before = torch.get_num_threads()
    use_threads(None)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


def made(name, generator):
    settings = toy.SETTINGS[name]
    return build(name, toy.interactions(), toy.features(), generator=generator, **settings)


def training(name, device):
    generator = toy.generator()
    settings = {"lr": 0.01, "batch_size": 16, "generator": generator, "device": device}
    return Training(made(name, generator), toy.interactions(), **settings)


def trained(name, device):
    """Return the losses of a few epochs, and the state that a resumed training needs."""
    learning = training(name, device)
    losses = [learning.run_epoch() for _ in range(EPOCHS)]
    return losses, learning.tensors()


def differing(first, second):
    return [key for key, value in first.items() if not torch.equal(value, second[key])]


@pytest.mark.parametrize("name", LEARN)
def test_training_goes_as_on_the_cpu(name):
    assert trained(name, CUDA)[0] == pytest.approx(trained(name, CPU)[0], rel=1e-3)


@pytest.mark.parametrize("name", LEARN)
def test_training_gives_the_same_bytes_again(name):
    _, first = trained(name, CUDA)
    _, second = trained(name, CUDA)

    assert differing(first, second) == []


@pytest.mark.parametrize("name", LEARN)
def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(name):
    stopped, resumed = training(name, CUDA), training(name, CUDA)
    stopped.run_epoch()
    saved = {key: value.clone() for key, value in stopped.tensors().items()}
    resumed.restore(saved, Progress(epoch=1))

    for learning in (stopped, resumed):
        learning.run_epoch()

    assert differing(stopped.tensors(), resumed.tensors()) == []


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_the_cpu(name):
    model = made(name, toy.generator()).eval()
    users = torch.arange(toy.N_USERS)
    with torch.inference_mode():
        on_cpu = model.scorer()(users)
        on_cuda = model.to(CUDA).scorer()(users).cpu()

    torch.testing.assert_close(on_cuda, on_cpu, rtol=1e-4, atol=1e-5)


def pictures(count):
    random = np.random.default_rng(3)
    files = []
    for _ in range(count):
        file = io.BytesIO()
        small = Image.fromarray(random.integers(0, 256, (12, 9, 3), np.uint8))
        small.resize((360, 270), Image.Resampling.BICUBIC).save(file, "JPEG")
        files.append(file.getvalue())
    return files


def encoded(network, device, files, precision="float32"):
    loaded = networks.load(network, "seeded", 7)
    return np.stack(list(picture_encoder(loaded, device, precision).encode(files)))


@pytest.mark.parametrize("network", ["vgg16", "resnet50", "vit_b_16"])
def test_features_are_those_of_the_cpu_within_what_the_precision_says(network):
    files = pictures(6)
    expected = encoded(network, CPU, files)

    for precision, allowed in DEVIATIONS.items():
        rows = encoded(network, CUDA, files, precision)
        deviation = np.linalg.norm(rows - expected) / np.linalg.norm(expected)
        print(f"{network} {precision}: {deviation:.1e}")
        assert deviation < allowed, precision


@pytest.mark.parametrize("network", ["vgg16", "resnet50"])
def test_features_are_the_same_bytes_again_and_from_the_middle(network):
    files = pictures(4 * BLOCK + 5)
    rows = encoded(network, CUDA, files)

    assert np.array_equal(encoded(network, CUDA, files), rows)
    assert np.array_equal(encoded(network, CUDA, files[2 * BLOCK :]), rows[2 * BLOCK :])


def test_auto_takes_the_gpu():
    assert torch_device(Machine(device="auto")).type == "cuda"
