"""The extractors by name.

To add one: a module with a function of the form that `extraction.Extractor` describes, a line
in `EXTRACTORS`, and a section for its settings in pipeline/params/features.py.
"""

from __future__ import annotations

import pkgutil
from functools import partial
from typing import Any

from pipeline.extractors.extraction import Extractor
from pipeline.params.features import NETWORKS, family


def _call(function: str, *args: Any, **kwargs: Any) -> Any:
    """Call a function of pipeline/extractors, given as `module:name`.

    The module is imported here, so that neither `--help` nor an extractor that does not need
    torch or gensim waits for their import.
    """
    return pkgutil.resolve_name(f"pipeline.extractors.{function}")(*args, **kwargs)


NETWORK = Extractor(pictures=partial(_call, "networks:encoder"))
EXTRACTORS = dict.fromkeys((*NETWORKS, "timm"), NETWORK) | {
    "openclip": Extractor(
        pictures=partial(_call, "openclip:encoder"), texts=partial(_call, "openclip:extract")
    ),
    "mcauley": Extractor(texts=partial(_call, "mcauley:extract")),
    "precomputed": Extractor(texts=partial(_call, "precomputed:extract")),
    "word2vec_mean": Extractor(texts=partial(_call, "word2vec_mean:extract")),
    "sif": Extractor(texts=partial(_call, "sif:extract")),
    "doc2vec": Extractor(texts=partial(_call, "doc2vec:extract")),
    "tfidf_svd": Extractor(texts=partial(_call, "tfidf_svd:extract")),
    "minilm": Extractor(texts=partial(_call, "minilm:extract")),
}


def get(extractor: str) -> Extractor:
    """Return the entry of a setting such as `sif` or `openclip:ViT-B-32`."""
    return EXTRACTORS[family(extractor)]
