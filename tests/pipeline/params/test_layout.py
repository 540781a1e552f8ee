"""The layout of params.yaml: `dvc exp run -S` changes the lines of a value alone."""

import shutil
from difflib import ndiff
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml
from paths import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def file(tmp_path):
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def changed_lines(file):
    lines = ndiff(TEXT.splitlines(), file.read_text(encoding="utf-8").splitlines())
    return [line.partition("#")[0].split() for line in lines if line[0] in "+-"]


def test_dvc_reads_and_writes_the_same_bytes(file):
    with modify_yaml(file):
        pass

    assert file.read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=2023", []),  # the value that it has
        ("train.epochs=3", [["-", "epochs:", "400"], ["+", "epochs:", "3"]]),
        ("mcln.default.lr=0.00005", [["-", "lr:", "0.001"], ["+", "lr:", "5e-05"]]),
        ("mcln.default.context=7", [["-", "context:"], ["+", "context:", "7"]]),
        ("datasets=[beauty]", [["-", "-", "sample"], ["+", "-", "beauty"]]),
        (
            "tables.table4=[mcln]",
            [["-", "-", "mcln_without_intra"], ["-", "-", "mcln_without_inter"]],
        ),
        (
            "evaluate.k=[20]",
            [["-", "-", "5"], ["-", "-", "10"], ["+", "-", "20"]],
        ),
    ],
)
def test_set_param_changes_the_lines_of_its_value_alone(file, override, expected):
    apply_overrides(file, [override])

    assert changed_lines(file) == expected
