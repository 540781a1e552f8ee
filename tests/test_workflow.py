"""Both engines plan the same jobs, make the same bytes and re-run the same things."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from dvc.repo import Repo
from paths import STAGES
from workflow_tree import (
    DVC_ONLY,
    ROOT,
    SIF,
    VGG16,
    Job,
    copy_tree,
    edit,
    planned,
    pretend,
    run,
    snakemake_jobs,
)

from pipeline import params
from pipeline.job.code import closure
from pipeline.params.tokens import features_read

TARGETS = ["evaluate", "explain", "deploy", "tables", "study", "sheets", "sweep", "tune"]
TARGETS += ["benchmark"]
MAY_USE_A_GPU = {"features", "train", "evaluate", "recommend", "explore.deploy"}
MAY_USE_A_GPU |= {
    f"experiments.{name}"
    for name in (
        "factors.measure",
        "study.cell",
        "study.lists",
        "sweep.cell",
        "sweep.search",
        "sweep.halving",
    )
}
# The slice in data/settings speaks for params and model; job has no bearing on content.
NOT_LISTED = (Path("pipeline/params"), Path("pipeline/job"), Path("model"))
READ_BY_COMPARE = [
    "metrics.json",
    "ranks.parquet",
    "history.parquet",
    "recommendations.parquet",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copy_tree(tmp_path / "tree")


# --- the plans ----------------------------------------------------------------------------


def dvc_jobs(tree: Path) -> set[Job]:
    """Return what DVC plans, in Snakemake's terms.

    Normalised are: the stages that only DVC has are left out, and a checksum file stands for
    the files behind it; the raw folder becomes its manifest; a folder of code or features
    becomes its files; the empty table of a modality that a dataset lacks is left out. DVC makes
    features again when the manifest changed, Snakemake only those that are raw files.
    """
    settings = params.load(tree / "params.yaml")
    found = set()
    for stage in dvc_stages(tree):
        name = stage.name.partition("@")[0]
        if name in DVC_ONLY:
            continue
        dataset, *rest = stage.cmd.split()[3:5]
        if name == "features" and rest[0] not in settings.dataset_features(dataset):
            continue
        inputs = {file for dep in stage.deps for file in _inputs(dep.def_path, tree, settings)}
        if name == "features":
            inputs.remove(f"data/raw/{dataset}/manifest.json")
        outputs = {_manifest(out.def_path) for out in stage.outs}
        found.add(Job(stage.cmd, frozenset(inputs), frozenset(outputs)))
    return found


def dvc_stages(tree: Path) -> list[Any]:
    with Repo(str(tree)) as repo:
        return list(repo.index.stages)


def _inputs(path: str, tree: Path, settings: params.Params) -> Iterator[str]:
    parts = Path(path).parts
    if parts[:3] == ("data", "fingerprints", "training"):
        dataset, models = parts[3], [Path(path).stem] if len(parts) > 4 else settings.models
        for model in models:
            for modality in settings.model_modalities(model, dataset):
                yield f"data/features/{dataset}/{modality}.parquet"
            if settings.model_tokens(model, dataset):
                yield f"data/tokens/{dataset}.parquet"
    elif parts[:3] == ("data", "fingerprints", "tokens"):
        dataset = Path(path).stem
        for modality in features_read(settings.dataset_tokens(dataset)):
            yield f"data/features/{dataset}/{modality}.parquet"
    elif parts[:3] == ("data", "fingerprints", "results"):
        for model in settings.models:
            yield from (f"results/{parts[3]}/{model}/{name}" for name in READ_BY_COMPARE)
    elif parts[:3] == ("data", "settings", "pictures"):
        yield f"data/fingerprints/pictures/{parts[3]}.json"
    elif parts[:2] == ("data", "features") and len(parts) == 3:
        for modality in settings.dataset_features(parts[2]):
            yield f"data/features/{parts[2]}/{modality}.parquet"
    elif parts[0] == "pipeline" and (tree / path).is_dir():
        files = (file for ending in ("*.py", "*.j2") for file in (tree / path).rglob(ending))
        yield from (str(file.relative_to(tree)) for file in files)
    else:
        yield _manifest(path)


def _manifest(path: str) -> str:
    return f"{path}/manifest.json" if Path(path).parent == Path("data/raw") else path


def test_snakemake_and_dvc_plan_the_same_jobs(tree):
    """With datasets that lack a modality and models that read different ones, or tokens."""
    datasets = ["sample", "gift_cards", "taobao"]
    models = ["bprmf", "lightgcn", "mcln", "base", "mcln_plus"]
    edit(tree, datasets=datasets, models=models, mcln__sample={"modalities": ["textual"]})
    edit(tree, tokens__taobao={})

    from_snakemake, from_dvc = snakemake_jobs(tree), dvc_jobs(tree)

    assert sorted(from_snakemake - from_dvc) == []
    assert sorted(from_dvc - from_snakemake) == []
    assert len(from_dvc) == 3 * (7 + 3 * len(models) + 2) + 4


def test_only_a_model_that_reads_tokens_depends_on_them(tree):
    """And the tokens on the feature of their visual words alone."""
    edit(tree, models=["mcln", "mcln_plus", "without_tokens"])

    for jobs in (snakemake_jobs(tree), dvc_jobs(tree)):
        (tokens,) = [job for job in jobs if "pipeline.tokens " in job.command]
        (output,) = tokens.outputs
        assert {n for n in tokens.inputs if n.startswith("data/features")} == {
            "data/features/sample/visual.parquet"
        }
        readers = {job.command.split()[4] for job in jobs if output in job.inputs}
        assert readers == {"mcln_plus", "data/processed/sample"}  # and the comparison


def test_training_does_not_read_the_test_part(tree):
    for jobs in (snakemake_jobs(tree), dvc_jobs(tree)):
        trainings = [job for job in jobs if "pipeline.train " in job.command]
        assert len(trainings) == 3
        for job in trainings:
            assert not any(name.endswith("test.parquet") for name in job.inputs)


def test_the_default_profile_is_found_by_itself(tree):
    """It leaves out the lines about Snakemake itself and the host."""
    output = run(tree, "snakemake", "--dry-run", "evaluate")
    assert "profiles/default" in output
    assert "Host:" not in output


def test_a_plan_is_a_line_per_job_with_its_reason(tree):
    output = run(tree, "snakemake", "--dry-run", "evaluate")

    lines = output.splitlines()[1:]  # after the name of the profile
    assert lines[0] == f"{len(lines) - 2} jobs"
    assert "kcore sample: Missing output files: " in output
    assert max(map(len, lines)) < 120


# --- several extractors -------------------------------------------------------------------

NET = {"extractor": "resnet50", "field": "image", "weights": "seeded"}
TITLES = {"extractor": "sif", "field": "title"}
SWAP = {"model": "vbpr", "modality": "visual", "instead": {"net": NET, "titles": TITLES}}


def of_stage(jobs: set[Job], stage: str) -> list[str]:
    """Return which files the jobs of a stage write, the first of each."""
    return sorted(min(j.outputs) for j in jobs if f"pipeline.{stage} " in j.command)


def test_comparing_extractors_plans_a_feature_and_a_training_for_each_and_nothing_else(tree):
    """No other model; all features of the dataset, by which items of lists are compared."""
    edit(tree, extractors={"sample": SWAP}, datasets=["sample", "gift_cards"])

    jobs = snakemake_jobs(tree, "compare_extractors")

    names = ["visual", "visual_net", "visual_titles"]
    models = ["vbpr", "vbpr_net", "vbpr_titles"]
    made = ["textual", *names]
    assert of_stage(jobs, "features") == [f"data/features/sample/{n}.parquet" for n in made]
    trainings = [f"results/sample/{m}/checkpoint.safetensors" for m in models]
    assert of_stage(jobs, "train") == trainings
    assert of_stage(jobs, "compare") == ["results/sample/extractors/comparison.json"]
    assert not [job for job in jobs if "gift_cards" in job.command]
    for name, output in zip(names, trainings, strict=True):
        (job,) = [job for job in jobs if output in job.outputs]
        read = {path for path in job.inputs if path.startswith("data/features/")}
        assert read == {f"data/features/sample/{name}.parquet"}


def test_no_engine_builds_a_compared_extractor_by_itself(tree):
    edit(tree, extractors={"sample": SWAP})

    for jobs in (snakemake_jobs(tree), dvc_jobs(tree)):
        files = [f"data/features/sample/{m}.parquet" for m in ("textual", "visual")]
        assert of_stage(jobs, "features") == files
        assert not [job for job in jobs if "vbpr" in job.command]


@pytest.mark.slow
def test_another_setting_of_one_compared_extractor_plans_that_feature_and_its_model(tree):
    """The outputs are placeholders that Snakemake has recorded: what is planned matters."""
    edit(tree, extractors={"sample": SWAP})
    pretend(tree, "compare_extractors")
    assert planned(tree, "compare_extractors") == set()

    edit(tree, extractors__sample__instead__titles__epochs=3)

    assert planned(tree, "compare_extractors") == {
        "features@sample-visual_titles",
        "train@sample-vbpr_titles",
        "evaluate@sample-vbpr_titles",
        "recommend@sample-vbpr_titles",
        "compare@sample",
    }


@pytest.mark.parametrize(
    ("extractors", "message"),
    [
        ({}, r"params\.yaml: extractors: expected one of \['sample'\]"),
        ({"sample": SWAP | {"modality": "sound"}}, r"extractors\.sample\.modality: 'sound'"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused_when_it_is_asked_for(
    tree, extractors, message
):
    edit(tree, extractors=extractors)

    said = run(tree, "snakemake", "--dry-run", "compare_extractors", fails=True)

    assert re.search(message, said)
    assert "most recent call last" not in said
    run(tree, "snakemake", "--dry-run", "evaluate")


def test_two_extractors_of_one_field_stand_side_by_side(tree):
    """As two modalities; the file's own comparison needs `visual`, and is left out."""
    features = {"visual_a": VGG16, "visual_b": NET, "textual": TITLES}
    edit(tree, features__sample=features, modalities=list(features), tokens={})

    from_snakemake, from_dvc = snakemake_jobs(tree), dvc_jobs(tree)

    assert from_snakemake == from_dvc
    (job,) = [job for job in from_dvc if "pipeline.train sample mcln" in job.command]
    assert {f"data/features/sample/{name}.parquet" for name in features} <= job.inputs


