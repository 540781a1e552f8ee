"""The errors of the pipeline.

    PipelineError
    ├── ParamsError       params.yaml is invalid
    ├── RawDataError      an external file is missing, damaged or in another format
    ├── SchemaError       a table of the pipeline lacks a column, has a wrong type or is empty
    ├── TrainingDiverged  a non-finite loss
    ├── NotWritten        no room for a file, or its place is read-only
    ├── AlreadyRunning    another process does the same job
    └── Disagreement      the files differ from what an engine recorded

A message says what was read, what was expected, what was there and how to fix it.
"""

from __future__ import annotations

import errno
from pathlib import Path

# What a file's place says against writing to it, and how to mend it.
MEND = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Give this user access to it"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR), "Remove what is in the way"),
    errno.EROFS: "Make the place writable",
}


class PipelineError(Exception):
    """A failure that is reported as a message, without a traceback."""


class ParamsError(PipelineError):
    """params.yaml, or an argument on the command line, is invalid."""


class RawDataError(PipelineError):
    """A raw file is missing, damaged or not in its published format."""


class SchemaError(PipelineError):
    """A table of the pipeline does not have the expected form."""


class TrainingDiverged(PipelineError):  # noqa: N818 (name of the design)
    """A training loss became NaN or infinite."""


class NotWritten(PipelineError):  # noqa: N818 (says what happened)
    """A file cannot be written: no room, a read-only place, a file where a folder should be."""


def not_written(path: Path | str, error: Exception) -> NotWritten:
    """Return the error to raise when a file cannot be written."""
    number = getattr(error, "errno", None) or 0
    mend = MEND.get(number, "Make room, or repair the disk,")
    return NotWritten(
        f"{path}: cannot be written: {error}. {mend} and run the stage again (what is complete "
        "is kept)"
    )


class AlreadyRunning(PipelineError):  # noqa: N818 (says what happens)
    """Another process does the same job, or another engine runs in this tree."""

    def __init__(self, job: str, holder: str) -> None:
        """Say who it is."""
        super().__init__(
            f"{job}: already running: {holder}. Wait until it ends, or stop it "
            "with `kill` if it was left behind, and run again"
        )


class Disagreement(PipelineError):  # noqa: N818 (name of the cause)
    """The files in the tree are not those that an engine recorded for their inputs."""
