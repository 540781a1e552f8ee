"""Messages at the end of a run: the paths of the results, or the logs of failed jobs."""

import re
import sys

LOG_TAIL = 20  # lines of a failed job's log
LOG_BYTES = 1 << 20  # read from the end of a log
FAILED_JOB = re.compile(
    r"^Error in rule\s(\S+?):\n(?:    .*\n)*?    log: (.+?)(?: \(check|\n)",
    re.MULTILINE,
)


def end_of(path):
    """Return the end of a file as text, with each state of a progress bar on its own line."""
    with open(path, "rb") as file:
        file.seek(max(0, Path(path).stat().st_size - LOG_BYTES))
        return file.read().decode("utf-8", errors="replace").replace("\r", "\n")


def what_failed(snakemake_logs):
    """Return a message with the logs of each failed job and their last lines.

    On a cluster a job has two logs: the stage's and the scheduler's.
    """
    jobs = [job for log in snakemake_logs for job in FAILED_JOB.findall(end_of(log))]
    message = []
    for rule, logs in dict.fromkeys(jobs):
        for log in logs.split(", "):
            message.append(f"\nRule {rule} failed. Its log {log} ends:")
            message += [f"    {line}" for line in last_lines(log)]
    return "\n".join(message) or "\nNo job failed; the cause is above."


def last_lines(path):
    """Return the last lines of a job's log that are not empty."""
    if not Path(path).exists():
        return ["(no such file: the job did not start its command)"]
    lines = [line for line in end_of(path).splitlines() if line.strip()]
    return lines[-LOG_TAIL:] or ["(empty: the job was killed)"]


def where_results_are():
    """Return a line with the existing comparisons, pages and tables of sweeps."""
    files = [
        f"results/{dataset}/{name}"
        for dataset in PARAMS.datasets
        for name in (COMPARISON_MD, REPORT_FILE)
    ] + sweep_tables()
    existing = [file for file in files if Path(file).exists()]
    return (
        f"Results: {', '.join(existing)}"
        if existing
        else "Done; no comparison was requested yet."
    )


onsuccess:
    print(where_results_are(), file=sys.stderr)


onerror:
    print(what_failed(log), file=sys.stderr)
