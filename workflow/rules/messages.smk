"""What a run prints: a line per job, then its results or what failed."""

import sys

from snakemake.exceptions import WorkflowError

from pipeline.job.errors import PipelineError
from workflow import job_lines, other_engine

JOB_LINES = job_lines.install(workflow)


def results():
    """Return the tables and pages among what was asked for."""
    files = [
        file
        for job in workflow.dag.targetjobs
        for file in (job.output or job.input)
        if str(file).endswith((".md", ".html"))
    ]
    return ", ".join(map(str, files))


onstart:
    try:
        other_engine.before_snakemake(
            file for job in workflow.dag.needrun_jobs() for file in job.output
        )
    except PipelineError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    print(f"Results: {results()}" if results() else "Done.", file=sys.stderr)


onerror:
    failures = JOB_LINES.failures if JOB_LINES else {}
    for title, logs in failures.items():
        print(job_lines.failure(title, logs), file=sys.stderr)