# --- sweeps -------------------------------------------------------------------------------

SWEEP = {
    "models": ["bprmf", "vbpr"],
    "ranges": {"lr": [0.001, 0.01], "content_dim": [8, 4]},
    "cells": "all",
    "trials": 0,
    "seeds": [1, 2],
    "budget": {"epochs": 2, "evaluate_every": 1, "patience": 1},
}


def cells(tree: Path) -> set[str]:
    """Return the cells and tables that Snakemake would make now, by model."""
    said = run(tree, "snakemake", "--dry-run", "--printshellcmds", "sweep")
    tables = re.findall(r"pipeline\.experiments\.sweep\.table sample (\w+) ", said)
    trained = re.findall(r"pipeline\.experiments\.sweep\.cell sample (\w+) (\S+) ", said)
    assert len(re.findall(r"python -m pipeline\.", said)) == len(tables) + len(trained)
    return {"/".join(one) for one in trained} | set(tables)


def test_a_sweep_is_a_job_per_cell_that_reads_no_test_part_and_one_table(tree):
    edit(tree, sweep=SWEEP | {"trials": 3})

    jobs = snakemake_jobs(tree, "sweep")

    trained = of_stage(jobs, "experiments.sweep.cell")
    assert len(trained) == 2 * 2 + 2 * 2 * 2
    assert "results/sample/vbpr/sweep/content_dim-8__lr-0.01__seed-2.json" in trained
    trials = [f"results/sample/{model}/sweep_trials.json" for model in SWEEP["models"]]
    assert of_stage(jobs, "experiments.sweep.search") == trials
    for stage in ("cell", "search", "table"):
        same = [job for job in jobs if f"pipeline.experiments.sweep.{stage} " in job.command]
        assert same
        assert not [n for job in same for n in job.inputs if n.endswith("test.parquet")]
        for job in same:
            assert_lists_what_it_imports(job, f"pipeline/experiments/sweep/{stage}.py")
    (table,) = [
        job for job in jobs if "pipeline.experiments.sweep.table sample vbpr" in job.command
    ]
    assert {n for n in table.inputs if n.startswith("results/")} == {
        trials[1],
        *(name for name in trained if "/vbpr/" in name),
    }
    for engine in (snakemake_jobs(tree), dvc_jobs(tree)):
        assert not [job for job in engine if "pipeline.experiments.sweep.cell" in job.command]


