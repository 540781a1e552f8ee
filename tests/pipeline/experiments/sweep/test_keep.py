"""What a search found, written to params.yaml."""

import shutil
from difflib import ndiff

import pytest
from paths import ROOT

from pipeline import params
from pipeline.experiments.sweep import keep
from pipeline.job.errors import ParamsError, SchemaError
from pipeline.params import sweep, tune
from pipeline.tables.io import write_json

BEST = {"bprmf": {"lr": 0.002, "l2": 0.0001}, "lightgcn": {"lr": 0.01, "l2": 0.1}}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The committed params.yaml, and the results of two of its models."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for model, best in BEST.items():
        write(model, best)
    return tmp_path


def write(model, best, dataset="sample", **changes):
    settings = params.load().of(dataset)
    section = tune.as_sweep(settings)
    result = {
        "fixed": sweep.fixed(section, dataset, model),
        "ranges": sweep.ranges(section, dataset, model),
        "seed": settings.seed,
        "best": best,
    }
    write_json(result | changes, params_folder(dataset, model))


def params_folder(dataset, model):
    return keep.Path(f"results/{dataset}/{model}/tune.json")


def changed(folder):
    before = (ROOT / "params.yaml").read_text().splitlines()
    after = (folder / "params.yaml").read_text().splitlines()
    return [line for line in ndiff(before, after) if line[0] in "+-"]


def test_only_the_lines_of_what_was_found_are_new(project, caplog):
    keep.main(["sample"])

    assert changed(project) == [
        "+   sample: {lr: 0.002, l2: 0.0001}",
        "+   sample: {lr: 0.01, l2: 0.1}",
    ]
    settings = params.load()
    assert (settings.model("bprmf", "sample").lr, settings.model("bprmf", "sample").l2) == (
        0.002,
        0.0001,
    )
    assert settings.model("bprmf", "beauty_split").lr == 0.005
    assert "results/sample/mcln/tune.json: no such file; mcln stays as it is" in caplog.text


def test_of_a_layer_that_is_there_nothing_else_changes(project):
    write("mcln", {"lr": 0.0005, "l2": 0.01}, "taobao_split")

    keep.main(["taobao_split"])

    (old, *new) = [line for line in changed(project) if line[0] != "?"]
    assert old == "-   taobao_split: {layers: 5, popularity: 0.2, l2: 0.001, identity: true}"
    # Within braces it would be wider than DVC's layout.
    assert new == [
        "+   taobao_split:",
        "+     layers: 5",
        "+     popularity: 0.2",
        "+     l2: 0.01",
        "+     identity: true",
        "+     lr: 0.0005",
    ]


def test_a_dry_run_prints_the_lines_and_writes_nothing(project, capsys):
    keep.main(["sample", "--dry-run"])

    said = capsys.readouterr().out
    assert "+  sample: {lr: 0.002, l2: 0.0001}" in said.splitlines()
    assert changed(project) == []


def test_what_is_there_already_is_said_to_be(project, capsys):
    keep.main(["sample"])
    once = (project / "params.yaml").read_bytes()
    capsys.readouterr()

    keep.main(["sample"])

    assert capsys.readouterr().out == "params.yaml has these settings already\n"
    assert (project / "params.yaml").read_bytes() == once


@pytest.mark.parametrize("stale", [{"seed": 1}, {"ranges": {"lr": [1.0]}}, {"fixed": {}}])
def test_the_result_of_other_settings_is_refused(project, stale):
    write("bprmf", BEST["bprmf"], **stale)

    with pytest.raises(SchemaError, match=r"bprmf/tune\.json: params\.yaml has changed since"):
        keep.main(["sample"])

    assert changed(project) == []


def test_without_any_result_the_command_that_makes_one_is_named(project):
    with pytest.raises(ParamsError, match=r"results/beauty: expected the search of .*tune"):
        keep.main(["beauty"])


def test_a_model_of_which_every_training_diverged_stays_as_it_is(project, caplog):
    write("bprmf", None)

    keep.main(["sample"])

    assert changed(project) == ["+   sample: {lr: 0.01, l2: 0.1}"]
    assert "every training diverged; bprmf stays as it is" in caplog.text
