"""What a search gives the trainings of the study."""

import pytest
from study_numbers import RAW, parsed, raw

from pipeline import params
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.params import study_cells
from pipeline.params.cell import Cell

BEST = {"lr": 0.01, "l2": 0.1, "layers": 2, "counterfactual_layers": 3}


def searching(*swept):
    return params.parse(raw(budget="large") | {"sweep": RAW["sweep"] | {"models": list(swept)}})


def test_without_a_search_a_cell_changes_what_its_name_says():
    cell = Cell({"layers": 2}, 1, "mcln")

    assert study_cells.searched(parsed(), "mcln") is None
    assert study_cells.changes(parsed(), "sample", cell, None) == {"layers": 2}


def test_a_cells_own_value_is_above_what_was_found():
    settings = searching("bprmf", "mcln")
    found = {"model": "mcln", "best": BEST}

    changed = study_cells.changes(settings, "sample", Cell({"layers": 5}, 5, "mcln"), found)

    assert changed == BEST | {"layers": 5}


def test_a_variant_that_is_not_swept_has_what_was_found_for_its_model_but_for_what_it_is():
    settings = searching("bprmf", "mcln")
    found = {"model": "mcln", "best": BEST}
    assert study_cells.searched(settings, "mcln_printed") == "mcln"

    changed = study_cells.changes(settings, "sample", Cell({}, 5, "mcln_printed"), found)

    assert changed == {"lr": 0.01, "l2": 0.1, "layers": 2}  # M = 2 is the paper's


def test_a_variant_that_is_swept_has_its_own_search():
    assert study_cells.searched(searching("bprmf", "mcln", "base"), "base") == "base"


def test_a_sweep_of_another_model_or_none_is_refused():
    settings, cell = searching("bprmf", "mcln"), Cell({}, 5, "mcln")

    for given in (None, {"model": "bprmf", "best": {"lr": 0.1}}):
        with pytest.raises(ParamsError, match="mcln__seed-5 needs the sweep of mcln, got"):
            study_cells.changes(settings, "sample", cell, given)


def test_a_sweep_that_found_nothing_is_refused():
    with pytest.raises(SchemaError, match=r"results/sample/mcln/sweep\.json: no run came"):
        study_cells.changes(
            searching("bprmf", "mcln"),
            "sample",
            Cell({}, 5, "mcln"),
            {"model": "mcln", "best": None},
        )
