"""What is said at the end of a run: where the results are, or which log says what went wrong."""

import re
import sys

LOG_TAIL = 20  # lines of a failed job's log
LOG_BYTES = 1 << 20  # of a log, from its end, that are looked at
FAILED_JOB = re.compile(
    r"^Error in rule\s(\S+?):\n(?:    .*\n)*?    log: (.+?)(?: \(check|\n)",
    re.MULTILINE,
)


def end_of(path):
    """Return the last bytes of a file as text; progress bars become lines of their own."""
    with open(path, "rb") as file:
        file.seek(max(0, Path(path).stat().st_size - LOG_BYTES))
        return file.read().decode("utf-8", errors="replace").replace("\r", "\n")


def what_failed(snakemake_logs):
    """Return the logs of each job that failed, and how they end, as one text.

    On a cluster there are two: the stage's own, and what the scheduler kept of the job.
    """
    jobs = [job for log in snakemake_logs for job in FAILED_JOB.findall(end_of(log))]
    said = []
    for rule, logs in dict.fromkeys(jobs):
        for log in logs.split(", "):
            said.append(f"\nRule {rule} failed. Its log {log} ends:")
            said += [f"    {line}" for line in last_lines(log)]
    return "\n".join(said) or "\nNo job has failed by itself; the reason is above."


def last_lines(path):
    """Return the last lines of a job's log that say something."""
    if not Path(path).exists():
        return ["(no such file: the job did not come to start its command)"]
    lines = [line for line in end_of(path).splitlines() if line.strip()]
    return lines[-LOG_TAIL:] or ["(empty: the job was ended from outside)"]


def where_results_are():
    """Return a line with the comparisons, pages and tables of sweeps that are there."""
    files = [
        f"results/{dataset}/{name}"
        for dataset in PARAMS.datasets
        for name in (COMPARISON_MD, REPORT_FILE)
    ] + sweep_tables()
    there = [file for file in files if Path(file).exists()]
    return (
        f"Results: {', '.join(there)}"
        if there
        else "Done; no comparison asked for yet."
    )


onsuccess:
    print(where_results_are(), file=sys.stderr)


onerror:
    print(what_failed(log), file=sys.stderr)