def test_tune_is_a_job_and_a_table_per_model_that_read_no_test_part_and_state_the_cost(tree):
    ranges = {"lr": [0.001, 0.01], "l2": [0.1]}
    edit(tree, tune={"models": ["vbpr"], "ranges": ranges, "rounds": 2})

    jobs = snakemake_jobs(tree, "tune")

    assert of_stage(jobs, "experiments.sweep.halving") == ["results/sample/vbpr/tune.json"]
    for stage in ("halving", "halving_table"):
        (job,) = [job for job in jobs if f"pipeline.experiments.sweep.{stage} " in job.command]
        assert not [name for name in job.inputs if name.endswith("test.parquet")]
        assert_lists_what_it_imports(job, f"pipeline/experiments/sweep/{stage}.py")
    said = run(tree, "snakemake", "--dry-run", "tune")
    assert "sample vbpr: at most 535 epochs (1.3 trainings of 400): 2 to epoch 135, 1 " in said


@pytest.mark.slow
def test_an_edited_value_plans_the_cells_that_have_it_and_the_table(tree):
    """Another test part plans nothing."""
    edit(tree, sweep=SWEEP)
    pretend(tree, "sweep")
    (tree / "data/processed/sample/test.parquet").write_bytes(b"other")
    assert cells(tree) == set()

    # bprmf has no such setting.
    edit(tree, sweep__ranges__content_dim=[8, 16])
    new = {f"vbpr/content_dim-16__lr-{lr}__seed-{s}" for lr in (0.001, 0.01) for s in (1, 2)}
    assert cells(tree) == new | {"vbpr"}

    edit(tree, sweep__ranges__content_dim=[8])  # a value less: no cell, another table
    assert cells(tree) == {"vbpr"}

    # What is swept has no say outside its range, nor has the budget of the final training.
    edit(tree, sweep__ranges=SWEEP["ranges"], vbpr__default__lr=0.5, train__epochs=7)
    assert cells(tree) == set()
    edit(tree, vbpr__default__l2=0.5)
    again = cells(tree)
    assert {name.partition("/")[0] for name in again} == {"vbpr"}
    assert len(again) == 2 * 2 * 2 + 1


