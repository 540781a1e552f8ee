"""timm and open_clip by name, untrained: their published weights need a network."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from pipeline.extractors import networks, openclip, weights
from pipeline.extractors.encode import picture_encoder
from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.params.features import OpenClip
from tests.pipeline.extractors.pictures import jpeg

timm = pytest.importorskip("timm", reason="extra not installed")
open_clip = pytest.importorskip("open_clip", reason="extra not installed")
CPU = torch.device("cpu")
CLIP = OpenClip(extractor="openclip:RN50", weights="seeded", field="title")


def test_timm_network_equals_timms_own_forward():
    name = "mobilenetv3_small_100"
    network = networks.load(f"timm:{name}", "seeded", 3)

    (feature,) = picture_encoder(network, CPU, "float32").encode([jpeg(0)])

    with torch.random.fork_rng():
        torch.manual_seed(3)
        own = timm.create_model(name, num_classes=0).eval()

    config = timm.data.resolve_model_data_config(own)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        expected = own(transform(Image.open(BytesIO(jpeg(0))))[None])[0]
    assert network.dim == len(expected) == 1024
    np.testing.assert_allclose(feature, expected, rtol=1e-3, atol=1e-4)


def test_weights_of_timm_from_a_file(tmp_path):
    network = networks.load("timm:mobilenetv3_small_100", "seeded", 3)
    torch.save(network.module.state_dict(), tmp_path / "net.pth")

    again = networks.load("timm:mobilenetv3_small_100", str(tmp_path / "net.pth"), 0)

    assert weights.sha256_of_state(again.module) == network.weights_sha256


def test_unavailable_networks_and_weights_are_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(ParamsError, match=r"timm:no_such_net: timm reports"):
        networks.load("timm:no_such_net", "seeded", 0)
    with pytest.raises(RawDataError, match=r"weights of timm:mobilenetv3.*`seeded`"):
        networks.load("timm:mobilenetv3_small_100", "imagenet", 0)
    with pytest.raises(ParamsError, match=r"openclip:NoNet: expected a model of open_clip"):
        openclip.load("NoNet", "seeded", 0)
    with pytest.raises(RawDataError, match=r"no such file; `weights` of openclip:RN50"):
        openclip.load("RN50", "no_such_tag", 0)
    with pytest.raises(RawDataError, match=r"weights laion2b_e16 of openclip:ViT-B-32: unav"):
        openclip.load("ViT-B-32", "laion2b_e16", 0)


def test_pictures_and_texts_have_vectors_of_one_width():
    network = openclip.load_pictures("RN50", "seeded", 3)
    (picture,) = picture_encoder(network, CPU, "float32").encode([jpeg(0)])
    texts = pl.Series("title", ["a red shoe", None, " ", "a hat"])

    extraction = EXTRACTORS["openclip"].texts(texts, CLIP, 3, Machine(device="cpu"))
    vectors = list(extraction.vectors)

    assert extraction.dim == network.dim == len(picture) == len(vectors[0])
    assert [vector is None for vector in vectors] == [False, True, True, False]
    assert not np.array_equal(vectors[0], vectors[3])
    clip = openclip.load("RN50", "seeded", 3)[0].eval()
    with torch.inference_mode():
        expected = clip.encode_text(open_clip.get_tokenizer("RN50")(["a hat"]))[0]
    np.testing.assert_allclose(vectors[3], expected, rtol=1e-3, atol=1e-5)


def test_token_lists_are_refused():
    tokens = pl.Series("title_tokens", [["7"]])

    with pytest.raises(ParamsError, match="openclip reads strings"):
        EXTRACTORS["openclip"].texts(tokens, CLIP, 3, Machine(device="cpu"))
