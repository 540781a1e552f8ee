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
    for stage in ("download", "ingest", "kcore", "split", "validate", "images", "tokens")
}
EVERYTHING |= {"features@sample-visual", "features@sample-textual"} | OF_ALL
EVERYTHING |= {name.format(model) for name in OF_A_MODEL for model in MODELS}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which both engines find nothing to do."""
    tree = copy_tree(tmp_path_factory.mktemp("reruns") / "built")
    edit(tree, models=list(MODELS))
    return as_built(tree)


def as_built(tree: Path) -> Path:
    """Make placeholders of all outputs, and the records of both engines."""
    run(tree, "workflow.settings", "data/settings", "data/named_files")
    with Repo(str(tree)) as repo:
        for stage in repo.index.stages:
            for out in stage.outs:
                path = tree / out.def_path
                # The one folder that is not there yet is data/raw/<dataset>.
                path = path if path.suffix or path.is_dir() else path / "manifest.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    run(tree, "dvc", "commit", "--force")
    pretend(tree, "evaluate")
    (tree / "dvc.lock").touch()  # as workflow.sync does at the end
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


SHOP = {
    "format": "tables", "folder": "shop", "interactions": "visits.csv", "items": "items.csv",
    "columns": {"user": "who", "item": "what", "title": "name", "image": "photo"},
    "pictures": "photos",
}  # fmt: skip
OF_SHOP = {f"{stage}@shop" for stage in ("ingest", "kcore", "split", "validate", "compare")}
OF_SHOP |= {"download@shop", "images@shop", "curves@shop", "features@shop-textual"}
OF_SHOP |= {"tokens@shop"}
OF_SHOP |= {name.format("bprmf").replace("sample", "shop") for name in OF_A_MODEL}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with the user's own files, in which both engines find nothing to do."""
    tree = copy_tree(tmp_path_factory.mktemp("shop") / "built")
    textual = {"extractor": "tfidf_svd", "field": "title"}
    edit(
        tree,
        datasets=["shop"],
        models=["bprmf"],
        modalities=["textual"],
        sources__shop=SHOP,
        features__shop={"textual": textual},
    )
    (tree / "shop/photos/of").mkdir(parents=True)
    (tree / "shop/visits.csv").write_text("who,what\nann,1\n")
    (tree / "shop/items.csv").write_text("what,name,photo\n1,A mug,mug.png\n")
    for name in ("mug.png", "of/tray.jpg"):
        (tree / "shop/photos" / name).write_bytes(b"picture")
    return as_built(tree)


def add_a_line(tree):
    with (tree / "shop/visits.csv").open("a") as visits:
        visits.write("bob,1\n")


EDITS = {
    "a line": add_a_line,
    "a new picture": lambda tree: (tree / "shop/photos/new.png").write_bytes(b"picture"),
    "a picture less": lambda tree: (tree / "shop/photos/mug.png").unlink(),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_an_edit_of_the_users_own_files_runs_again_all_that_follows(shop, tmp_path, change):
    """DVC sees it by itself: in the stage that writes the slices, or in the download."""
    tree = moved(shop, tmp_path)
    change(tree)

    with Repo(str(tree)) as repo:
        changed = {name.rpartition(":")[2] for name in repo.status()}
    assert changed & {"settings", "download@shop"}
    assert planned(tree) == OF_SHOP
    assert planned_by_dvc(tree) == OF_SHOP


def test_the_users_own_files_under_a_new_time_run_nothing_again(shop, tmp_path):
    tree = moved(shop, tmp_path)
    for path in (tree / "shop").rglob("*"):
        path.touch()

    with Repo(str(tree)) as repo:
        assert repo.status() == {}
    assert planned(tree) == set()


def moved(shop: Path, folder: Path) -> Path:
    """Return a copy of the tree, whose links lead to the copy's files."""
    tree = Path(shutil.copytree(shop, folder / "tree", symlinks=True))
    run(tree, "workflow.settings", "data/settings", "data/named_files")
    return tree


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
