"""The code that a job depends on, from the imports; a hash of it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]  # of the project
JOB = Path("pipeline/job")


def closure(files: Iterable[Path], folder: Path) -> list[Path]:
    """Return the files of `folder` that files import, directly or indirectly, and themselves.

    Packages themselves (`__init__.py`) are left out: here they have lists and no computation.

    Args:
        files: Python files, relative to `ROOT`.
        folder: such as `model`, relative to `ROOT`.

    Returns:
        Sorted paths, relative to `ROOT`.
    """
    seen, to_visit = set(), list(files)
    while to_visit:
        file = to_visit.pop()
        if file not in seen:
            seen.add(file)
            to_visit += imports(file)
    return sorted(file for file in seen if file.is_relative_to(folder))


@cache
def code_digest(*files: str, within: str = "") -> str:
    """Return a hash of files and of all code of the project that they import.

    What is kept of a stopped job is continued only by the code that began it. The hash is that
    of the first call, since an edit does not reach a program that is running. Left out are
    pipeline/params, for which the settings speak, and pipeline/job, which computes nothing.

    Args:
        files: Python files, relative to `ROOT`.
        within: the folder whose files count; by default all.
    """
    imported = closure(map(Path, files), Path(within))
    of_code = {file for file in imported if not file.is_relative_to(JOB)}
    packages = {parent / "__init__.py" for file in of_code for parent in file.parents}
    of_code |= {file for file in packages if (ROOT / file).is_file()}
    digest = hashlib.sha256()
    for file in sorted(of_code):
        content = (ROOT / file).read_bytes()
        digest.update(f"{file.as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()


@cache
def imports(file: Path) -> tuple[Path, ...]:
    """Return the files of the project that a file imports."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    candidates = (Path(*name.split(".")).with_suffix(".py") for name in _names(tree))
    return tuple(dict.fromkeys(path for path in candidates if (ROOT / path).is_file()))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