@pytest.mark.slow
def test_an_edit_of_a_sweeps_table_trains_nothing_again(tree):
    """An edit of the code that all trials share plans every cell."""
    edit(tree, sweep=SWEEP)
    pretend(tree, "sweep")

    comment(tree, "pipeline/experiments/sweep/table.py")
    assert cells(tree) == {"bprmf", "vbpr"}

    comment(tree, "pipeline/experiments/trial.py")
    assert len(cells(tree)) == 2 + 2 * 2 + 2 * 2 * 2


def comment(tree: Path, file: str) -> None:
    """Add a comment to a module."""
    path = tree / file
    path.write_text(f"{path.read_text()}\n# A comment.\n")


def test_a_sweep_without_its_section_is_refused_and_nothing_else_is(tree):
    edit(tree, sweep=None)

    said = run(tree, "snakemake", "--dry-run", "sweep", fails=True)

    assert "params.yaml: sweep: expected a section with models" in said
    assert "most recent call last" not in said
    run(tree, "snakemake", "--dry-run", "evaluate")


@pytest.mark.parametrize(
    ("profile", "plugin"), [("slurm", "slurm"), ("kubernetes", "cluster_sync")]
)
def test_a_profile_of_a_cluster_plans_the_same_jobs(tree, profile, plugin):
    pytest.importorskip(f"snakemake_executor_plugin_{plugin}", reason=f"extra {profile}")

    on_cluster = snakemake_jobs(tree, "evaluate", "--profile", f"workflow/profiles/{profile}")

    assert on_cluster == snakemake_jobs(tree)
    assert len(on_cluster) > 10


