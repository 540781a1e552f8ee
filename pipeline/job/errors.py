"""What can go wrong, by name.

    PipelineError
    ├── ParamsError       params.yaml says something that cannot be run
    ├── RawDataError      a file from outside is absent, damaged or not what it claims to be
    ├── SchemaError       one of our own tables lacks a column, has a wrong type or is empty
    ├── TrainingDiverged  a loss stopped being a number
    └── Disagreement      an engine cannot be told that the tree is up to date, since it is not

A message names what was being read, what was expected, what was found and how to mend it.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Any failure that is explained to the user without a traceback."""


class ParamsError(PipelineError):
    """params.yaml, or an argument on the command line, cannot be run."""


class RawDataError(PipelineError):
    """A raw file is absent, damaged or not in its published format."""


class SchemaError(PipelineError):
    """A table of the pipeline is not the one that its stage promises."""


class TrainingDiverged(PipelineError):  # noqa: N818 (the design's name)
    """A training loss became NaN or infinite."""


class Disagreement(PipelineError):  # noqa: N818 (what it is about, not what went wrong)
    """What lies in the tree is not what an engine's records say was made of its inputs."""
