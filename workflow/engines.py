"""What either engine says of the tree, asked through its command line and its records."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.job.errors import Disagreement

TARGET = "evaluate"  # what `dvc repro` makes as well; tables and studies are Snakemake's alone
RECORDS, LOCKS = Path(".snakemake/metadata"), Path(".snakemake/locks")
RECORD_FORMAT = 6  # of snakemake 9
DVC_LOCK = Path("dvc.lock")
SHOWN = 3  # files of one stage, in a message

Record = dict[str, Any]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run an engine with this Python; return what it printed on both streams.

    Raises:
        Disagreement: it failed; the message ends with its last words.
    """
    folder = str(Path(sys.executable).parent)
    # The stages are called as `python`, which must be the one that runs this.
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(  # noqa: S603 (the engines themselves)
        [sys.executable, "-m", *command],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise Disagreement(f"`{' '.join(command)}` failed:\n{said}")
    return done


# --- Snakemake ----------------------------------------------------------------------------


def snakemake(*options: str) -> str:
    """Return what Snakemake says to `snakemake <options> evaluate`."""
    done = run("snakemake", "--cores", "1", *options, TARGET)
    return done.stdout + done.stderr


class Plan(NamedTuple):
    """What Snakemake would do now."""

    jobs: list[str]  # "rule: outputs: reason"
    unrecorded: list[str]  # rules that have no record of some job


def plan() -> Plan:
    """Ask Snakemake for its plan.

    Raises:
        Disagreement: it cannot plan, or its answer is none that is known here.
    """
    said = snakemake("--dry-run")
    jobs = [
        f"{rule}: {_field('output', text)}: {_field('reason', text)}"
        for rule, text in re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)", said, re.M)
        if _field("output", text)
    ]
    if not jobs and "Nothing to be done" not in said:
        raise Disagreement(f"`snakemake --dry-run {TARGET}`: expected a plan, got:\n{said}")
    unrecorded = re.search(r"^Rules with missing metadata: (.*)$", said, re.MULTILINE)
    return Plan(jobs, unrecorded[1].split() if unrecorded else [])


def _field(name: str, text: str) -> str:
    found = re.search(rf"^    {name}: (.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def outputs() -> dict[str, str]:
    """Return `{file: rule}` of what `snakemake evaluate` makes and keeps, there or not."""
    said = snakemake("--summary")
    lines = said[said.index("output_file\t") :].splitlines()
    table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return {
        row["output_file"]: row["rule"]
        for row in table
        if row["status"] not in (None, "removed temp file")
    }


def records() -> dict[str, Record]:
    """Return `{output: what Snakemake recorded of the job that made it}`.

    Raises:
        Disagreement: a record is of another format than that of Snakemake 9.
    """
    found = {}
    for path in RECORDS.rglob("*") if RECORDS.is_dir() else ():
        if path.is_file():
            found[_output(path)] = _record(path)
    return found


def _output(path: Path) -> str:
    # A long name is cut; all pieces but the last are folders, marked by a first "@".
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


def held() -> list[Path]:
    """Return the locks of a Snakemake that runs here, or was killed."""
    return sorted(LOCKS.glob("*.lock"))


# --- DVC ----------------------------------------------------------------------------------


def dvc_status() -> dict[str, str]:
    """Return `{stage: what differs from dvc.lock}` of every stage that is not up to date."""
    status = json.loads(run("dvc", "status", "--json").stdout)
    return {stage: "; ".join(_changes(entries)) for stage, entries in status.items()}


def _changes(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):  # such as "changed command"
            yield entry
            continue
        for kind, files in entry.items():
            named = [f"{file} ({how})" for file, how in files.items()]
            more = [f"{len(named) - SHOWN} more"] if len(named) > SHOWN else []
            yield f"{kind}: " + ", ".join(named[:SHOWN] + more)


def vouched(changed: dict[str, str]) -> set[str]:
    """Return the outputs that are in dvc.lock as they lie there, with inputs to match.

    Args:
        changed: what `dvc_status` returned.
    """
    if not DVC_LOCK.exists():
        return set()
    lock = yaml.safe_load(DVC_LOCK.read_text(encoding="utf-8")) or {}
    return {
        out["path"]
        for stage, entry in lock.get("stages", {}).items()
        if stage not in changed
        for out in entry.get("outs", [])
    }