def test_every_job_says_what_it_needs_and_is_timed(tree):
    """Of all that there are: parts of features, tables, the study and the sweep too."""
    edit(tree, sweep=SWEEP | {"trials": 1})
    options = ["--dry-run", "--forceall", "--set-scatter", "features=2", "--printshellcmds"]
    plan = run(tree, "snakemake", *options, "--", *TARGETS)
    jobs = [job for job in re.split(r"^\[.*\d{4}\]$", plan, flags=re.M) if "    output:" in job]

    rules = {re.search(r"rule (\w+):", job)[1] for job in jobs}
    files = (ROOT / "workflow/rules").glob("*.smk")
    assert rules == {
        rule for f in files for rule in re.findall(r"^rule (\w+):", f.read_text(), re.M)
    }
    for job in jobs:
        assert re.search(r"^    log: logs/.*\.log$", job, re.M), job
        assert re.search(r"^    benchmark: logs/benchmarks/.*\.tsv$", job, re.M), job
        assert {"runtime", "mem_mb"} <= set(re.findall(r" (\w+)=\d+", job)), job
        stage = re.search(r"python -m pipeline\.([\w.]+) ", job)[1]
        assert ("gpu=1" in job) == (stage in MAY_USE_A_GPU), job


def test_a_kubernetes_job_asks_for_what_the_rule_said_and_mounts_the_checkout(tree):
    """The manifest alone: no cluster has run it."""
    (tree / "job.sh").touch()
    script = [str(ROOT / "workflow/kubernetes_job.sh"), "8", "16000", "60"]
    known = {"KUBERNETES_IMAGE": "registry/image:1", "KUBERNETES_CLAIM": "claim"}
    env = os.environ | known | {"KUBERNETES_DRY_RUN": "1", "KUBERNETES_MOUNT": str(tree.parent)}

    def said(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*script, *arguments],
            cwd=tree,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    spec = yaml.safe_load(said("1", "job.sh").stdout)["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    asked = {"cpu": "8", "memory": "16000M"}
    assert container["resources"]["limits"] == asked | {"nvidia.com/gpu": "1"}
    assert container["command"] == ["sh", str(tree / "job.sh")]
    assert container["volumeMounts"][0]["mountPath"] == str(tree.parent)
    assert spec["activeDeadlineSeconds"] == 3600
    without = yaml.safe_load(said("0", "job.sh").stdout)["spec"]["template"]["spec"]
    assert without["containers"][0]["resources"]["requests"] == asked
    assert "not in" in said("0", "/etc/hostname").stderr
    assert "expected four whole numbers, got one" in said("one", "job.sh").stderr


# --- names and code -----------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_module_rule_dvc_stage_and_test(stage):
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rule = {"evaluate": "evaluate_model"}.get(stage, stage)

    assert (ROOT / f"pipeline/{stage}.py").exists()
    assert f"rule {rule}:" in rules
    assert stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert (ROOT / f"tests/pipeline/test_{stage}.py").exists()


MODULES = {stage: f"pipeline/{stage}.py" for stage in STAGES} | {
    "settings": "workflow/settings.py",
    "inputs": "workflow/fingerprint.py",
    "token_inputs": "workflow/fingerprint.py",
    "results": "workflow/fingerprint.py",
}


@pytest.mark.parametrize("stage", MODULES)
def test_a_stage_depends_on_the_code_that_it_imports(stage):
    """A change in a helper would otherwise be missed, by both engines (the plans are equal)."""
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    code = [name for name in listed if name.startswith(("pipeline", "workflow"))]

    assert_lists_what_is_imported(code, MODULES[stage])


@pytest.mark.slow
def test_factors_are_of_generated_datasets_and_depend_on_the_code_that_they_import(tree):
    """Snakemake alone has them; `study` asks for them and `evaluate` does not."""
    models = ["bprmf", "mcln", "base_vt"]
    edit(tree, datasets=["sample", "gift_cards"], models=models)

    jobs = snakemake_jobs(tree, "study")

    (job,) = [job for job in jobs if "pipeline.experiments.factors.measure " in job.command]
    assert_lists_what_it_imports(job, "pipeline/experiments/factors/measure.py")
    assert {n for n in job.inputs if n.startswith("results/")} == {
        f"results/sample/{model}/checkpoint.safetensors" for model in models[1:]
    }
    assert not [
        job for job in jobs if "pipeline.experiments.factors.measure gift_cards" in job.command
    ]
    assert not [
        job
        for job in snakemake_jobs(tree)
        if "pipeline.experiments.factors.measure" in job.command
    ]


def test_a_sheet_is_made_of_every_feature_and_depends_on_the_code_that_it_imports(tree):
    """Snakemake alone has it; `evaluate` does not ask for it."""
    edit(tree, datasets=["sample", "taobao"])

    sheets = {
        next(iter(job.outputs)): job
        for job in snakemake_jobs(tree, "sheets")
        if "pipeline.explore.feature_sheet " in job.command
    }

    settings = params.load(tree / "params.yaml")
    assert set(sheets) == {
        f"results/{dataset}/features/{modality}.html"
        for dataset in settings.datasets
        for modality in settings.dataset_features(dataset)
    }
    for job in sheets.values():
        assert_lists_what_it_imports(job, "pipeline/explore/feature_sheet.py")
        assert {f"pipeline/pages/{n}.html.j2" for n in ("sheet", "style")} <= job.inputs
    evaluated = snakemake_jobs(tree)
    assert not [job for job in evaluated if "pipeline.explore.feature_sheet " in job.command]
    assert not [n for job in evaluated for n in job.inputs if n.startswith("pipeline/explore")]


def test_every_model_is_explained_and_the_job_depends_on_the_code_that_it_imports(tree):
    """Snakemake alone has it; `evaluate` does not ask for it."""
    edit(tree, models=["bprmf", "base"])

    jobs = [
        job
        for job in snakemake_jobs(tree, "explain")
        if "pipeline.explore.explain " in job.command
    ]

    assert {min(job.outputs) for job in jobs} == {
        f"results/sample/{model}/explanations.json" for model in ("bprmf", "base")
    }
    for job in jobs:
        assert_lists_what_it_imports(job, "pipeline/explore/explain.py")
        assert (
            min(job.outputs).replace("explanations.json", "checkpoint.safetensors")
            in job.inputs
        )
    assert not [
        job for job in snakemake_jobs(tree) if "pipeline.explore.explain " in job.command
    ]


def test_a_deployed_model_reads_every_part_and_depends_on_the_code_that_it_imports(tree):
    """Snakemake alone has it, and `evaluate` does not ask for it."""
    deployed = {"model": "base", "k": 5, "faiss": True}
    edit(tree, datasets=["sample", "gift_cards"], models=["bprmf"], deploy=deployed)

    plan = snakemake_jobs(tree, "deploy")

    jobs = {min(j.outputs): j for j in plan if "pipeline.explore.deploy " in j.command}
    assert set(jobs) == {
        f"results/{dataset}/base/deploy/items.faiss" for dataset in ("sample", "gift_cards")
    }
    for job in jobs.values():
        assert len(job.outputs) == 5
        assert_lists_what_it_imports(job, "pipeline/explore/deploy.py")
        names = {Path(name).name for name in job.inputs}
        assert {"train.parquet", "validation.parquet", "test.parquet"} <= names
        assert {"checkpoint.safetensors", "base.json"} <= names
    assert not [j for j in snakemake_jobs(tree) if " base " in j.command]


@pytest.mark.slow
def test_an_edit_of_what_is_deployed_plans_that_alone(tree):
    """The outputs are placeholders that Snakemake has recorded: what is planned matters."""

    def jobs() -> list[str]:
        said = run(tree, "snakemake", "--dry-run", "--printshellcmds", "deploy")
        return re.findall(r"python -m pipeline\.(\S+)", said)

    edit(tree, models=["bprmf"], deploy={"model": "bprmf"})
    pretend(tree, "deploy")
    assert jobs() == []

    edit(tree, deploy__k=7)
    assert jobs() == ["explore.deploy"]

    edit(tree, deploy={"model": "bprmf"}, bprmf__default__l2=0.5)
    assert sorted(jobs()) == ["explore.deploy", "train"]


@pytest.mark.parametrize(
    ("deployed", "message"),
    [
        ({}, r"params\.yaml: deploy\.model: expected the model that goes to production"),
        ({"model": "vbpr"}, r"vbpr\.gift_cards\.modalities: 'visual' is not in"),
    ],
)
def test_what_cannot_be_deployed_is_refused_when_it_is_asked_for(tree, deployed, message):
    edit(tree, datasets=["gift_cards"], models=["bprmf"], tables={}, deploy=deployed)

    said = run(tree, "snakemake", "--dry-run", "deploy", fails=True)

    assert re.search(message, said)
    assert "most recent call last" not in said
    run(tree, "snakemake", "--dry-run", "evaluate")


def assert_lists_what_it_imports(job: Job, module: str) -> None:
    assert_lists_what_is_imported([n for n in job.inputs if n.endswith(".py")], module)


def assert_lists_what_is_imported(listed: Iterable[str], module: str) -> None:
    """Every file that a module imports is listed; of each folder listed, some are imported."""
    needed = [
        file
        for file in closure([Path(module)], Path())
        if not any(file.is_relative_to(folder) for folder in NOT_LISTED)
    ]
    for file in needed:
        assert any(file.is_relative_to(name) for name in listed), file
    folders = {name if len(Path(name).parts) < 3 else str(Path(name).parent) for name in listed}
    for name in folders:
        if not Path(name).is_relative_to("pipeline/params"):
            assert any(file.is_relative_to(name) for file in needed), name


# --- a wrong parameter --------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["snakemake", "--dry-run", "evaluate"],
        ["dvc", "repro"],
        ["pipeline.kcore", "sample", "data/interim/sample", "data/processed/sample"],
    ],
    ids=["snakemake", "dvc", "stage"],
)
def test_a_wrong_parameter_stops_every_command_with_its_full_name(tree, command):
    edit(tree, kcore__k="five")

    said = run(tree, *command, fails=True)

    assert "params.yaml: kcore.k: " in said
    assert "Traceback" not in said


