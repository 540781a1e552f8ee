"""Features of DVC, in git repositories: experiments, plots, remotes, commits, shared caches.

The sample is tiny and goes through every stage once; each test works on a copy or a clone.
"""

import csv
import difflib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import ROOT
from s3_server import BUCKET, S3_SECRET, S3_USER, serving_s3

BIN = Path(sys.executable).parent
COPIED = [
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots",
    ".dvcignore",
    ".gitignore",
    "data/named_files/.gitkeep",
    "dvc.yaml",
    "model",
    "params.yaml",
    "pipeline",
    "workflow",
]
SIF = "{extractor: sif, field: description, epochs: 2}"
TINY = {
    "- bprmf\n- lightgcn\n- mcln\n": "- mcln\n",
    "scale: 1.0}": "scale: 0.1}",
    "visual: {extractor: vgg16, field: image, weights: seeded}": f"visual: {SIF}",
    "textual: {extractor: sif, field: title}": f"textual: {SIF}",
    "epochs: 400 ": "epochs: 2 ",
    "evaluate_every: 5 ": "evaluate_every: 1 ",
}
DEPENDENCIES = "(data|pipeline|results)/|(model|params.yaml)$"  # columns of `dvc exp show`
NOT_TEST = f"{DEPENDENCIES}|.*[.](sampled|full)[.]"
BY_VALIDATION = "plots/scores/sample.json:mcln.validation.ndcg@10"
DOCUMENTED = ("Experiments", "Sharing outputs", "Sweeps")  # sections of workflow/README.md


# --- a repository -------------------------------------------------------------------------


def repository(folder: Path) -> Path:
    """Make a git repository with the project's files and the tiny sample in params.yaml."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy2(source, target)
    replace(folder, TINY)
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    commit(folder, "Start")
    return folder


def replace(tree: Path, changes: dict[str, str]) -> None:
    """Replace the first occurrence of each text in params.yaml; comments stay."""
    text = (tree / "params.yaml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    (tree / "params.yaml").write_text(text, encoding="utf-8")


def commit(tree: Path, message: str) -> None:
    run(tree, "git", "add", "--all")
    run(tree, "git", "commit", "--quiet", "--message", message)


def run(tree: Path, *command: str) -> str:
    """Run a command of the environment in `tree`; return its standard output."""
    name = {"GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@localhost"}
    name |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in name.items()}
    done = subprocess.run(
        command,
        cwd=tree,
        env=os.environ | name | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def dvc(tree: Path, command: str) -> str:
    return run(tree, "dvc", *command.split())


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def made(tree: Path) -> dict[str, str]:
    """Return the sha256 of every output of a stage, including the slices."""
    files = [path for name in ("data", "plots", "results") for path in (tree / name).rglob("*")]
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file() and path.name != ".gitkeep"
    }


def nothing_is_left_to_do(tree: Path) -> bool:
    """Check with both commands, and that git has nothing to commit."""
    return (
        "up to date" in dvc(tree, "status")
        and stages_run(dvc(tree, "repro")) == set()
        and run(tree, "git", "status", "--short") == ""
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after every stage, committed."""
    tree = repository(tmp_path_factory.mktemp("dvc") / "built")
    assert len(stages_run(dvc(tree, "repro"))) == 16
    commit(tree, "Build")
    return tree


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copied", symlinks=True))


@pytest.fixture
def cloned(built: Path, tmp_path: Path) -> Path:
    """A fresh clone: without a cache, and without outputs but the plots, which are in git."""
    run(tmp_path, "git", "clone", "--quiet", str(built), "cloned")
    assert {Path(name).parts[0] for name in made(tmp_path / "cloned")} == {"plots"}
    return tmp_path / "cloned"


# --- the document -------------------------------------------------------------------------


