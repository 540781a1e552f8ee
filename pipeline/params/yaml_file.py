"""Reading params.yaml, and saying what is wrong in it by the full name of the key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.job.errors import ParamsError

PARAMS_FILE = Path("params.yaml")
T = TypeVar("T", bound=BaseModel)


def unknown(where: str, what: str, known: Iterable[str], add: str) -> ParamsError:
    """Return the error that says what there is, and what to add: a section or a key."""
    return ParamsError(
        f"params.yaml: {where}: {what}; expected one of {sorted(known)}, or add {add}"
    )


def read(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read params.yaml without checking what is in it; see `params.load`.

    Raises:
        ParamsError: the file is absent, is not YAML or is no mapping.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the project's root") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: expected YAML, got {error}") from error
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected a mapping, got {type(raw).__name__}")
    return raw


class _Loader(yaml.SafeLoader):
    """The safe loader, to which 5e-05 is a number, as it is in YAML 1.2.

    `dvc exp run -S mcln.default.lr=0.00005` writes it so.
    """


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def validate(kind: type[T], raw: dict[str, Any], where: str) -> T:
    """Build `kind`, turning pydantic's findings into one ParamsError with full key names.

    Args:
        kind: the section.
        raw: its content.
        where: the key of the section; empty for the whole file.

    Raises:
        ParamsError: something in `raw` does not fit; every such key is named.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ParamsError("\n".join(_explain(error, where))) from None


def _explain(error: ValidationError, where: str) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(
            str(part) for part in (where, *_without_tag(problem["loc"])) if part != ""
        )
        got = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
        hint = ""
        if problem["type"] == "float_type" and _looks_like_a_number(problem["input"]):
            hint = " (that is a text: write the number without quotes)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"params.yaml: {key}: unknown key")
            continue
        message = problem["msg"][0].lower() + problem["msg"][1:]
        lines.append(f"params.yaml: {key}: {message}{got}{hint}")
    return lines


def _without_tag(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Drop the union's tag, which is no key: sources.<name>.<tag>, features.<d>.<m>.<tag>."""
    depth = {"split": 1, "sources": 2, "features": 3, "extractors": 4}.get(
        str(location[0]) if location else ""
    )
    return location if depth is None else location[:depth] + location[depth + 1 :]


def _looks_like_a_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)
