"""Installed packages: the optional ones, and versions."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from types import ModuleType

from pipeline.job.errors import ParamsError


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


def versions(*names: str) -> dict[str, str]:
    """Return the versions of packages by their names in the package index."""
    return {name: version(name) for name in names}
