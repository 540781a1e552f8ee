"""Print the tables of a target and where its pages are: the end of `make run`.

Lines of text are wrapped; a page is named by its address.

    python -m workflow.results evaluate
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.pages.file_names import COMPARISON_MD, REPORT_FILE, SWEEP_MD, TUNE_MD
from pipeline.params import extractors, sweep, tune

WIDTH = 100  # columns of a line that is not of a table


def files(settings: params.Params, target: str) -> Iterator[Path]:
    """Yield the tables and pages that a target makes of every dataset in `datasets`."""
    for dataset in settings.datasets:
        folder = Path("results") / dataset
        if target == "sweep":
            yield from (folder / model / SWEEP_MD for model in sweep.models(settings, dataset))
        elif target == "tune":
            yield from (folder / model / TUNE_MD for model in tune.models(settings, dataset))
        elif target == "evaluate":
            yield from (folder / COMPARISON_MD, folder / REPORT_FILE)
        elif dataset in settings.extractors:
            table = folder / extractors.TABLE
            yield from (table / COMPARISON_MD, table / REPORT_FILE)


def text(path: Path) -> str:
    """Return a table as text of limited width, or the address of a page."""
    if path.suffix != ".md":
        return f"{path}: {path.absolute().as_uri()}"
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line if line[:1] == "|" else textwrap.fill(line, WIDTH) for line in lines)


def main(argv: list[str] | None = None) -> None:
    """Print them."""
    arguments = parser(__doc__)
    targets = ["evaluate", "compare_extractors", "sweep", "tune"]
    arguments.add_argument("target", choices=targets, help="of the Snakefile")
    target = arguments.parse_args(argv).target
    print("\n".join(text(path) for path in files(params.load(), target)))


if __name__ == "__main__":
    run(main)
