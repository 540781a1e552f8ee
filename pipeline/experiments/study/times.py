r"""Stage `study_times`: how long the study took, and on what machine.

    logs/benchmarks/study_cell/D -> results/D/study/times.txt

Snakemake measures every job (`benchmark`). This is the one file of the study that another run
does not make again byte for byte, so the page and the tables do not have what stands in it.

    python -m pipeline.experiments.study.times sample logs/benchmarks/study_cell/sample \
        results/sample/study
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.pages.files import TIMES_FILE
from pipeline.params import study_cells
from pipeline.tables.io import write_text

NEEDED = ("s", "cpu_time", "max_rss")  # seconds, seconds, MB
NONE = ("-", "NA")  # what Snakemake writes of a job too short to be looked at


def read(path: Path) -> dict[str, float | None]:
    """Return wall seconds, CPU seconds and memory (MB) of one job.

    Raises:
        SchemaError: the file is no benchmark of Snakemake's.
    """
    table = pl.read_csv(path, separator="\t", null_values=list(NONE))
    if not set(NEEDED) <= set(table.columns) or not table.height:
        raise SchemaError(f"{path}: expected columns {NEEDED}, got {table.columns}")
    return table.select(pl.col(NEEDED).cast(pl.Float64)).row(-1, named=True)


def text(found: Mapping[str, Mapping[str, float | None] | None], about: str) -> str:
    """Return times.txt: a line per training, and the sums.

    Args:
        found: by cell; None for one that was not timed.
        about: the machine, in a line.
    """
    width = max(len(name) for name in found)
    lines = [about, "", f"{'training':{width}}  {'wall s':>9}  {'CPU s':>9}  {'MB':>7}"]
    for name, own in found.items():
        cells = [own and own[key] for key in NEEDED]
        shown = [f"{'-' if cell is None else f'{cell:.1f}':>9}" for cell in cells]
        lines.append(f"{name:{width}}  {shown[0]}  {shown[1]}  {shown[2][2:]:>7}")
    known = [own for own in found.values() if own]
    sums = [sum(own[key] or 0.0 for own in known) for key in NEEDED[:2]]
    lines += [
        "",
        f"{len(known)} of {len(found)} trainings timed: {sums[0]:.0f} s one after the ",
    ]
    lines[-1] += f"other, {sums[1]:.0f} s of CPU. Jobs that ran at once share the machine;"
    lines.append("Snakemake looks at CPU time now and then, and misses how a job ends.")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Return the processor's kind, the number of CPUs and the system."""
    names = [
        line.partition(":")[2].strip()
        for line in _lines(Path("/proc/cpuinfo"))
        if line.startswith("model name")
    ]
    kind = names[0] if names else platform.machine()
    python = f"Python {platform.python_version()}"
    return f"{kind}, {os.cpu_count()} CPUs, {platform.system()}, {python}"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main(argv: list[str] | None = None) -> None:
    """Read, add up, write."""
    parse = parser(__doc__, "dataset")
    parse.add_argument(
        "benchmarks", type=Path, help="folder of Snakemake's benchmarks of cells"
    )
    parse.add_argument("results", type=Path, help="folder to write to")
    args = parse.parse_args(argv)
    files = {
        name: args.benchmarks / f"{name}.tsv"
        for name in study_cells.cells(params.load(), args.dataset)
    }
    found = {name: read(path) if path.exists() else None for name, path in files.items()}
    write_text(text(found, machine()), args.results / TIMES_FILE)


if __name__ == "__main__":
    run(main)