def test_the_commands_of_the_documentation_are_run_here():
    """Each `dvc` command of three sections by its words; the options of `exp show` too."""
    document = (ROOT / "workflow/README.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", document, flags=re.MULTILINE)
    text = "".join(s for s in sections if s.startswith(DOCUMENTED))
    here = Path(__file__).read_text(encoding="utf-8")
    two_words = r"(?:exp|metrics|params|plots|remote|cache) [a-z]+"

    named = set(re.findall(rf"(?:^|`)dvc ({two_words}|[a-z]+)", text, re.MULTILINE))

    assert {"exp run", "remote modify", "push", "pull", "checkout"} <= named
    for command in named:
        assert re.search(rf'(?<!`dvc )\b{command}\b[^`\n]*"', here), command
    make = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$$", "$")
    assert f"--only-changed --drop '{DEPENDENCIES}'" in text
    assert f"--only-changed --drop '{DEPENDENCIES}'" in make
    assert f"--drop '{NOT_TEST}'" in make
    by = BY_VALIDATION.replace("sample", "$(DATASET)").replace("mcln", "$(MODEL)")
    assert f"--sort-by '{by}' --sort-order desc" in make
    assert f"--sort-by {BY_VALIDATION} --sort-order desc" in text


# --- metrics, plots, experiments ----------------------------------------------------------


def test_the_lock_in_git_has_the_stages_and_the_plots_of_one_run():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository: nothing is committed")
    lock = yaml.safe_load(run(ROOT, "git", "show", "HEAD:dvc.lock"))["stages"]
    stages = {name.partition("@")[0] for name in lock}
    definition = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

    assert stages == set(definition)
    plots = [out for name in lock if name.startswith("curves") for out in lock[name]["outs"]]
    assert plots
    for plot in plots:
        content = run(ROOT, "git", "show", f"HEAD:{plot['path']}").encode()
        assert hashlib.md5(content).hexdigest() == plot["md5"]  # noqa: S324 (DVC's)


def rows(panel: str, x: str) -> str:
    lines = [f"dataset,panel,model,{x},value"]
    lines += [f"sample,{panel},mcln,1,0.25", f"sample,{panel},mcln,2,0.5"]
    return "\n".join(lines) + "\n"


def test_metrics_and_plots_exist_for_every_dataset_and_use_the_template(tmp_path):
    """By folder, since the top level of dvc.yaml cannot depend on `datasets`."""
    tree = repository(tmp_path / "tree")
    datasets = ("sample", "gift_cards")
    replace(tree, {"\n- sample\n": "\n- sample\n- gift_cards\n"})
    for folder in ("scores", "learning", "cutoffs"):
        (tree / "plots" / folder).mkdir(parents=True)
    for dataset in datasets:
        scores = {"mcln": {"epoch": 2, "full": {"hr@10": 0.5}}}
        (tree / f"plots/scores/{dataset}.json").write_text(json.dumps(scores))
        for folder, x in (("learning", "epoch"), ("cutoffs", "k")):
            (tree / f"plots/{folder}/{dataset}.csv").write_text(rows("NDCG@k", x))

    metrics = json.loads(dvc(tree, "metrics show --json"))[""]["data"]
    plots = json.loads(dvc(tree, "plots show --json"))["data"]

    assert set(metrics) == {f"plots/scores/{dataset}.json" for dataset in datasets}
    shown = dvc(tree, f"exp show --csv --drop {DEPENDENCIES}").splitlines()[0].split(",")
    assert {f"plots/scores/{dataset}.json:mcln.epoch" for dataset in datasets} <= set(shown)
    assert not [name for name in shown if re.match(DEPENDENCIES, name)]
    assert metrics["plots/scores/sample.json"]["data"]["mcln"]["full"] == {"hr@10": 0.5}
    names = [f"plots/{f}/{d}.csv" for f in ("learning", "cutoffs") for d in datasets]
    assert sorted(plots) == sorted(names)
    for name, (plot,) in plots.items():
        drawn = plot["content"]
        assert "<DVC_METRIC" not in json.dumps(drawn)
        assert drawn["spec"]["encoding"]["x"]["field"] == ("k" if "cut" in name else "epoch")
        assert [point["value"] for point in drawn["data"]["values"]] == ["0.25", "0.5"]
        assert drawn["title"]["text"]