def test_a_run_says_where_its_results_are_or_how_the_log_of_a_failed_job_ends(tree):
    """And a report of what there is can be made."""
    statistics = "data/processed/sample/statistics.json"
    edit(tree, sources__sample__scale=0.1)
    output = run(tree, "snakemake", "--cores", "2", statistics)
    assert re.findall(r"^\[(\d/\d)\] (\w+) sample +0:\d\d$", output, re.MULTILINE) == [
        ("1/3", "download"),
        ("2/3", "ingest"),
        ("3/3", "kcore"),
    ]
    last = output.splitlines()[-1]
    assert last.startswith("Results: data/processed/sample/interactions.parquet, ")
    assert statistics in last
    run(tree, "snakemake", "--report", "report.html", statistics)
    page = (tree / "report.html").read_text()
    assert "before and after the k-core" in page
    assert "from raw dumps to tables" in page

    edit(tree, kcore__k=900)
    said = run(tree, "snakemake", "--cores", "2", statistics, fails=True)

    *_, title, message = said.splitlines()
    assert title == "kcore sample failed; its log is logs/kcore/sample.log"
    assert message.startswith("error: kcore: the 900-core is empty")
    assert "RuleException" not in said


# --- end to end ---------------------------------------------------------------------------


@pytest.mark.slow
def test_dvc_sees_another_content_of_a_file_that_a_feature_names(tree, tmp_path):
    """Its dependencies are a fixed list, in which the file is not."""
    own = tmp_path / "own.parquet"
    edit(tree, features__sample__visual={"extractor": "precomputed", "path": str(own)})
    visual = tree / "data/settings/features/sample/visual.json"
    assert "sample.visual.path: no such file" in run(
        tree, "dvc", "repro", "settings", fails=True
    )

    own.write_bytes(b"first")
    run(tree, "dvc", "repro", "settings")
    assert hashlib.sha256(b"first").hexdigest() in visual.read_text()
    assert "up to date" in run(tree, "dvc", "repro", "settings")
    assert "up to date" in run(tree, "dvc", "status", "settings")

    own.write_bytes(b"other")
    run(tree, "dvc", "repro", "settings")
    assert hashlib.sha256(b"other").hexdigest() in visual.read_text()

    own.rename(tmp_path / "moved.parquet")
    edit(tree, features__sample__visual__path=str(tmp_path / "moved.parquet"))
    run(tree, "dvc", "repro", "settings")
    assert "up to date" in run(tree, "dvc", "repro", "settings")


