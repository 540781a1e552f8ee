"""The extractors by name.

To add one: a module with a function of the form that `extraction.Extractor` describes, a line
in `EXTRACTORS`, and a section for its settings in pipeline/params/features.py.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Any

from pipeline.extractors.extraction import Extractor
from pipeline.params.features import NETWORKS, family


def _lazy(function: str) -> Callable[..., Any]:
    """Return a function, as `module:name`, whose module is imported when it is first called.

    Neither `--help` nor an extractor without torch or gensim should wait for their import.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return pkgutil.resolve_name(f"pipeline.extractors.{function}")(*args, **kwargs)

    return call


EXTRACTORS = {name: Extractor(_lazy("networks:encoder")) for name in (*NETWORKS, "timm")} | {
    "openclip": Extractor(_lazy("openclip:encoder"), _lazy("openclip:extract")),
    "mcauley": Extractor(texts=_lazy("mcauley:extract")),
    "precomputed": Extractor(texts=_lazy("precomputed:extract")),
    "word2vec_mean": Extractor(texts=_lazy("word2vec_mean:extract")),
    "sif": Extractor(texts=_lazy("sif:extract")),
    "doc2vec": Extractor(texts=_lazy("doc2vec:extract")),
    "tfidf_svd": Extractor(texts=_lazy("tfidf_svd:extract")),
    "minilm": Extractor(texts=_lazy("minilm:extract")),
}


def get(extractor: str) -> Extractor:
    """Return the entry of a setting such as `sif` or `openclip:ViT-B-32`."""
    return EXTRACTORS[family(extractor)]
