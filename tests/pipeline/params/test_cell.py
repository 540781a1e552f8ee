"""The names of cells."""

import pytest

from pipeline.params.cell import Cell, scalar, text


def test_a_cell_is_a_model_its_changed_settings_and_a_seed():
    cell = Cell("mcln", {"layers": 2}, 7)

    assert (cell.name, cell.short_name) == ("mcln__layers-2__seed-7", "layers-2__seed-7")
    assert Cell("bprmf", {}, 7).name == "bprmf__seed-7"


def test_a_name_does_not_depend_on_the_order_of_the_settings():
    first, second = {"lr": 0.00001, "layers": 2}, {"layers": 2, "lr": 1e-5}

    names = {Cell("mcln", values, 7).short_name for values in (first, second)}

    assert names == {"layers-2__lr-0.00001__seed-7"}


@pytest.mark.parametrize(
    ("value", "written"),
    [(1e-05, "0.00001"), (1, "1"), (True, "true"), (None, "null"), ("a", "a")],
)
def test_a_value_is_written_as_in_params_yaml(value, written):
    assert text(scalar(value)) == written


@pytest.mark.parametrize("value", ["../x", "a b", [1], float("inf")])
def test_a_value_that_no_file_name_can_hold_is_refused(value):
    with pytest.raises(ValueError, match="expected a number, a word, true, false or null"):
        scalar(value)
