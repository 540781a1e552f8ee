"""The base class and the value types of every section of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[A-Za-z][A-Za-z0-9_]*$"  # of folders, stages and wildcards
Name = Annotated[str, Field(pattern=NAME)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A mapping in params.yaml: no unknown keys, no silent conversion, no later change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
