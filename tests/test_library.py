"""The examples of docs/library.md run as they stand; what needs no torch does not import it."""

import re
import shutil
import subprocess
import sys

import pytest
from paths import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENT = ROOT / "docs/library.md"
BLOCKS = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
MOST_LINES = 10


def test_every_example_has_ten_lines_or_fewer():
    assert len(BLOCKS) == 6
    for block in BLOCKS:
        assert len([line for line in block.splitlines() if line.strip()]) <= MOST_LINES, block


def test_the_examples_run_one_after_the_other(tmp_path):
    """On real pictures with real weights, in a new process."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="extra efficientnet_lite0")
    shutil.copy(ROOT / "params.yaml", tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", "\n".join(BLOCKS)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    comment = re.search(r"print\(pictures\.problems\)  # (.*)$", BLOCKS[1], re.MULTILINE)[1]
    assert done.stdout == f"{comment}\n"


@pytest.mark.parametrize(
    "module", ["pipeline.library.features", "pipeline.params", "pipeline.tables.features"]
)
def test_what_needs_no_torch_does_not_import_it(module):
    """Torch alone takes seconds; so do the libraries of single extractors."""
    heavy = ("torch", "torchvision", "gensim", "sklearn", "scipy", "matplotlib")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"

    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert said == "[]\n"
