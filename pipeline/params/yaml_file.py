"""Reading params.yaml, and errors that name the full key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.job.errors import ParamsError

PARAMS_FILE = Path("params.yaml")
# How deep the tag of a union stands in pydantic's location of an error; it is no key.
TAG_DEPTH = {"split": 1, "sources": 2, "features": 3, "extractors": 4}
T = TypeVar("T", bound=BaseModel)


def read(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read params.yaml without checking its content; see `params.load`.

    Raises:
        ParamsError: the file is absent, is not YAML or not a mapping.
    """
    try:
        raw = loaded(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the project's root") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: expected YAML, got {error}") from error
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected a mapping, got {type(raw).__name__}")
    return raw


def loaded(text: str) -> Any:
    """Return the content of YAML, or raise yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506


class _Loader(yaml.SafeLoader):
    """The safe loader, with numbers such as 5e-05 as in YAML 1.2.

    `dvc exp run -S mcln.default.lr=0.00005` writes them.
    """


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def unknown(where: str, what: str, available: Iterable[str], add: str) -> ParamsError:
    """Return the error for a name that is not there: what is, and which key to add."""
    return ParamsError(
        f"params.yaml: {where}: {what}; expected one of {sorted(available)}, or add {add}"
    )


def validate(kind: type[T], raw: dict[str, Any], where: str, inside: tuple[str, ...] = ()) -> T:
    """Return `raw` as a section.

    Args:
        kind: the class of the section.
        raw: its content.
        where: the key of the section; empty for the whole file.
        inside: keys to name after the first one of each that does not fit.

    Raises:
        ParamsError: something in `raw` does not fit; every such key is named in full.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise ParamsError(
            "\n".join(_message(problem, where, inside) for problem in problems)
        ) from None


def _message(problem: ErrorDetails, where: str, inside: tuple[str, ...]) -> str:
    location = list(problem["loc"])
    depth = TAG_DEPTH.get(str(location[0])) if location else None
    if depth is not None:
        del location[depth : depth + 1]
    location[1:1] = inside
    key = ".".join(str(part) for part in (where, *location) if part != "")
    if problem["type"] == "extra_forbidden":
        return f"params.yaml: {key}: unknown key"
    expected = problem["msg"][0].lower() + problem["msg"][1:]
    got = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
    is_number_in_quotes = problem["type"] == "float_type" and _is_number(problem["input"])
    hint = " (that is a text: write the number without quotes)" if is_number_in_quotes else ""
    return f"params.yaml: {key}: {expected}{got}{hint}"


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)
