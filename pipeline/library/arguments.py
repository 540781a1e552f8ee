"""Settings that are given by keyword, checked as params.yaml is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.job.errors import ParamsError


def checked(kind: Any, settings: Mapping[str, Any], call: str, *, skip: int = 0) -> Any:
    """Return settings as a section of pipeline/params.

    Args:
        kind: the class of the section, or a union of sections.
        settings: by name.
        call: the function that was called, for the error.
        skip: how many names pydantic puts before the name of a setting: 1 for a union.

    Raises:
        ParamsError: settings are missing, unknown, or of the wrong type or range; all of them
            are named.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(settings))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        missing = [_name(p["loc"], skip) for p in problems if p["type"] == "missing"]
        lines = [f"missing settings: {', '.join(missing)}"] if missing else []
        for problem in problems:
            if problem["type"] == "extra_forbidden":
                lines.append(f"{_name(problem['loc'], skip)}: unknown setting")
            elif problem["type"] != "missing":
                message = problem["msg"][0].lower() + problem["msg"][1:]
                prefix = f"{name}: " if (name := _name(problem["loc"], skip)) else ""
                lines.append(f"{prefix}{message}, got {problem['input']!r}")
        raise ParamsError("\n".join(f"{call}: {line}" for line in lines)) from None


def _name(location: tuple[int | str, ...], skip: int) -> str:
    return ".".join(str(part) for part in location[skip:])