@pytest.mark.slow
def test_an_experiment_changes_a_parameter_and_shows_its_result(copied):
    before = (copied / "params.yaml").read_text(encoding="utf-8")

    output = dvc(copied, "exp run --name slow -S mcln.default.lr=0.00005 -S train.epochs=3")

    assert "download@sample" not in stages_run(output)
    assert {"train@sample-mcln", "curves@sample"} <= stages_run(output)
    check_parameters(before, (copied / "params.yaml").read_text(encoding="utf-8"))

    # Few columns, with a row for what was there and one for the experiment.
    shown = dvc(copied, f"exp show --csv --only-changed --drop {DEPENDENCIES}")
    table = list(csv.DictReader(io.StringIO(shown)))
    assert {"mcln.default.lr", "train.epochs", "mcln.sampled.ndcg@10"} <= set(table[0])
    assert len(table[0]) < 20
    by_name = {row["Experiment"] or row["rev"]: row for row in table}
    assert (by_name["main"]["train.epochs"], by_name["slow"]["train.epochs"]) == ("2", "3")
    assert float(by_name["slow"]["mcln.default.lr"]) == 0.00005

    (changed,) = json.loads(dvc(copied, "metrics diff --json")).values()
    assert changed["mcln.sampled.ndcg@10"]["diff"] != 0
    parameters = json.loads(dvc(copied, "params diff --json"))["params.yaml"]
    assert set(parameters) == {"mcln.default.lr", "train.epochs"}

    (plot,) = plots_of(copied, "plots diff HEAD slow --json")["plots/learning/sample.csv"]
    points = plot["content"]["data"]["values"]
    losses = [p["rev"] for p in points if p["panel"] == "training loss"]
    assert sorted(losses) == ["HEAD"] * 2 + ["slow"] * 3


def check_parameters(before: str, after: str) -> None:
    """DVC changes the lines of the two values alone."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    changes = [line.split() for line in lines if line[0] in "+-"]
    assert [words[:3] for words in changes] == [
        ["-", "epochs:", "2"],
        ["+", "epochs:", "3"],
        ["-", "lr:", "0.001"],
        ["+", "lr:", "5e-05"],
    ]
    old, new = yaml.safe_load(before), yaml.safe_load(after)
    assert (new["train"].pop("epochs"), new["mcln"]["default"].pop("lr")) == (3, "5e-05")
    old["train"].pop("epochs"), old["mcln"]["default"].pop("lr")
    assert new == old


def plots_of(tree: Path, command: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(dvc(tree, command))["data"]
    return data


@pytest.mark.slow
def test_an_experiment_elsewhere_leaves_the_working_tree_alone(copied):
    before = made(copied)

    dvc(copied, "exp run --temp --name aside -S mcln.default.lr=0.002")

    assert made(copied) == before
    assert nothing_is_left_to_do(copied)
    assert "aside" in dvc(copied, "exp list")

    # Taking it over brings its outputs from the cache.
    dvc(copied, "exp apply aside")
    assert made(copied) != before
    assert "up to date" in dvc(copied, "status")
    assert stages_run(dvc(copied, "repro")) == set()


SWEEP = """\
sweep:
  models: [mcln]
  ranges: {lr: [0.00001, 0.05]}
  cells: all
  trials: 0
  seeds: [2023]
  budget: {epochs: 3, evaluate_every: 1, patience: 3}
