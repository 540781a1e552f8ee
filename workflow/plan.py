"""What would run now and why, in both engines, with the time that each job took last time.

    python -m workflow.plan

The slices of params.yaml are written first, as both engines do at their start. A dry run of DVC
does not, and so calls a stage unchanged whose settings were edited.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx

from pipeline import params
from pipeline.job.command_line import duration, last_time, parser, run, title_of
from workflow import engines, named_files, settings

WIDTH = 118  # columns of a line
SLICES = "settings"  # the stage whose outputs are written here, before the plan


def snakemake_jobs() -> Iterator[str]:
    """Yield a line per job of `snakemake evaluate`."""
    for job in engines.plan().jobs:
        yield _line(title_of(job.command), job.reason)


def dvc_jobs() -> Iterator[str]:
    """Yield a line per stage of `dvc repro`.

    A stage after a changed one runs only if its inputs turn out different.
    """
    from dvc.repo import Repo  # half a second

    changed, reasons = engines.dvc_status(), dict[str, str]()
    with Repo() as repo:
        for stage in reversed(list(networkx.topological_sort(repo.index.graph))):
            above = [
                title_of(before.cmd)
                for before in repo.index.graph.successors(stage)
                if before.addressing in reasons and before.addressing != SLICES
            ]
            if stage.addressing in changed:
                reasons[stage.addressing] = changed[stage.addressing]
            elif above:
                reasons[stage.addressing] = f"if the output of {' or '.join(above)} changes"
            else:
                continue
            yield _line(title_of(stage.cmd), reasons[stage.addressing])


def _line(job: str, reason: str) -> str:
    seconds = last_time(job)
    time = "" if seconds is None else duration(seconds)
    return f"  {job:<36} {time:>8}  {reason}"[:WIDTH]


def report(engine: str, lines: list[str]) -> str:
    """Return the lines of an engine below their number."""
    return "\n".join(
        [f"{engine}: {len(lines)} jobs" if lines else f"{engine}: nothing", *lines]
    )


def main(argv: list[str] | None = None) -> None:
    """Write the slices, print both plans."""
    parser(__doc__).parse_args(argv)
    parameters = params.load()
    settings.check_modalities(parameters)
    named_files.check(parameters)
    settings.write(parameters, settings.SETTINGS_FOLDER, settings.LINKS_FOLDER)
    print("Job, the time it took last time, the reason to run it.\n")
    print(report(f"snakemake {engines.TARGET}", list(snakemake_jobs())))
    print(report("\ndvc repro", list(dvc_jobs())))


if __name__ == "__main__":
    run(main)
