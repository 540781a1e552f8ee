"""The cells of a sweep as commands of DVC."""

import copy
import shlex
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from pipeline import params
from pipeline.experiments.sweep import dvc_lines
from pipeline.job.errors import ParamsError
from pipeline.params import sweep

RAW = yaml.safe_load(Path("params.yaml").read_text())
SWEEP = {
    "models": ["mcln", "vbpr"],
    "ranges": {"lr": [0.001, 0.00001], "layers": [2, 1]},
    "cells": "all",
    "trials": 0,
    "seeds": [2023, 7],
    "budget": {"epochs": 4, "evaluate_every": 2, "patience": 2},
}


def declared(**changes):
    return copy.deepcopy(RAW | {"models": ["mcln", "base"], "sweep": SWEEP | changes})


def applied(raw, line, folder):
    """Return params.yaml after DVC itself changed it as the line says."""
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    words = shlex.split(line)
    apply_overrides(path, [words[i + 1] for i, word in enumerate(words) if word == "-S"])
    return params.load(path)


@pytest.mark.parametrize("layer", [None, {"lr": 0.7}, {"l2": 0.7}])
def test_an_experiment_trains_its_cell_under_the_sweeps_budget(tmp_path, layer):
    """Whether or not the dataset has a layer of its own, with or without the setting."""
    raw = declared()
    if layer:
        raw["mcln"]["sample"] = layer
    settings = params.parse(raw)

    lines = dvc_lines.lines(settings, "sample", "mcln")

    cells = [c for c in sweep.cells(settings, "sample", "mcln") if c.seed == 2023]
    assert len(lines) == len(cells) == 4
    for line, cell in zip(lines, cells, strict=True):
        assert line.startswith(f"dvc exp run --queue --name sample-mcln-{cell.short_name} -S ")
        after = applied(raw, line, tmp_path)
        wanted = settings.model("mcln", "sample").model_copy(update=cell.values)
        assert after.model("mcln", "sample") == wanted
        assert after.train.model_dump() == settings.train.model_dump() | SWEEP["budget"]


def test_a_form_of_a_model_gets_a_setting_of_its_own_and_leaves_the_model_alone(tmp_path):
    raw = declared(models=["base"], ranges={"layers": [1]})
    settings = params.parse(raw)

    (line,) = dvc_lines.lines(settings, "sample", "base")

    after = applied(raw, line, tmp_path)
    assert after.model("base", "sample").layers == 1
    assert after.model("mcln", "sample") == settings.model("mcln", "sample")


@pytest.mark.parametrize(
    ("dataset", "model", "change", "message"),
    [
        ("sample", "vbpr", {}, r"params\.yaml: models: expected 'vbpr' among them"),
        ("art", "mcln", {}, r"params\.yaml: datasets: expected 'art' among them"),
        ("sample", "base", {}, r"sweep\.models: no model 'base'"),
        (
            "sample",
            "mcln",
            {"seeds": [7]},
            r"no cell of mcln on sample has the file's seed, 2023",
        ),
        ("sample", "mcln", {"cells": "none", "trials": 1}, r"no cell .*see sweep\.seeds"),
    ],
)
def test_what_dvc_cannot_build_is_refused(dataset, model, change, message):
    with pytest.raises(ParamsError, match=message):
        dvc_lines.lines(params.parse(declared(**change)), dataset, model)
