"""What Snakemake prints: a line per job, and of a failed job the message of its stage.

Its own listing of a job has every input. `--printshellcmds` or `--verbose` shows it; the log in
.snakemake/log has it in any case.

    [ 7/16] train sample mcln                        1:42
"""

from __future__ import annotations

import logging
import re
import sys
import time
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from pipeline.job.command_line import duration, title_of

WIDTH = 118  # columns of a line
CLEAR = "\r\x1b[K"  # removes the progress bar of a job that is running
LOG_TAIL = 20  # lines of a failed job's log, where it has no message of its own
LOG_BYTES = 1 << 20  # read from the end of a log
# Records without news for a person.
NOISE = re.compile(
    r"Assuming unrestricted|Building DAG|Using shell|Select jobs|Execute \d+ job|Complete log"
    r"|Elapsed time|Shutting down|Reasons:|Config file|host: |Singularity|None$"
    # A failed job, whose own message comes last.
    r"|RuleException:\nCalledProcessError"
)
# What Snakemake adds after the failure of a job.
AFTERWARDS = re.compile(r"WorkflowError:\nAt least one job|Exiting because a job")
# Where the Snakefile raised an error; its message says what to do.
PLACE = re.compile(r'^WorkflowError in file .*:\n|^  File ".*", line \d+, in .*$', re.MULTILINE)


class JobLines(logging.StreamHandler[Any]):
    """Takes the place of Snakemake's handler for the terminal."""

    def __init__(self, workflow: Any) -> None:
        """Write to standard error.

        Args:
            workflow: Snakemake's, as a Snakefile sees it.
        """
        super().__init__(sys.stderr)
        self.workflow, self.dry = workflow, workflow.output_settings.dryrun
        self.titles: dict[int, str] = {}  # by job
        self.starts: dict[int, float] = {}
        self.n_jobs = self.n_done = 0
        self.failures: dict[str, list[str]] = {}  # title -> logs

    def emit(self, record: logging.LogRecord) -> None:
        """Print what the record has to say, if anything."""
        line = self.line(record)
        if line:
            clear = CLEAR if self.stream.isatty() else ""
            self.stream.write(f"{clear}{line}\n")
            self.flush()

    def line(self, record: logging.LogRecord) -> str:
        """Return the line or lines of a record; empty if it is none of a person's concern."""
        event, facts = getattr(record, "event", None), record.__dict__
        match event:
            case LogEvent.RUN_INFO if not self.n_jobs:
                self.n_jobs = sum(
                    count for rule, count in facts["stats"].items() if self._makes_files(rule)
                )
                return f"{self.n_jobs} jobs"
            case LogEvent.JOB_INFO:
                return self._begin(facts)
            case LogEvent.JOB_FINISHED if facts["job_id"] in self.titles:
                return self._end(facts["job_id"])
            case LogEvent.JOB_ERROR:
                title = self.titles.get(facts["jobid"], facts["rule_name"])
                self.failures[title] = list(facts["log"] or [])
                return ""
            case None | LogEvent.ERROR:
                return self._message(record)
        return ""

    def _makes_files(self, rule: str) -> bool:
        return any(entry.name == rule and entry.output for entry in self.workflow.rules)

    def _begin(self, facts: dict[str, Any]) -> str:
        if not self._makes_files(facts["rule_name"]):
            return ""
        title, job = title_of(facts["shellcmd"]), facts["jobid"]
        self.titles[job], self.starts[job] = title, time.monotonic()
        return f"{title}: {facts['reason']}"[:WIDTH] if self.dry else ""

    def _end(self, job: int) -> str:
        self.n_done += 1
        count = f"[{self.n_done:>{len(str(self.n_jobs))}}/{self.n_jobs}]"
        seconds = time.monotonic() - self.starts[job]
        return f"{count} {self.titles[job]:<44} {duration(seconds):>8}"

    def _message(self, record: logging.LogRecord) -> str:
        message = PLACE.sub("", record.getMessage()).rstrip("\n")
        is_noise = NOISE.match(message) or (self.failures and AFTERWARDS.match(message))
        return "" if is_noise else message


def install(workflow: Any) -> JobLines | None:
    """Replace Snakemake's handler for the terminal, and return the new one.

    None where Snakemake's listing is asked for, or a job runs in a process of its own.
    """
    settings, logger = workflow.output_settings, logging.getLogger("snakemake.logging")
    if settings.printshellcmds or settings.verbose or not workflow.is_main_process:
        return None
    for handler in list(logger.handlers):
        if handler.name == "DefaultStreamHandler":
            logger.removeHandler(handler)
            lines = JobLines(workflow)
            logger.addHandler(lines)
            return lines
    return None


def failure(title: str, logs: list[str]) -> str:
    """Return the message of a failed job's stage, or else the last lines of its logs.

    On a cluster a job has two logs: the stage's and the scheduler's.
    """
    lines = [f"{title} failed; its log is {', '.join(logs) or 'absent'}"]
    for log in logs:
        lines += _last_words(Path(log))
    return "\n".join(lines)


def _last_words(path: Path) -> list[str]:
    if not path.exists():
        return [f"{path}: no such file: the job did not start its command"]
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        text = file.read().decode("utf-8", errors="replace").replace("\r", "\n")
    lines = [line for line in text.splitlines() if line.strip()]
    message = [at for at, line in enumerate(lines) if line.startswith("error: ")]
    tail = lines[message[-1] :] if message else lines[-LOG_TAIL:]
    return tail or [f"{path}: empty: the job was killed"]
