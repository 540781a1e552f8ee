"""The section `sweep`: which cells there are, and what of params.yaml they depend on."""

import copy
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.job.errors import ParamsError
from pipeline.params import sweep
from workflow import settings

RAW = yaml.safe_load(Path("params.yaml").read_text())
SWEEP = {
    "models": ["bprmf", "lightgcn"],
    "ranges": {"lr": [0.001, 0.00001], "layers": [2, 1]},
    "cells": "all",
    "trials": 0,
    "seeds": [1, 2],
    "budget": {"epochs": 4, "evaluate_every": 2, "patience": 2},
}


def parsed(**changes):
    return params.parse(copy.deepcopy(RAW) | {"sweep": SWEEP | changes})


def names(model, **changes):
    return [cell.short_name for cell in sweep.cells(parsed(**changes), "sample", model)]


def test_the_file_has_the_papers_ranges():
    """Section 4.1.4."""
    ranges = params.parse(RAW).sweep.ranges

    assert ranges["lr"] == [1e-4, 1e-3, 1e-2, 1e-1, 1]
    assert ranges["l2"] == [0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert ranges["layers"] == [1, 2, 3, 4, 5, 6]
    assert ranges["counterfactual_layers"] == [1, 2, 3, 4, 5]
    every = params.parse(copy.deepcopy(RAW) | {"sweep": RAW["sweep"] | {"cells": "all"}})
    assert len(sweep.cells(every, "sample", "mcln")) == 5 * 6 * 6 * 5


def test_all_is_every_combination_of_what_the_model_has_on_every_seed():
    assert names("bprmf", seeds=[7]) == ["lr-0.001__seed-7", "lr-0.00001__seed-7"]
    assert len(set(names("lightgcn"))) == 2 * 2 * 2
    assert names("lightgcn")[0] == "layers-2__lr-0.001__seed-1"


def test_one_at_a_time_is_the_model_as_it_stands_and_one_change_each():
    """LightGCN has 4 layers, which is in no range here."""
    assert names("lightgcn", cells="one_at_a_time", seeds=[7]) == [
        "layers-4__lr-0.001__seed-7",
        "layers-4__lr-0.00001__seed-7",
        "layers-2__lr-0.001__seed-7",
        "layers-1__lr-0.001__seed-7",
    ]


def test_an_edited_value_makes_new_cells_and_leaves_the_names_of_all_others():
    before = names("lightgcn")

    after = names("lightgcn", ranges={"layers": [2, 3], "lr": [0.001, 0.00001]})

    assert set(before) - set(after) == {n for n in before if n.startswith("layers-1_")}
    assert set(after) - set(before) == {n for n in after if n.startswith("layers-3_")}


def slices(change=lambda raw: None):
    raw = copy.deepcopy(RAW) | {"sweep": dict(SWEEP)}
    change(raw)
    return settings.slices(params.parse(raw))


@pytest.mark.parametrize(
    ("change", "is_seen"),
    [
        (lambda raw: raw["lightgcn"]["default"].update(lr=0.5), False),
        (lambda raw: raw["train"].update(epochs=7, evaluate_every=7), False),
        (lambda raw: raw.update(seed=7), False),
        (lambda raw: raw["lightgcn"]["default"].update(l2=0.5), True),
        (lambda raw: raw["train"].update(batch_size=64), True),
        (lambda raw: raw["train"].update(sampling="pairs"), True),
        (lambda raw: raw["sweep"].update(budget=SWEEP["budget"] | {"epochs": 6}), True),
        (lambda raw: raw["sweep"].update(ranges={"lr": [0.5], "layers": [1]}), False),
    ],
    ids=[
        "swept",
        "other budget",
        "other seed",
        "fixed",
        "batch",
        "sampling",
        "budget",
        "other values",
    ],
)
def test_a_cell_depends_on_its_name_and_on_what_the_sweep_leaves_alone(change, is_seen):
    name = "sweep_cell/sample/lightgcn"

    assert (slices(change)[name] != slices()[name]) == is_seen


def test_a_model_that_needs_a_modality_which_the_dataset_lacks_is_left_out():
    raw = copy.deepcopy(RAW) | {"datasets": ["sample", "gift_cards"]}
    raw["sweep"] = SWEEP | {"models": ["vbpr", "bprmf"], "ranges": {"lr": [0.1]}}

    found = params.parse(raw)

    assert sweep.models(found, "sample") == ["vbpr", "bprmf"]
    assert sweep.models(found, "gift_cards") == ["bprmf"]


def test_a_file_without_the_section_is_whole_and_says_so_where_it_is_needed():
    found = params.parse(copy.deepcopy(RAW) | {"sweep": None})

    assert sweep.models(found, "sample") == []
    with pytest.raises(ParamsError, match=r"params\.yaml: sweep: expected a section with"):
        sweep.cells(found, "sample", "mcln")
    with pytest.raises(ParamsError, match=r"no cell 'lr-1' of bprmf on sample; .*lr-0\.001__"):
        sweep.cell(parsed(), "sample", "bprmf", "lr-1")
    with pytest.raises(ParamsError, match=r"sweep\.models: no model 'mcln'"):
        sweep.cells(parsed(), "sample", "mcln")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ["gpt"]}, r"sweep\.models: no model 'gpt'; expected some of"),
        ({"models": ["bprmf", "bprmf"]}, r"sweep\.models: bprmf is there twice"),
        (
            {"models": ["popularity"]},
            r"sweep\.models: popularity has none of \['lr', 'layers'\]",
        ),
        ({"models": ["bprmf"]}, r"sweep\.ranges\.layers: none of \['bprmf'\] has this setting"),
        (
            {"ranges": {"lr": [0.1, -1]}},
            r"ranges\.lr: bprmf does not take lr -1: .*greater than 0",
        ),
        ({"ranges": {"lr": [1, 1.0]}}, r"sweep\.ranges\.lr: 1\.0 is there twice"),
        ({"ranges": {"lr": []}}, r"sweep\.ranges\.lr: list should have at least 1 item"),
        ({"ranges": {"lr": [[0.1]]}}, r"ranges\.lr\.0: .*expected a number, a word.*\[0\.1\]"),
        ({"ranges": {"lr": ["../x"]}}, r"ranges\.lr\.0: .*expected a number, a word.*'\.\./x'"),
        ({"ranges": {"lr": [float("nan")]}}, r"ranges\.lr\.0: .*expected a number.*got nan"),
        (
            {"ranges": {"modalities": ["all"]}},
            r"sweep\.ranges\.modalities: a job reads the feat",
        ),
        ({"cells": "none"}, r"sweep\.trials: expected 1 or more where sweep\.cells is none"),
        ({"cells": "some"}, r"sweep\.cells: .*'all'"),
        ({"seeds": [1, 1]}, r"sweep\.seeds: 1 is there twice"),
        ({"step": 1}, r"sweep\.step: unknown key"),
        ({"budget": {"epochs": 4}}, r"sweep\.budget\.patience: field required"),
        (
            {"ranges": {key: [i / 1e6 for i in range(1, 101)] for key in ("lr", "l2")}},
            r"sweep\.cells: expected at most 10000 cells of one model, got 20000 of bprmf",
        ),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused(change, message):
    with pytest.raises(ParamsError, match=message):
        parsed(**change)


def test_one_at_a_time_needs_a_start_that_a_name_can_hold():
    raw = copy.deepcopy(RAW)
    raw["dmrl"]["sample"] = {"hidden": {"visual": 8, "textual": 8}}
    raw["sweep"] = SWEEP | {"models": ["dmrl"], "ranges": {"hidden": [8]}}
    params.parse(raw)
    raw["sweep"] |= {"cells": "one_at_a_time"}

    with pytest.raises(
        ParamsError, match=r"one_at_a_time starts from dmrl\.hidden: expected a"
    ):
        params.parse(raw)
