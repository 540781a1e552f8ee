"""A training of the study, on the workspace of the training tests."""

import polars as pl
import pytest
import yaml
from study_numbers import RAW, STUDY, TABLES, parsed, raw
from test_train import FOLDERS, workspace  # noqa: F401 (a fixture)

from pipeline import evaluate, params, recommend, train
from pipeline.experiments.study import cell as study_cell
from pipeline.experiments.study import lists
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.params.cell import Cell
from pipeline.tables.io import read_json, write_json
from pipeline.tables.schema import EXAMPLES, RECOMMENDATIONS

BEST = {"lr": 0.01, "l2": 0.1, "layers": 2, "counterfactual_layers": 3}
FILES = ("checkpoint.safetensors", "history.parquet", "metrics.json", "ranks.parquet")


@pytest.fixture
def studied(workspace):  # noqa: F811
    declare(workspace)
    return workspace


def declare(folder, **changes):
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    raw |= {"tables": TABLES, "extractors": {}, "study": STUDY | changes}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def run(folder, cell, *options):
    out = folder / f"results/study/{cell}"
    study_cell.main(["sample", cell, *FOLDERS, str(out), "--threads", "1", *options])
    return read_json(out / "metrics.json")


def test_a_cell_is_what_train_and_evaluate_make_of_the_same_settings(studied):
    found = run(studied, "base__layers-3__seed-2")
    raw = yaml.safe_load((studied / "params.yaml").read_text())
    raw |= {
        "seed": 2,
        "train": raw["train"] | {"epochs": 4, "evaluate_every": 2, "patience": 2},
    }
    raw["base"]["default"]["layers"] = 3
    (studied / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    for stage in (train, evaluate):
        stage.main(["sample", "base", *FOLDERS, "results/base", "--threads", "1"])

    known = read_json(studied / "results/base/metrics.json")

    # A cell reads what its model reads: the dataset's other features tell nothing of its lists.
    known["lists"] = {k: v for k, v in known["lists"].items() if "similarity" not in k}
    assert found == known | {"values": {"layers": 3}, "searched_on": None}
    for name in ("history.parquet", "ranks.parquet"):
        own, other = (studied / f"results/{folder}/{name}" for folder in (
            "study/base__layers-3__seed-2", "base"))  # fmt: skip
        assert own.read_bytes() == other.read_bytes()


def test_the_same_cell_is_the_same_bytes_and_leaves_no_state(studied):
    run(studied, "mcln__seed-1")
    files = [studied / "results/study/mcln__seed-1" / name for name in FILES]
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()

    run(studied, "mcln__seed-1")

    assert [path.read_bytes() for path in files] == before
    assert not list((studied / ".work/train").iterdir())


def test_test_is_opened_when_the_training_is_over(studied):
    (studied / FOLDERS[0] / "test.parquet").unlink()

    with pytest.raises(SchemaError, match=r"test\.parquet: no such table"):
        run(studied, "bprmf__seed-1")

    left = studied / "results/study/bprmf__seed-1"
    assert (left / "checkpoint.safetensors").exists()
    assert not (left / "metrics.json").exists()


def test_a_budget_that_searches_takes_what_the_sweep_found(studied):
    declare(studied, budget="large")
    raw = yaml.safe_load((studied / "params.yaml").read_text())
    (studied / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    sweep = studied / "sweep.json"
    write_json({"model": "bprmf", "best": {"lr": 0.05, "l2": 0.0}}, sweep)

    with pytest.raises(ParamsError, match="needs the sweep of bprmf, got that of None"):
        run(studied, "bprmf__seed-5")
    found = run(studied, "bprmf__seed-5", "--sweep", str(sweep))

    assert (found["settings"]["lr"], found["settings"]["l2"]) == (0.05, 0.0)
    assert found["searched_on"] == "bprmf"
    assert found["budget"]["epochs"] == 9


def test_the_lists_shown_are_those_that_recommend_would_make(studied):
    for model in ("bprmf", "mcln"):
        run(studied, f"{model}__seed-1")
    lists.main(["sample", *FOLDERS, "results/study", "--threads", "1"])
    found = pl.read_parquet(studied / "results/study/examples.parquet")
    assert dict(found.schema) == dict(EXAMPLES)
    users = found["user"].unique().to_list()
    assert len(users) == 12

    raw = yaml.safe_load((studied / "params.yaml").read_text())
    raw |= {"seed": 1, "recommend": {"k": raw["compare"]["k"]}}
    (studied / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    own = "results/study/mcln__seed-1"
    recommend.main(["sample", "mcln", *FOLDERS, own, "--threads", "1"])

    every = pl.read_parquet(studied / own / "recommendations.parquet")
    wanted = every.filter(pl.col("user").is_in(users))
    columns = [name for name in RECOMMENDATIONS if name != "score"]
    mcln = found.filter(pl.col("model") == "mcln").sort("user", "position")
    assert mcln.select(columns).equals(wanted.select(columns))


def searching(*swept):
    return params.parse(raw(budget="large") | {"sweep": RAW["sweep"] | {"models": list(swept)}})


def test_without_a_search_a_cell_changes_what_its_name_says():
    cell = Cell("mcln", {"layers": 2}, 1)

    assert study_cell.changed_settings(parsed(), "sample", cell, None) == {"layers": 2}


def test_a_cells_own_value_is_above_what_was_found():
    settings = searching("bprmf", "mcln")
    found = {"model": "mcln", "best": BEST}

    changed = study_cell.changed_settings(
        settings, "sample", Cell("mcln", {"layers": 5}, 5), found
    )

    assert changed == BEST | {"layers": 5}


def test_a_variant_that_is_not_swept_has_what_was_found_for_its_model_but_for_what_it_is():
    settings = searching("bprmf", "mcln")
    found = {"model": "mcln", "best": BEST}

    changed = study_cell.changed_settings(
        settings, "sample", Cell("mcln_printed", {}, 5), found
    )

    assert changed == {"lr": 0.01, "l2": 0.1, "layers": 2}  # M = 2 is the paper's


def test_a_sweep_of_another_model_or_none_is_refused():
    settings, cell = searching("bprmf", "mcln"), Cell("mcln", {}, 5)

    for given in (None, {"model": "bprmf", "best": {"lr": 0.1}}):
        with pytest.raises(ParamsError, match="mcln__seed-5 needs the sweep of mcln, got"):
            study_cell.changed_settings(settings, "sample", cell, given)


def test_a_sweep_that_found_nothing_is_refused():
    with pytest.raises(SchemaError, match=r"results/sample/mcln/sweep\.json: no run came"):
        study_cell.changed_settings(
            searching("bprmf", "mcln"),
            "sample",
            Cell("mcln", {}, 5),
            {"model": "mcln", "best": None},
        )
