"""The errors of the pipeline.

    PipelineError
    ├── ParamsError       params.yaml is invalid
    ├── RawDataError      an external file is missing, damaged or in another format
    ├── SchemaError       a table of the pipeline lacks a column, has a wrong type or is empty
    ├── TrainingDiverged  a non-finite loss
    └── Disagreement      the files differ from what an engine recorded

A message says what was read, what was expected, what was there and how to fix it.
"""

from __future__ import annotations


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


class Disagreement(PipelineError):  # noqa: N818 (name of the cause)
    """The files in the tree are not those that an engine recorded for their inputs."""
