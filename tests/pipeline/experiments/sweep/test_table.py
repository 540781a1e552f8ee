"""The table of a sweep, from results written by hand; and the params.yaml it leads to."""

import copy
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.experiments.sweep import table as sweep_table
from pipeline.job.errors import SchemaError
from pipeline.params import sweep
from pipeline.tables.io import read_json, write_json

RAW = yaml.safe_load(Path("params.yaml").read_text())
SWEEP = {
    "models": ["lightgcn"],
    "ranges": {"lr": [0.1, 0.001, 0.00001], "layers": [1, 2]},
    "cells": "all",
    "trials": 0,
    "seeds": [1, 2],
    "budget": {"epochs": 4, "evaluate_every": 2, "patience": 2},
}
BEST = {"lr": 0.00001, "layers": 2}


def score(values, seed):
    """The best is BEST, and with lr 0.1 the loss leaves the numbers."""
    if values["lr"] == 0.1:
        return {"diverged": "loss is nan"}
    worth = 0.3 + 0.1 * (values == BEST) + 0.01 * seed - 0.001 * values["layers"]
    return {
        "value": worth,
        "ndcg@10": worth,
        "hr@10": worth + 0.2,
        "epoch": 2 * seed,
        "curve": {"2": worth},
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = copy.deepcopy(RAW | {"sweep": SWEEP})
    raw["lightgcn"]["sample"] = {"l2": 0.5, "lr": 0.7}
    declare(raw)
    for cell in sweep.cells(params.load(), "sample", "lightgcn"):
        known = {"values": cell.values, "seed": cell.seed}
        write_json(known | score(cell.values, cell.seed), Path(f"sweep/{cell.short_name}.json"))
    return raw


def declare(raw):
    Path("params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def run():
    sweep_table.main(["sample", "lightgcn", "."])
    return read_json(Path("sweep.json")), Path("sweep.md").read_text()


def test_rows_are_sorted_by_their_mean_on_validation_and_the_best_is_marked(project):
    table, text = run()

    means = [row["ndcg@10"] for row in table["rows"]]
    assert means[:4] == sorted(means[:4], reverse=True)
    assert means[4:] == [None, None]
    assert {row["state"] for row in table["rows"][4:]} == {"diverged"}
    assert table["best"] == BEST
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == "|  | lr | layers | NDCG@10 | HR@10 | epoch | from |"
    assert lines[2] == (
        "| **best** | 0.00001 | 2 | 0.4130 ± 0.0071 | 0.6130 ± 0.0071 | 2, 4 | grid |"
    )
    assert [line for line in lines if "best" in line] == [lines[2]]
    assert lines[-1] == "|  | 0.1 | 2 | diverged |  | -, - | grid |"


def test_the_lines_to_paste_make_params_yaml_say_what_won(project):
    """Beside what the section has for the dataset already, and over it."""
    _, text = run()
    pasted = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))

    project["lightgcn"] |= yaml.safe_load(pasted)["lightgcn"]
    declare(project)

    won = params.load().model("lightgcn", "sample")
    assert (won.lr, won.layers, won.l2) == (0.00001, 2, 0.5)


def test_the_best_at_the_end_of_a_range_is_said_to_be(project):
    """Of two values either is at an end, which says nothing."""
    assert "At an end of its range, beyond which may be better ones: lr." in run()[1]


def test_the_table_does_not_depend_on_the_order_of_the_ranges_values(project):
    first, _ = run()
    project["sweep"]["ranges"] = {"layers": [2, 1], "lr": [0.001, 0.1, 0.00001]}
    declare(project)

    second, _ = run()

    assert second["rows"] == first["rows"]


def trial(number, state, *results):
    return {"number": number, "state": state, "results": list(results)}


def test_trials_of_a_search_are_rows_of_the_same_table(project):
    """One is new, one was pruned, one is a cell of the grid, ended early there and not here."""
    other, new = {"lr": 0.001, "layers": 1}, {"lr": 0.5, "layers": 1}
    project["sweep"]["trials"] = 3
    declare(project)
    known = [
        {"values": new, "seed": s, "epoch": 4} | dict.fromkeys(sweep_table.MEASURES, 0.9)
        for s in (1, 2)
    ]
    trials = [
        trial(0, "complete", *known),
        trial(2, "pruned", {"values": other, "seed": 1, "pruned": 2}),
        trial(3, "pruned", {"values": {"lr": 0.7, "layers": 1}, "seed": 1, "pruned": 2}),
    ]
    write_json({"trials": trials}, Path("sweep_trials.json"))

    table, text = run()

    by_values = {(r["values"]["lr"], r["values"]["layers"]): r for r in table["rows"]}
    assert table["best"] == new
    assert by_values[0.5, 1]["found_by"] == ["trial 0"]
    assert by_values[0.001, 1]["found_by"] == ["grid", "trial 2"]
    assert by_values[0.001, 1]["state"] == "complete"
    assert by_values[0.7, 1]["state"] == "pruned"
    assert "| 0.7 | 1 | pruned |  | 2 | trial 3 |" in text
    assert len(table["rows"]) == 8


def test_a_sweep_of_which_nothing_came_to_its_end_has_no_best(project):
    project["sweep"]["ranges"]["lr"] = [0.1]
    declare(project)

    table, text = run()

    assert table["best"] is None
    assert "**best**" not in text
    assert text.endswith("No run came to its end: there is nothing to take over.\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), r"seed-1\.json: no such file"),
        (
            lambda path: write_json({"values": {"lr": 1.0}, "seed": 1}, path),
            r"seed-1\.json: expected the result of layers-1__lr-0\.001__seed-1; remove",
        ),
    ],
)
def test_a_result_that_is_not_there_or_of_another_cell_is_refused(project, spoil, message):
    spoil(Path("sweep/layers-1__lr-0.001__seed-1.json"))

    with pytest.raises(SchemaError, match=message):
        run()

    assert not Path("sweep.json").exists()
