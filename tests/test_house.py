"""The structure that docs/architecture.md describes, read from the imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT, STAGES

from pipeline.job.code import closure, imports

# From the ground up. A folder imports lower floors alone; `stages` are the modules at the top.
FLOORS = (
    {"model"},
    {"job"},
    {"params", "tables"},
    {"published", "pages"},
    {"transfer"},
    {"sources", "interactions", "pictures", "extractors", "learning", "comparison"},
    {"stages"},
    {"explore", "library"},
    {"experiments"},
    {"workflow"},
)
LONGEST_MODULE, LONGEST_FUNCTION = 260, 40  # lines; of a function without its docstring

FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("model", "pipeline", "workflow")
    for path in (ROOT / folder).rglob("*.py")
)


def room(file: Path) -> str:
    if file.parts[0] != "pipeline":
        return file.parts[0]
    return file.parts[1] if len(file.parts) > 2 else "stages"


def floor(file: Path) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(file) in rooms)


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and length without its docstring."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documentation = ast.get_docstring(node, clean=False)
            lines = documentation.count("\n") + 1 if documentation else 0
            yield node.name, node.end_lineno - node.lineno + 1 - lines


def test_the_top_of_pipeline_is_the_stages():
    modules = {path.stem for path in (ROOT / "pipeline").glob("*.py")}

    assert modules - {"__init__"} == set(STAGES)


def test_every_folder_has_its_floor():
    assert {room(file) for file in FILES} == set().union(*FLOORS)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_module_imports_its_own_folder_and_lower_floors(file):
    for imported in imports(file):
        same = room(imported) == room(file) != "stages"
        assert same or floor(imported) < floor(file), imported


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_import_circle(file):
    assert file not in closure(imports(file), Path())


@pytest.mark.parametrize("file", FILES, ids=str)
def test_modules_and_functions_are_short(file):
    if file.parts[0] == "pipeline":
        assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    for name, lines in functions(file):
        assert lines <= LONGEST_FUNCTION, name
