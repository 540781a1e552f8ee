"""Refuse to start where the other engine is at work, or over in a tree that it built.

Neither engine reads the other's records, and so would make everything again. `workflow.sync`
gives one engine the records of what the other made. What DVC runs refuses on its own while
Snakemake is at work: see pipeline/job/command_line.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from pipeline.job import one_writer
from pipeline.job.errors import AlreadyRunning, Disagreement
from workflow.engines import DVC_LOCK, RECORDS, dvc_at_work, locked_outputs, records

SHOWN = 3  # files, in a message
IN_GIT = "plots"  # a clone has these files, whatever ran in it
_until_exit = ExitStack()  # holds Snakemake's lock


def wait_for_dvc() -> None:
    """Hold the lock of a running Snakemake until this process ends; wait while DVC is at work.

    Raises:
        AlreadyRunning: DVC, or another Snakemake, is at work in this tree.
    """
    _until_exit.enter_context(one_writer.only_writer(one_writer.SNAKEMAKE))
    deadline = time.monotonic() + one_writer.SECONDS
    while process := dvc_at_work():
        if time.monotonic() > deadline:
            raise AlreadyRunning(one_writer.SNAKEMAKE, process)
        time.sleep(0.2)


def before_snakemake(outputs: Iterable[str]) -> None:
    """Refuse jobs that would make again what DVC made.

    Args:
        outputs: of the jobs that Snakemake is about to run.

    Raises:
        Disagreement: an output is there, dvc.lock has it, and Snakemake has no record of it.
    """
    locked, recorded = locked_outputs(), records()
    _refuse(
        file
        for file in outputs
        if Path(file).exists() and file not in recorded and _is_in(locked, file)
        if Path(file).parts[0] != IN_GIT
    )


def before_dvc() -> None:
    """Refuse `dvc repro` where it would make again what Snakemake made.

    Raises:
        Disagreement: an output of dvc.yaml is there, Snakemake has a record of it, and dvc.lock
            does not have it or is older than the record.
    """
    if not RECORDS.exists():
        return
    from dvc.repo import Repo  # half a second

    with Repo() as repo:
        outputs = {str(out) for stage in repo.index.stages for out in stage.outs}
    locked = locked_outputs()
    lock_time = DVC_LOCK.stat().st_mtime if locked else 0.0
    _refuse(
        (
            file
            for file, record in records().items()
            if Path(file).exists() and _is_in(outputs, file)
            if record["endtime"] > lock_time or not _is_in(locked, file)
        ),
        built_by="Snakemake",
        but_not="DVC",
        command="make after-snakemake",
        or_else=f"delete {RECORDS}",
    )


def _is_in(outputs: set[str], file: str) -> bool:
    """Return whether a file or a folder that it is in is among the outputs."""
    return not outputs.isdisjoint([file, *map(str, Path(file).parents)])


def _refuse(
    files: Iterator[str],
    built_by: str = "DVC",
    but_not: str = "Snakemake",
    command: str = "make after-dvc",
    or_else: str = "run with --no-hooks",
) -> None:
    names = sorted(files)
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise Disagreement(
            f"{built_by} made {', '.join(names[:SHOWN])}{more}. {but_not} has no record of "
            f"these files, or an older one, and would make them again. Run `{command}` first; "
            f"to make them again anyway, {or_else}"
        )
