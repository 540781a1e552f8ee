"""The runs of a file, on the workspace of the training tests."""

import pytest
import yaml
from test_train import FOLDERS, workspace  # noqa: F401 (a fixture)

from pipeline.experiments.sweep import grid as runs
from pipeline.job.errors import ParamsError
from pipeline.tables.io import read_json

GRID = {
    "budget": {"epochs": 4, "evaluate_every": 2, "patience": 2},
    "seeds": [1, 2],
    "runs": {
        "slow": {"model": "bprmf", "lr": 0.0001},
        "fast": {"model": "bprmf", "lr": 0.05},
        "plain": {"model": "base_vt", "layers": 1},
    },
}


@pytest.fixture
def grid(workspace):  # noqa: F811
    path = workspace / "grid.yaml"
    path.write_text(yaml.safe_dump(GRID))
    return path


def run(grid):
    runs.main(["sample", str(grid), *FOLDERS, "found.json", "--threads", "1"])
    return read_json(grid.parent / "found.json")


def test_every_run_is_measured_on_validation_with_its_own_settings(grid):
    (grid.parent / FOLDERS[0] / "test.parquet").unlink()

    found = run(grid)

    assert set(found["runs"]) == {f"{name}/{s}" for name in GRID["runs"] for s in (1, 2)}
    plain = found["runs"]["plain/2"]
    assert plain["settings"]["layers"] == 1
    assert plain["settings"]["counterfactual"] is False
    assert plain["architecture"] == "mcln"
    assert plain["seed"] == 2
    assert set(plain["curve"]) == {"2", "4"}
    assert plain["ndcg@10"] == max(plain["curve"].values())


def test_the_table_is_sorted_and_gives_the_spread_over_the_seeds(grid):
    found = run(grid)

    lines = (grid.parent / "found.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| slow", "| fast", "| plain"))]
    means = [float(row.split("|")[3].split("±")[0]) for row in rows]
    assert means == sorted(means, reverse=True)
    values = [found["runs"][f"fast/{seed}"]["ndcg@10"] for seed in (1, 2)]
    fast = next(row for row in rows if row.startswith("| fast"))
    assert f"{sum(values) / 2:.4f} ± {abs(values[0] - values[1]) / 2**0.5:.4f}" in fast


def test_what_is_there_is_not_run_again_unless_its_settings_changed(grid):
    run(grid)
    changed = GRID | {"runs": GRID["runs"] | {"fast": {"model": "bprmf", "lr": 0.02}}}
    grid.write_text(yaml.safe_dump(changed))
    before = read_json(grid.parent / "found.json")["runs"]

    after = run(grid)["runs"]

    assert after["slow/1"] == before["slow/1"]
    assert after["fast/1"]["settings"]["lr"] == 0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": {"x": {"lr": 0.1}}}, r"grid\.yaml: runs\.x: expected a key `model`"),
        ({"runs": {"x": {"model": "bprmf", "depth": 3}}}, r"x\.default\.depth: unknown key"),
        ({"runs": {"x": {"model": "nothing"}}}, r"'nothing'"),
        ({"seeds": []}, r"grid\.yaml: seeds: List should have at least 1 item.*got \[\]"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_anything_runs(grid, change, message):
    grid.write_text(yaml.safe_dump(GRID | change))

    with pytest.raises(ParamsError, match=message):
        run(grid)

    assert not (grid.parent / "found.json").exists()
