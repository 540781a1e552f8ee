"""What an edit of code runs again, in both engines. Outputs are placeholders: nothing runs."""

import shutil
from pathlib import Path

import networkx
import pytest
from dvc.repo import Repo
from workflow_tree import DVC_ONLY, copy_tree, edit, planned, pretend, run

# Of a library of DVC, while it builds its graph.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

MODELS = ("bprmf", "mcln")
OF_ALL = {f"{stage}@sample" for stage in ("compare", "curves")}
OF_A_MODEL = {"train@sample-{}", "evaluate@sample-{}", "recommend@sample-{}"}
OF_MCLN = {name.format("mcln") for name in OF_A_MODEL} | OF_ALL
EVERYTHING = {
    f"{stage}@sample"
    for stage in ("download", "ingest", "kcore", "split", "validate", "images")
}
EVERYTHING |= {"features@sample-visual", "features@sample-textual"} | OF_ALL
EVERYTHING |= {name.format(model) for name in OF_A_MODEL for model in MODELS}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which both engines find nothing to do."""
    tree = copy_tree(tmp_path_factory.mktemp("reruns") / "built")
    edit(tree, models=list(MODELS))
    run(tree, "workflow.settings", "data/settings", "data/named_files")
    with Repo(str(tree)) as repo:
        for stage in repo.index.stages:
            for out in stage.outs:
                path = tree / out.def_path
                # The one folder that is not there yet is data/raw/sample.
                path = path if path.suffix or path.is_dir() else path / "manifest.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    run(tree, "dvc", "commit", "--force")
    pretend(tree, "evaluate")
    return tree


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("model/recommenders/mcln.py", OF_MCLN),
        ("pipeline/sources/amazon2018.py", EVERYTHING - {"download@sample"}),
        ("pipeline/pages/report.html.j2", {"compare@sample"}),
        ("pipeline/explore/explorer.py", set()),
        ("pipeline/transfer/status.py", EVERYTHING),
    ],
)
def test_an_edit_of_code_runs_again_what_is_made_with_it(built, tmp_path, file, expected):
    tree = Path(shutil.copytree(built, tmp_path / "tree", symlinks=True))
    with (tree / file).open("a") as code:
        code.write("{# a comment #}\n" if file.endswith(".j2") else "# a comment\n")

    assert planned(tree) == expected
    assert planned_by_dvc(tree) == expected


def planned_by_dvc(tree: Path) -> set[str]:
    """Return the stages that DVC would run, without its own, once the slices are written."""
    run(tree, "workflow.settings", "data/settings", "data/named_files")
    with Repo(str(tree)) as repo:
        changed = {name.rpartition(":")[2] for name in repo.status()} - {"settings"}
        graph = repo.index.graph  # an edge leads to what a stage depends on
        stages = {stage for stage in graph if stage.name in changed}
        stages = stages.union(*(networkx.ancestors(graph, stage) for stage in stages))
    names = {stage.name for stage in stages}
    return {name for name in names if name.partition("@")[0] not in DVC_ONLY}
