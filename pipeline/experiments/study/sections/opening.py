"""What the study's page begins with: what was run, and what to know before any number."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pipeline.pages.files import TIMES_FILE
from pipeline.params import Params


def lead(found: Mapping[str, Any]) -> list[str]:
    """Return what the page begins with: what was run, and with what."""
    names = ", ".join(found["order"])
    budget = found["budget"]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "polars"))
    return [
        f"The paper's tables and figures ({names}) on the dataset {found['dataset']}, with the "
        f"budget {budget['name']}: at most {budget['epochs']} epochs, {len(budget['seeds'])} "
        f"seed{'s' * (len(budget['seeds']) > 1)}, settings "
        f"{'searched on validation' if budget['search'] else 'as in params.yaml'}.",
        f"Python {platform.python_version()}, {versions}; one thread per training. How long it "
        f"took, and on what machine, is in {TIMES_FILE}: no two runs share it.",
    ]


def warnings(settings: Params, found: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before any number."""
    budget, said = found["budget"], []
    if budget["epochs"] < settings.train.epochs:
        said.append(
            f"Under-trained. The budget {budget['name']} ends after {budget['epochs']} epochs "
            f"where train.epochs has {settings.train.epochs}, and models differ in how many "
            "they need: the page shows that everything runs, not who wins."
        )
    for modality in found["data"]["modalities"]:
        made = found["data"]["features"][modality]
        if "untrained" in made["weights"]:
            said.append(f"Untrained weights. The features {modality} are from random weights.")
    if found["optimistic"]:
        said.append("Optimistic numbers. The epoch was chosen on the test items.")
    return said


def cards(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures at the top."""
    ours, budget = found["data"]["ours"], found["budget"]
    cells = {
        cell
        for table in found["tables"].values()
        for row in table["rows"]
        for cell in row["cells"]
    }
    counts = {key: f"{ours[key]:,}" for key in ("users", "items", "interactions")}
    seeds = ", ".join(map(str, budget["seeds"]))
    return counts | {
        "trainings": f"{len(cells):,}",
        "seeds": seeds if len(seeds) < 12 else str(len(budget["seeds"])),
    }
