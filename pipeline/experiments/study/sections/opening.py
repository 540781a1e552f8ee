"""The opening of the study's page: what was run, and what to know before any number."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pipeline.pages.file_names import TIMES_FILE
from pipeline.params import Params


def lead(tables: Mapping[str, Any]) -> list[str]:
    """Return the first paragraphs: what was run, and with which versions."""
    names, budget = ", ".join(tables["order"]), tables["budget"]
    n_seeds = len(budget["seeds"])
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "polars"))
    return [
        f"The paper's tables and figures ({names}) on the dataset {tables['dataset']}, with "
        f"the budget {budget['name']}: at most {budget['epochs']} epochs, {n_seeds} "
        f"seed{'s' * (n_seeds > 1)}, settings "
        f"{'searched on validation' if budget['search'] else 'as in params.yaml'}.",
        f"Python {platform.python_version()}, {versions}; one thread per training. How long it "
        f"took, and on what machine, is in {TIMES_FILE}: no two runs share it.",
    ]


def warnings(settings: Params, tables: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before any number."""
    budget, texts = tables["budget"], []
    if budget["epochs"] < settings.train.epochs:
        texts.append(
            f"Under-trained. The budget {budget['name']} ends after {budget['epochs']} epochs "
            f"where train.epochs has {settings.train.epochs}, and models differ in how many "
            "they need: the page shows that everything runs, not who wins."
        )
    for modality in tables["data"]["modalities"]:
        if "untrained" in tables["data"]["features"][modality]["weights"]:
            texts.append(f"Untrained weights. The features {modality} are from random weights.")
    if tables["optimistic"]:
        texts.append("Optimistic numbers. The epoch was chosen on the test items.")
    return texts


def cards(tables: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures at the top."""
    ours, seeds = tables["data"]["ours"], tables["budget"]["seeds"]
    cells = {
        cell
        for table in tables["tables"].values()
        for row in table["rows"]
        for cell in row["cells"]
    }
    listed = ", ".join(map(str, seeds))
    return {
        **{key: f"{ours[key]:,}" for key in ("users", "items", "interactions")},
        "trainings": f"{len(cells):,}",
        "seeds": listed if len(listed) < 12 else str(len(seeds)),
    }
