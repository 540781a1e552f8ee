"""What a run prints: a line per job, then its results or what failed."""

import sys

from snakemake.exceptions import WorkflowError

from pipeline.job.errors import PipelineError
from workflow import job_lines, other_engine

JOB_LINES = job_lines.install(workflow)


SHOWN = 6  # files, in the last line


def results():
    """Return the tables and pages of what was asked for, or its files if it has none."""
    files = [
        str(file)
        for job in workflow.dag.targetjobs
        for file in (job.output or job.input)
    ]
    pages = [file for file in files if file.endswith((".md", ".html"))] or files
    more = f" and {len(pages) - SHOWN} more" if len(pages) > SHOWN else ""
    return ", ".join(pages[:SHOWN]) + more


onstart:
    try:
        other_engine.wait_for_dvc()
        other_engine.before_snakemake(
            file for job in workflow.dag.needrun_jobs() for file in job.output
        )
    except PipelineError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    print(f"Results: {results()}", file=sys.stderr)


onerror:
    failures = JOB_LINES.failures if JOB_LINES else {}
    for title, logs in failures.items():
        print(job_lines.failure(title, logs), file=sys.stderr)
