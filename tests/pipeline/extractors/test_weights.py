from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torch import nn

from pipeline.extractors import networks, weights
from pipeline.job.errors import RawDataError


def build() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def read(path: Path):
    return weights.ready(build, "tiny", str(path), 0)


def test_seeded_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()

    first, sha256 = weights.ready(build, "tiny", "seeded", 7)
    second, same = weights.ready(build, "tiny", "seeded", 7)
    third, different = weights.ready(build, "tiny", "seeded", 8)

    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, third[0].weight)
    assert sha256 == same != different
    assert torch.equal(torch.get_rng_state(), before)
    state = b"".join(tensor.numpy().tobytes() for tensor in first.state_dict().values())
    assert sha256 == hashlib.sha256(state).hexdigest()


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_weights_from_a_file(tmp_path, name):
    """More may be there than is needed, such as the classes."""
    path = tmp_path / name
    state = weights.seeded(build, 3).state_dict()
    more = state | {"classes.bias": torch.zeros(1000)}
    (torch.save if path.suffix == ".pth" else safetensors.torch.save_file)(more, path)

    module, sha256 = read(path)

    assert module.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_that_hold_something_else(tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    wrong = {"0.weight": torch.zeros(2, 2)}
    safetensors.torch.save_file(wrong, tmp_path / "other.safetensors")

    for name in ("text.pth", "text.safetensors", "list.pth"):
        with pytest.raises(RawDataError, match=rf"{name}: expected a state dict, got"):
            read(tmp_path / name)
    with pytest.raises(
        RawDataError, match=r"weights of tiny, got 7 .*0.weight: expected \(4, 3, 3, 3\)"
    ):
        read(tmp_path / "other.safetensors")
    with pytest.raises(RawDataError, match="no such file"):
        read(Path("nowhere.pth"))


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"0.weight": Evil()}, tmp_path / "evil.pth")

    with pytest.raises(RawDataError, match="expected a state dict"):
        read(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("setting", "file"),
    [("imagenet", "resnet50-11ad3fa6"), ("IMAGENET1K_V1", "resnet50-0676ba61")],
)
def test_unavailable_published_weights(tmp_path, monkeypatch, setting, file):
    def offline(*_):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    there = tmp_path / f"checkpoints/{file}.pth"

    with pytest.raises(
        RawDataError, match=rf"{file}\.pth, got .*no network.*Put that file"
    ) as e:
        networks.load("resnet50", setting, 0)
    assert str(there) in str(e.value)
    assert "`seeded`" in str(e.value)

    there.write_bytes(b"cut short")
    with pytest.raises(RawDataError, match=f"expected sha256 {file.partition('-')[2]}"):
        networks.load("resnet50", setting, 0)


def test_downloaded_published_weights(tmp_path, monkeypatch):
    """The file in torch hub's folder is used, if its sha256 begins as its name says."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save(weights.seeded(build, 3).state_dict(), tmp_path / "tiny.pth")
    sha256 = hashlib.sha256((tmp_path / "tiny.pth").read_bytes()).hexdigest()
    name = f"tiny-{sha256[:8]}.pth"
    (tmp_path / "tiny.pth").rename(tmp_path / "checkpoints" / name)

    _, digest = weights.ready(build, "tiny", "imagenet", 0, f"https://example.org/{name}")

    assert digest == sha256
