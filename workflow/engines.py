"""The state of the tree according to either engine, from its command line and its records."""

from __future__ import annotations

import csv
import fcntl
import itertools
import json
import os
import re
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.job.errors import Disagreement
from pipeline.job.one_writer import is_alive

TARGET = "evaluate"  # as `dvc repro`; only Snakemake makes tables and studies
RECORDS, LOCKS = Path(".snakemake/metadata"), Path(".snakemake/locks")
RECORD_FORMAT = 6  # of snakemake 9
DVC_LOCK, DVC_TMP = Path("dvc.lock"), Path(".dvc/tmp")
# A job in the output of a dry run, with its shell command.
JOB = re.compile(
    r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)(?:Shell command: (.*)\n)?", re.MULTILINE
)
SHOWN = 3  # files of one stage, in a message

Record = dict[str, Any]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run an engine with this Python; return its output on both streams.

    Raises:
        Disagreement: it failed; the message ends with its last lines. DVC does without git.
    """
    # Stages are run as `python`, which must be this one.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.run(  # noqa: S603 (the engines themselves)
        [sys.executable, "-m", *command],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        if "is not a git repository" in process.stderr:
            raise Disagreement(
                f"{Path.cwd()}: DVC expects a git repository, got none. Run `git init`, or "
                "`dvc config --local core.no_scm true`, with which DVC works without git; "
                "Snakemake needs none"
            )
        last_lines = (process.stdout + process.stderr).strip().splitlines()[-12:]
        raise Disagreement("\n".join([f"`{' '.join(command)}` failed:", *last_lines]))
    return process


# --- Snakemake ----------------------------------------------------------------------------


def snakemake(*options: str) -> str:
    """Return the output of `snakemake <options> evaluate`."""
    process = run("snakemake", "--cores", "1", *options, TARGET)
    return process.stdout + process.stderr


class Job(NamedTuple):
    """A job that Snakemake would run."""

    rule: str
    output: str
    reason: str
    command: str

    def __str__(self) -> str:
        """Return the job with its reason, for a message."""
        return f"{self.rule}: {self.output}: {self.reason}"


class Plan(NamedTuple):
    """What Snakemake would run now."""

    jobs: list[Job]
    unrecorded: list[str]  # rules with a job that has no record


def plan() -> Plan:
    """Return Snakemake's plan.

    Raises:
        Disagreement: it cannot plan, or its output has an unknown form.
    """
    output = snakemake("--dry-run", "--printshellcmds")
    jobs = [
        Job(rule, _field("output", text), _field("reason", text), command)
        for rule, text, command in JOB.findall(output)
        if _field("output", text)
    ]
    if not jobs and "Nothing to be done" not in output:
        raise Disagreement(f"`snakemake --dry-run {TARGET}`: expected a plan, got:\n{output}")
    unrecorded = re.search(r"^Rules with missing metadata: (.*)$", output, re.MULTILINE)
    return Plan(jobs, unrecorded[1].split() if unrecorded else [])


def _field(name: str, text: str) -> str:
    match = re.search(rf"^    {name}: (.*)$", text, re.MULTILINE)
    return match[1] if match else ""


def outputs() -> dict[str, str]:
    """Return `{file: rule}` of what `snakemake evaluate` makes and keeps, present or not."""
    _, header, table = snakemake("--summary").partition("output_file\t")
    lines = (header + table).splitlines()
    return {
        row["output_file"]: row["rule"]
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if row["status"] not in (None, "removed temp file")
    }


def records() -> dict[str, Record]:
    """Return `{output: Snakemake's record of the job that made it}`.

    Raises:
        Disagreement: a record has another format than that of Snakemake 9.
    """
    return {_output(path): _record(path) for path in RECORDS.rglob("*") if path.is_file()}


def _output(path: Path) -> str:
    # A long name is split; all pieces but the last are folders that start with "@".
    name = "".join(part.removeprefix("@") for part in path.relative_to(RECORDS).parts)
    return urlsafe_b64decode(name).decode()


def _record(path: Path) -> Record:
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise Disagreement(f"{path}: expected JSON, got {error}; remove it") from error
    version = record.get("record_format_version")
    if version != RECORD_FORMAT:
        raise Disagreement(
            f"{path}: expected Snakemake's record format {RECORD_FORMAT}, got {version}; run "
            f"`snakemake --forceall {TARGET}` with the version that constraints.txt names"
        )
    return record


def locks() -> list[Path]:
    """Return the locks of a Snakemake that is running in this tree, or was killed."""
    return sorted(LOCKS.glob("*.lock"))


# --- DVC ----------------------------------------------------------------------------------


def dvc_at_work() -> str:
    """Return the process and command of a DVC that is at work in this tree; empty if none is.

    DVC locks the tree, but while a stage runs only the stage's files.
    """
    try:
        locked = json.loads((DVC_TMP / "rwlock").read_text(encoding="utf-8"))
        groups = [*locked.get("read", {}).values(), [*locked.get("write", {}).values()]]
        for process in itertools.chain(*groups):
            if is_alive(process["pid"]):
                return f"process {process['pid']}: {process['cmd']}"
    except (OSError, ValueError):  # absent, or about to be replaced
        pass
    try:
        with (DVC_TMP / "lock").open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return f"process {(DVC_TMP / 'lock').read_text(encoding='utf-8').strip()}: dvc"
    return ""


def dvc_status() -> dict[str, str]:
    """Return `{stage: what differs from dvc.lock}` of the stages that are not up to date."""
    status = json.loads(run("dvc", "status", "--json").stdout)
    return {stage: "; ".join(_changes(entries)) for stage, entries in status.items()}


def _changes(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):  # such as "changed command"
            yield entry
            continue
        for kind, files in entry.items():
            changes = [f"{file} ({change})" for file, change in files.items()]
            more = [f"{len(changes) - SHOWN} more"] if len(changes) > SHOWN else []
            yield f"{kind}: " + ", ".join(changes[:SHOWN] + more)


def unchanged_outputs(changed: dict[str, str]) -> set[str]:
    """Return the outputs that match dvc.lock and whose stage's inputs do too.

    Args:
        changed: what `dvc_status` returned.
    """
    return locked_outputs(changed)


def locked_outputs(except_of: Collection[str] = ()) -> set[str]:
    """Return the outputs in dvc.lock, without those of some stages."""
    if not DVC_LOCK.exists():
        return set()
    lock = yaml.safe_load(DVC_LOCK.read_text(encoding="utf-8")) or {}
    return {
        out["path"]
        for stage, entry in lock.get("stages", {}).items()
        if stage not in except_of
        for out in entry.get("outs", [])
    }
