"""A small study: its settings, and numbers for its cells without a training."""

import copy
from pathlib import Path

import polars as pl
import yaml

from pipeline import params
from pipeline.experiments.study import tables
from pipeline.params import study
from pipeline.tables import schema as s

RAW = yaml.safe_load(Path("params.yaml").read_text())
STUDY = {
    "tables": ["first", "second"],
    "grids": {"figure4": {"models": ["mcln", "base"], "setting": "layers", "values": [3, 4]}},
    "budget": "small",
    "budgets": {
        "small": {
            "epochs": 4, "evaluate_every": 2, "patience": 2, "seeds": [1, 2], "search": False,
        },
        "large": {
            "epochs": 9, "evaluate_every": 3, "patience": 1, "seeds": [5], "search": True,
        },
    },
}  # fmt: skip
TABLES = {"first": ["bprmf", "mcln"], "second": ["base", "base_vt_cl"]}
STATISTICS = {"users": 6, "items": 900, "interactions": 1234, "density": 0.25}
MADE = {
    "visual": {
        "extractor": "vgg16", "field": "image", "weights": "seeded (untrained)", "dim": "4096",
    },
    "textual": {"extractor": "sif", "field": "title", "weights": "trained", "dim": "300"},
}  # fmt: skip


def raw(**changes):
    """Return params.yaml with a small study, and `study` changed."""
    found = copy.deepcopy(RAW) | {"tables": copy.deepcopy(TABLES), "extractors": {}}
    found["benchmark"] = {}
    return found | {"study": copy.deepcopy(STUDY) | changes}


def parsed(**changes):
    return params.parse(raw(**changes))


def of_cell(cell):
    """Return metrics and ranks: `mcln` is above `bprmf`, and another seed a little higher."""
    value = {"bprmf": 0.2, "mcln": 0.4, "base": 0.3}.get(cell.model, 0.35) + cell.seed / 100
    measures = dict.fromkeys(("hr@5", "ndcg@5", "hr@10", "ndcg@10"), value)
    metrics = {
        "dataset": "sample",
        "model": cell.model,
        "epoch": 2 * cell.seed,
        "settings": {"lr": 0.1},
        "selected_on": "validation ndcg@10 (sampled)",
        "trained_on": "train and validation",
        "refit": True,
        "optimistic": False,
        "n_users": 6,
        "sampled": measures | {"candidates": 100},
        "full": measures | {"candidates": 900},
    }
    first = {"bprmf": 8, "mcln": 0}.get(cell.model, 4)
    rows = [(user, user, first, first + user, cell.seed) for user in range(6)]
    return metrics, pl.DataFrame(rows, schema=s.RANKS, orient="row")


def numbers(dataset="sample", folder="", **changes):
    """Return the content of tables.json."""
    settings = parsed(**changes)
    found = {n: of_cell(c) for n, c in study.cells(settings, dataset).items()}
    table = tables.gathered(
        settings,
        dataset,
        {name: own[0] for name, own in found.items()},
        {name: own[1] for name, own in found.items()},
    )
    return table | {"data": tables.data(STATISTICS, MADE, folder)}