@pytest.mark.slow
def test_pictures_encoded_in_parts_give_the_same_bytes_and_no_part_stays(tmp_path):
    """70 pictures are two blocks, so that of three parts one has nothing to do."""
    wanted = "data/features/sample/visual.parquet"
    trees = whole, parts = copy_tree(tmp_path / "whole"), copy_tree(tmp_path / "parts")
    for tree in trees:
        edit(
            tree,
            sources__sample__scale=0.35,
            features__sample__visual={"extractor": "resnet50", "weights": "seeded"},
        )
    run(whole, "snakemake", "--cores", "2", wanted)

    said = run(parts, "snakemake", wanted, "--cores", "2", "--set-scatter", "features=3")

    assert len(re.findall(r"^\[.*\] features sample visual", said, re.MULTILINE)) == 3
    assert (whole / wanted).read_bytes() == (parts / wanted).read_bytes()
    assert not list((parts / "data/shards").rglob("*.parquet"))
    # One job again: nothing is to be done.
    assert "Nothing to be done" in run(parts, "snakemake", "--dry-run", wanted)


@pytest.mark.slow
def test_a_sweep_ends_in_a_table_that_does_not_depend_on_test_and_keeps_its_cells(tree):
    """Run, edited, run again: what was there is not trained anew."""
    edit(
        tree,
        sources__sample__scale=0.1,
        features__sample__visual=SIF,
        sweep=SWEEP | {"ranges": {"lr": [0.001, 0.05]}, "models": ["vbpr"], "seeds": [1]},
    )
    target = ["snakemake", "--cores", "2", "sweep"]
    said = run(tree, *target)
    assert "results/sample/vbpr/sweep.md" in said.partition("Results: ")[2]
    tables = {path: path.read_bytes() for path in sorted(tree.glob("results/sample/*/sweep.*"))}
    assert len(tables) == 2

    test = tree / "data/processed/sample/test.parquet"
    rows = pl.read_parquet(test)
    assert (rows["item"] > 0).any()
    rows.with_columns(pl.lit(0, pl.Int32).alias("item")).write_parquet(test)
    run(tree, *target, "--forcerun", "sweep_cell", "sweep_table")
    assert {path: path.read_bytes() for path in tables} == tables

    cell = tree / "results/sample/vbpr/sweep/lr-0.05__seed-1.json"
    made_at = cell.stat().st_mtime_ns
    edit(tree, sweep__ranges__lr=[0.002, 0.05])
    run(tree, *target)
    assert cell.stat().st_mtime_ns == made_at
    text = (tree / "results/sample/vbpr/sweep.md").read_text()
    assert [text.count(value) for value in ("| 0.002 |", "| 0.05 |", "| 0.001 |")] == [1, 1, 0]
