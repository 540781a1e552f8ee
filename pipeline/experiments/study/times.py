r"""Rule `study_times`: how long the study took, and on what machine.

    logs/benchmarks/study_cell/D -> results/D/study/times.txt

Snakemake measures every job (`benchmark`). This is the only file of the study that differs from
run to run, so the page and the tables have none of its numbers.

    python -m pipeline.experiments.study.times sample logs/benchmarks/study_cell/sample \
        results/sample/study
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import polars as pl

from pipeline import params
from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.pages import file_names
from pipeline.params import study
from pipeline.tables.io import write_text

NEEDED = ("s", "cpu_time", "max_rss")  # seconds, seconds, MB
NULLS = ["-", "NA"]  # what Snakemake writes about a job too short to be measured
Times: TypeAlias = Mapping[str, float | None]  # `NEEDED` of a job


def read(path: Path) -> Times:
    """Return wall seconds, CPU seconds and memory (MB) of one job.

    Raises:
        SchemaError: the file is no benchmark of Snakemake's.
    """
    table = pl.read_csv(path, separator="\t", null_values=NULLS)
    if not set(NEEDED) <= set(table.columns) or not table.height:
        raise SchemaError(f"{path}: expected columns {NEEDED}, got {table.columns}")
    return table.select(pl.col(NEEDED).cast(pl.Float64)).row(-1, named=True)


def text(times: Mapping[str, Times | None], about: str) -> str:
    """Return times.txt: the machine, a line per training (None was not timed), the sums."""
    width = max(map(len, times))
    lines = [about, "", f"{'training':{width}}  {'wall s':>9}  {'CPU s':>9}  {'MB':>7}"]
    for name, job in times.items():
        wall, cpu, memory = (_number(job[key] if job else None) for key in NEEDED)
        lines.append(f"{name:{width}}  {wall:>9}  {cpu:>9}  {memory:>7}")
    timed = [job for job in times.values() if job]
    wall_sum, cpu_sum = (sum(job[key] or 0.0 for job in timed) for key in NEEDED[:2])
    lines += [
        "",
        f"{len(timed)} of {len(times)} trainings timed: {wall_sum:.0f} s one after the "
        f"other, {cpu_sum:.0f} s of CPU. Jobs that ran at once share the machine;",
        "Snakemake looks at CPU time now and then, and misses how a job ends.",
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def machine() -> str:
    """Return the processor's kind, the number of CPUs and the system."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    kind = names[0] if names else platform.machine()
    python = f"Python {platform.python_version()}"
    return f"{kind}, {os.cpu_count()} CPUs, {platform.system()}, {python}"


def main(argv: list[str] | None = None) -> None:
    """Read, add up, write."""
    parse = parser(__doc__, "dataset")
    parse.add_argument("benchmarks", type=Path, help="folder of the cells' benchmarks")
    parse.add_argument("results", type=Path, help="folder to write to")
    args = parse.parse_args(argv)
    names = study.cells(params.load(), args.dataset)
    files = {name: args.benchmarks / f"{name}.tsv" for name in names}
    times = {name: read(path) if path.exists() else None for name, path in files.items()}
    write_text(text(times, machine()), args.results / file_names.TIMES_FILE)


if __name__ == "__main__":
    run(main)
