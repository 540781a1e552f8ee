"""Packages that only some extractors need."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from types import ModuleType

from pipeline.job.errors import ParamsError

__all__ = ["need", "version"]


def need(module: str, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: its name in Python.
        extra: the group of pyproject.toml that installs it.

    Raises:
        ParamsError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ParamsError(
            f"extractor {extra}: expected the package {error.name}, not installed; run "
            f"pip install -e '.[{extra}]' -c constraints.txt"
        ) from None
