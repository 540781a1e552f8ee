"""The stages: `python -m pipeline.<stage>`, from the project's root.

This file runs first, before anything that takes seconds to import: a command that cannot work
says so at once, and OpenMP reads its settings when torch is imported. Nothing else belongs
here.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("polars", "pydantic", "torch")  # of many; another Python has none of them, or few
ANYWHERE = ("pipeline.interactions.drift", "pipeline.params.json_schema")  # need no params.yaml


def _command() -> str | None:
    """Return the module of this project that `python -m` runs, or None."""
    words = getattr(sys, "orig_argv", [])  # since Python 3.10
    name = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    return name if name.startswith(("pipeline.", "workflow.")) else None


def _no_packages() -> str | None:
    """Return what to do if the running Python is not the project's, or None."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if sys.version_info >= (3, 11) and not missing:
        return None
    activate = ROOT / ".venv/bin/activate"
    advice = f"run `. {activate}`" if activate.exists() else "`make run` creates it in .venv"
    lacks = f" without {', '.join(missing)}" if missing else ""
    return (
        f"{sys.executable}: expected Python 3.11 or later with the project's packages, got "
        f"{'.'.join(map(str, sys.version_info[:2]))}{lacks}; activate the environment: {advice}"
    )


def _not_the_root(command: str) -> str | None:
    """Return what to do if the command cannot work in this directory, or None."""
    helps = {"-h", "--help"} & set(sys.argv[1:])
    if Path("params.yaml").exists() or command in ANYWHERE or helps:
        return None
    root = f": cd {ROOT}" if (ROOT / "params.yaml").exists() else ""
    return f"params.yaml: no such file in {Path.cwd()}; start from the project's root{root}"


def _check() -> None:
    """Stop a command that cannot work; for others, raise if packages are missing."""
    command = _command()
    problem = _no_packages() or (_not_the_root(command) if command else None)
    if problem and command:
        sys.exit(f"error: {problem}")
    if problem:
        raise ModuleNotFoundError(problem)


_check()
# A thread that waits would spin, and take the core from another process: beside two busy ones a
# training was 16 times slower. Sleeping costs an idle machine under a tenth.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
