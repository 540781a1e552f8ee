"""The registry names functions as text, to import them late."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest
from paths import ROOT

from pipeline.extractors import registry
from pipeline.extractors.registry import EXTRACTORS

FUNCTIONS = [
    function.args[0]
    for extractor in EXTRACTORS.values()
    for function in (extractor.pictures, extractor.texts)
    if function is not None
]


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS)))
def test_every_name_is_that_of_a_function(name):
    if name.startswith("tfidf_svd"):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")

    assert callable(pkgutil.resolve_name(f"pipeline.extractors.{name}"))


def test_a_setting_finds_its_entry_by_the_name_before_the_colon():
    assert registry.get("openclip:ViT-B-32") is EXTRACTORS["openclip"]
    assert registry.get("sif") is EXTRACTORS["sif"]


def test_the_registry_and_the_stage_import_no_heavy_library():
    code = (
        "import sys, pipeline.extractors.registry, pipeline.features\n"
        "print({'torch', 'torchvision', 'gensim', 'sklearn'} & set(sys.modules))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout

    assert printed.strip() == "set()"