"""


@pytest.mark.slow
def test_the_cells_of_a_sweep_are_experiments_sorted_by_validation(copied):
    """An experiment's validation score equals that of Snakemake's job of that cell."""
    text = (copied / "params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^sweep:.*\n(?:[ #].*\n)+", SWEEP, text, flags=re.MULTILINE)
    (copied / "params.yaml").write_text(text, encoding="utf-8")
    commit(copied, "Sweep")

    lines = run(
        copied, "python", "-m", "pipeline.experiments.sweep.dvc_lines", "sample", "mcln"
    )
    run(copied, "sh", "-e", "-c", lines)
    dvc(copied, "exp run --run-all --jobs 2")

    options = f"--only-changed --drop {NOT_TEST} --sort-by {BY_VALIDATION} --sort-order desc"
    table = list(csv.DictReader(io.StringIO(dvc(copied, f"exp show --csv {options}"))))
    experiments = [row for row in table if row["Experiment"]]
    values = [float(row["mcln.validation.ndcg@10"]) for row in experiments]
    assert len(values) == 2
    assert values == sorted(values, reverse=True)
    assert not [name for name in table[0] if "sampled" in name or "full" in name]
    folders = ["data/processed/sample", "data/features/sample"]
    for row, value in zip(experiments, values, strict=True):
        cell = row["Experiment"].removeprefix("sample-mcln-")
        command = [
            "python",
            "-m",
            "pipeline.experiments.sweep.cell",
            "sample",
            "mcln",
            cell,
            *folders,
        ]
        run(copied, *command, "cell.json")
        assert json.loads((copied / "cell.json").read_text())["ndcg@10"] == value


# --- remotes ------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_pushed_to_a_folder_is_pulled_and_nothing_runs_again(built, cloned, tmp_path):
    store = f"remote add --local --default shared {tmp_path / 'store'}"

    check_push_and_pull(built, cloned, [store])


@pytest.mark.slow
def test_what_was_pushed_to_s3_is_pulled_and_nothing_runs_again(built, cloned, s3):
    check_push_and_pull(
        built,
        cloned,
        [
            f"remote add --local --default shared s3://{BUCKET}/store",
            f"remote modify --local shared endpointurl {s3}",
            f"remote modify --local shared access_key_id {S3_USER}",
        ],
        ["remote", "modify", "--local", "shared", "secret_access_key", S3_SECRET],
    )


def check_push_and_pull(
    built: Path, cloned: Path, remote: list[str], secret: list[str] | None = None
) -> None:
    for tree in (built, cloned):
        for command in remote:
            dvc(tree, command)
        if secret:
            run(tree, "dvc", *secret)
    try:
        assert re.search(r"[1-9]\d* files pushed", dvc(built, "push"))
    finally:
        (built / ".dvc/config.local").unlink()  # the next test has a remote of its own
    assert "train@sample-mcln" in dvc(cloned, "status")  # there is something to do

    dvc(cloned, "pull")

    assert made(cloned) == made(built)
    assert nothing_is_left_to_do(cloned)


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[str]:
    with serving_s3(tmp_path) as address:
        yield address


# --- older commits, a shared cache --------------------------------------------------------


@pytest.mark.slow
def test_an_older_commit_restores_its_features_from_the_cache(copied):
    before = made(copied)
    replace(copied, {f"textual: {SIF}": f"textual: {SIF.replace('epochs: 2', 'epochs: 3')}"})
    assert stages_run(dvc(copied, "repro")) == {
        "settings",
        "features@sample-textual",
        "token_inputs@sample",
        "inputs@sample-mcln",
        "train@sample-mcln",
        "evaluate@sample-mcln",
        "recommend@sample-mcln",
        "results@sample-mcln",
        "compare@sample",
        "curves@sample",
    }
    commit(copied, "Another feature")
    after = made(copied)
    textual = "data/features/sample/textual.parquet"
    assert after[textual] != before[textual]

    for revision, expected in (("HEAD~1", before), ("main", after)):
        run(copied, "git", "checkout", "--quiet", revision)
        dvc(copied, "checkout")

        assert made(copied) == expected
        assert nothing_is_left_to_do(copied)


@pytest.mark.slow
def test_a_shared_cache_restores_outputs_in_a_clone(copied, cloned, tmp_path):
    shared = tmp_path / "cache"
    shutil.move(copied / ".dvc/cache", shared)

    for tree in (copied, cloned):
        dvc(tree, f"cache dir --local {shared}")
        dvc(tree, "config --local cache.shared group")
    dvc(cloned, "checkout")

    assert made(cloned) == made(copied)
    for tree in (copied, cloned):
        assert nothing_is_left_to_do(tree)
    assert not (cloned / ".dvc/cache").exists()
    # Copies or reflinks: what is edited in one tree is not what others have.
    for path in map(cloned.joinpath, made(cloned)):
        assert path.stat().st_nlink == 1
        assert path.stat().st_mode & 0o200
