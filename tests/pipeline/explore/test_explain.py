"""Explanations of a briefly trained model, through the command line."""

import json

import polars as pl
import pytest
import small_dataset
import yaml
from small_dataset import FOLDERS, run

from pipeline import evaluate, recommend, train
from pipeline.explore import explain
from pipeline.job.errors import ParamsError
from pipeline.pages.file_names import EXPLANATIONS_FILE
from pipeline.tables.io import read_json, read_parquet
from pipeline.tables.schema import INTERACTIONS, RANKS, RECOMMENDATIONS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four models, trained for three epochs."""
    folder = tmp_path_factory.mktemp("made")
    small_dataset.write(folder)
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    raw["train"] |= {"epochs": 3, "refit": False}
    raw["compare"]["users"] = 4
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model in ("mcln", "bprmf", "dmrl", "vbpr"):
            for stage in (train, evaluate, recommend):
                run(stage, model)
            run(explain, model)
    return folder


@pytest.fixture
def workspace(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def explanations(folder, model):
    return read_json(folder / f"results/{model}" / EXPLANATIONS_FILE)


def test_the_parts_and_the_history_of_every_explanation_sum_to_its_score(made):
    content = explanations(made, "mcln")

    assert sorted(content["parts"]) == ["id", "inter", "textual", "visual"]
    assert len(content["explanations"]) > 8
    for entry in content["explanations"]:
        values = {part["name"]: part["value"] for part in entry["parts"]}
        assert sum(values.values()) == pytest.approx(entry["score"], abs=1e-9)
        assert sum(part["share"] for part in entry["parts"]) == pytest.approx(1)
        above = sum(part["above_mean"] for part in entry["parts"])
        assert above == pytest.approx(entry["score"] - entry["mean_score"], abs=1e-9)
        through = sum(item["value"] for item in entry["history"])
        assert through + entry["own"] + entry["rest"] == pytest.approx(entry["score"], abs=1e-6)
        cut = entry["counterfactual"]
        assert cut["with"] == pytest.approx(values["inter"])
        assert cut["removed"] == pytest.approx(cut["without"] - cut["with"])


def test_the_history_has_items_of_the_user_by_falling_value(made):
    train_table = read_parquet(made / FOLDERS[0] / "train.parquet", INTERACTIONS)

    for entry in explanations(made, "mcln")["explanations"]:
        items = train_table.filter(pl.col("user") == entry["user"])["item"].to_list()
        assert {row["item"] for row in entry["history"]} <= set(items)
        assert entry["n_history"] == len(items) == 6
        values = [row["value"] for row in entry["history"]]
        assert values == sorted(values, reverse=True)
        assert len(values) == 5
        for row in entry["history"]:
            assert sum(row["parts"].values()) == pytest.approx(row["value"], abs=1e-9)


def test_held_out_and_recommended_items_are_explained_with_their_places(made):
    ranks = read_parquet(made / "results/mcln/ranks.parquet", RANKS)
    lists = read_parquet(made / "results/mcln/recommendations.parquet", RECOMMENDATIONS)
    held = {user: (item, rank) for user, item, _, rank, _ in ranks.iter_rows()}
    shown = {(u, i): (p, score) for u, p, i, _, score in lists.iter_rows()}

    content = explanations(made, "mcln")["explanations"]

    assert len({entry["user"] for entry in content}) == 4
    for entry in content:
        if entry["kind"] == "held out":
            assert (entry["item"], entry["place"]) == held[entry["user"]]
        else:
            place, score = shown[entry["user"], entry["item"]]
            assert entry["place"] == place < 3
            assert entry["score"] == pytest.approx(score, abs=1e-5)


def test_a_model_without_parts_says_so(made):
    ids, nonlinear = (explanations(made, model) for model in ("bprmf", "dmrl"))

    assert (ids["parts"], ids["explanations"]) == (None, [])
    assert ids["why"].startswith("bprmf reads no content")
    assert nonlinear["why"].startswith("dmrl is not taken apart")


def test_a_score_without_the_users_items_has_no_history(made):
    content = explanations(made, "vbpr")

    assert content["parts"] == ["id", "content"]
    assert {entry["history"] for entry in content["explanations"]} == {None}
    assert {entry["counterfactual"] for entry in content["explanations"]} == {None}


def test_one_pair_is_printed_and_nothing_is_written(workspace, capsys):
    written = (workspace / "results/mcln" / EXPLANATIONS_FILE).stat().st_mtime_ns
    arguments = ["sample", "mcln", *FOLDERS, "results/mcln", "--threads", "1"]

    explain.main([*arguments, "--user", "u7", "--item", "i90"])

    explanation = json.loads(capsys.readouterr().out)
    assert (explanation["user"], explanation["item"], explanation["raw_user"]) == (7, 90, "u7")
    assert sum(part["value"] for part in explanation["parts"]) == pytest.approx(
        explanation["score"]
    )
    assert (workspace / "results/mcln" / EXPLANATIONS_FILE).stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("mcln", ["--user", "u7"], "--user and --item: expected both or neither"),
        ("mcln", ["--user", "u700", "--item", "i1"], r"--user: .*such as 'u0', got 'u700'"),
        ("mcln", ["--user", "u7", "--item", "x"], r"--item: .*such as 'i0', got 'x'"),
        ("bprmf", ["--user", "u7", "--item", "i1"], "bprmf reads no content"),
    ],
)
def test_a_pair_without_an_explanation_is_refused(workspace, model, options, message):
    arguments = ["sample", model, *FOLDERS, f"results/{model}", "--threads", "1"]

    with pytest.raises(ParamsError, match=message):
        explain.main([*arguments, *options])


def test_the_same_bytes_again(workspace):
    before = (workspace / "results/mcln" / EXPLANATIONS_FILE).read_bytes()

    run(explain, "mcln")

    assert (workspace / "results/mcln" / EXPLANATIONS_FILE).read_bytes() == before
