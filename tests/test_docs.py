"""What the documents and the command lines promise is there."""

import json
import os
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
from paths import ROOT, STAGES
from snakemake.cli import get_argument_parser

from pipeline.experiments.study.sections import markdown, numbers

README = ROOT / "README.md"
DOCUMENTS = [README, *ROOT.glob("workflow/*.md"), *ROOT.glob("docs/*.md")]

COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("pipeline", "workflow")
    for path in (ROOT / folder).rglob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


def test_every_stage_is_a_command():
    assert {f"pipeline.{stage}" for stage in STAGES} <= set(COMMANDS)


# All in one process, since most of the time goes into imports.
HELPS = """
import contextlib, io, json, runpy, sys
texts = {}
for name in sys.argv[1:]:
    sys.argv, streams = [name, "--help"], (io.StringIO(), io.StringIO())
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            texts[name] = [end.code, *(stream.getvalue() for stream in streams)]
print(json.dumps(texts))
"""


@pytest.fixture(scope="module")
def helps() -> dict[str, list[Any]]:
    """Return status, standard output and standard error of every command's --help."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HELPS, *COMMANDS],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "96"},
        capture_output=True,
        text=True,
        check=True,
    )
    texts: dict[str, list[Any]] = json.loads(done.stdout)
    return texts


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_answers_help(module, helps):
    status, output, errors = helps[module]

    assert (status, errors) == (0, "")
    assert f"python -m {module}" in output
    code = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert ("params.load(" in code) == ("Numbers come from params.yaml" in output)


def test_every_make_target_in_the_documents_exists():
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}

    assert _named(r"\bmake ([a-z-]+)") <= targets


def test_every_module_command_in_the_documents_exists():
    for name in _named(r"python -m ((?:pipeline|model|workflow|benchmarks)[\w.]*)"):
        module = ROOT.joinpath(*name.split("."))
        assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), name


def test_every_file_and_name_in_the_documents_exists():
    """Written as `path`, `path.py:name` or `test_file.py::test_name`."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    added = set(re.findall(r"`([^`]+)`, new[:,]", text))
    folders = "benchmarks|docs|model|pipeline|tests|workflow"
    pattern = rf"`((?:{folders})/[\w./-]*)(?::([\w.]+))?[`,]"
    names = {(path, name) for path, name in re.findall(pattern, text) if path not in added}
    assert len(names) > 80
    for path, name in names:
        assert (ROOT / path).exists(), path
        assert not name or name.rpartition(".")[2] in (ROOT / path).read_text(), (path, name)
    tests = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    for file, name in re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", text):
        assert name in tests[file], (file, name)


def test_every_snakemake_command_in_the_documents_is_one_and_names_its_target():
    """An option that takes several values swallows a target that stands behind it."""
    parser = get_argument_parser(profiles=None)
    commands = _named(r"(?m)^`*(?:\s*|[A-Z_]+=\S+ )snakemake( [^`#\n]*)")
    assert len(commands) > 15
    for command in commands:
        try:
            parsed = parser.parse_args(shlex.split(command))
        except (SystemExit, ValueError) as error:
            pytest.fail(f"snakemake{command}: {error}")
        words = {word for word in shlex.split(command) if not word.startswith("-")}
        assert set(parsed.targets) <= words


def _named(pattern: str) -> set[str]:
    """Return what stands in code, between backticks or in a block, after a command."""
    found: set[str] = set()
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for code in re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL):
            found |= set(re.findall(pattern, code))
    return {name for name in found if not name.endswith((".STAGE", "STAGE"))}


@pytest.mark.parametrize("dataset", ["beauty_split", "sample", "sample_cold"])
def test_the_documents_numbers_are_those_of_the_committed_metrics(dataset):
    documents = README.read_text() + (ROOT / "docs/results.md").read_text()
    for file in sorted((ROOT / "docs/results" / dataset).glob("*/metrics.json")):
        table = json.loads(file.read_text())
        values = [table["sampled"][k] for k in ("hr@5", "ndcg@5", "hr@10", "ndcg@10")]
        values += [table["full"][k] for k in ("hr@10", "ndcg@10")]
        cells = " | ".join(f"{value:.4f}" for value in values)

        assert f"| {file.parent.name} | {cells} |" in documents.replace("**", "")


@pytest.mark.parametrize("folder", ["lfm2k", "lfm2k_mmrec"])
def test_the_benchmarks_numbers_are_those_of_the_committed_metrics(folder):
    document = (ROOT / "docs/results.md").read_text()
    table = document.split(f"<!-- {folder} -->")[1].split("<!-- end -->")[0]
    files = sorted((ROOT / "docs/results" / folder).glob("*/metrics.json"))
    assert files
    for file in files:
        metrics = json.loads(file.read_text())
        names = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
        cells = " | ".join(f"{metrics['full'][name]:.4f}" for name in names)

        assert f"| {file.parent.name} | {cells} | {metrics['epoch']} |" in table
        assert metrics["full"]["mask"] == "train"
        assert metrics["selected_on"] == "validation recall@20 (full)"


def test_the_searchs_numbers_are_those_of_its_results():
    document = (ROOT / "docs/results.md").read_text()
    table = document.split("<!-- lfm2k_grid -->")[1].split("<!-- end -->")[0]
    runs = json.loads((ROOT / "docs/results/lfm2k/grid.json").read_text())["runs"]
    assert len(table.strip().splitlines()) == len(runs) + 2
    for key, result in runs.items():
        cells = rf"{result['value']:.4f} \| {result['epoch']} \|"
        assert re.search(rf"\| {key.partition('/')[0]} \| .* \| {cells}", table), key


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) <= 1200


def test_every_link_between_documents_leads_to_a_file_and_heading():
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        text = re.sub(r"```.*?```|`[^`\n]+`|^    .*$", "", text, flags=re.DOTALL | re.MULTILINE)
        for path, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), (document, path)
            if heading:
                titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
                assert heading in map(_anchor, titles), (document, path, heading)


def _anchor(title: str) -> str:
    """Return the address of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


STUDIES = sorted(ROOT.glob("docs/results/*/study"))


@pytest.mark.parametrize("folder", STUDIES, ids=[path.parent.name for path in STUDIES])
def test_the_committed_studys_numbers_are_those_of_its_trainings(folder):
    """From the metrics of each training to tables.json, and from there to the page."""
    found = json.loads((folder / "tables.json").read_text())
    for table in found["tables"].values():
        for row in table["rows"]:
            metrics = [
                json.loads((folder / c / "metrics.json").read_text()) for c in row["cells"]
            ]
            for part in ("sampled", "full"):
                for name, value in row[part].items():
                    assert value["seeds"] == [own[part][name] for own in metrics]
            assert row["epochs"] == [own["epoch"] for own in metrics]

    page = (folder / "report.md").read_text()
    parts = numbers.parts(found)
    assert len(parts) > 1
    for part in parts:
        for table in part.tables:
            for row in markdown.lines(table):
                assert f"\n{row}\n" in page
