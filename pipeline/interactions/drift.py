"""Compare two versions of a dataset: files, rows, users, items, fields.

    python -m pipeline.interactions.drift results/sample/validation.json earlier/validation.json

Not a stage. Reads two files of `validate`, of the current and an earlier version (from `git
show`, `dvc get` or a copy). Prints a line per count that differs; the exit status is then 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.job.command_line import parser, run
from pipeline.job.errors import SchemaError
from pipeline.tables.io import read_json


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a line for each count that differs; raw files first.

    Args:
        before: `profile.profile` of the earlier version.
        after: `profile.profile` of the later version.
    """
    order = {"files": 0, "reviews": 1, "items": 2}
    lines = list(_differences(before, after, ()))
    lines.sort(key=lambda pair: (order.get(pair[0], 3), pair[1]))
    return [line for _, line in lines]


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the section and the line."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(key), after.get(key), (*path, key))
    elif before != after:
        values = f"{_text(before)} -> {_text(after)}{_change(before, after)}"
        yield path[0], f"{' '.join(path)}: {values}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(content)}" for key, content in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)[:16]


def _change(before: Any, after: Any) -> str:
    if not (isinstance(before, int) and isinstance(after, int)):
        return ""
    share = f", {100 * (after - before) / before:+.2f} %" if before else ""
    return f" ({after - before:+,}{share})"


def _profile(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("profile"), dict):
        raise SchemaError(f"{path}: expected a file written by validate, got no `profile`")
    return dict(content["profile"])


def main(argv: list[str] | None = None) -> None:
    """Read, compare, print."""
    arguments = parser(__doc__, reads_params=False)
    arguments.add_argument("now", type=Path, help="validation.json of the current version")
    arguments.add_argument("before", type=Path, help="validation.json of an earlier version")
    args = arguments.parse_args(argv)

    lines = differences(_profile(args.before), _profile(args.now))
    print("\n".join(lines) or "no difference")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    run(main)
