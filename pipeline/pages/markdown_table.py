"""Write a table in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

BAR = re.compile(r"(?<!\\)\|")  # one that is not escaped yet
RULES = {"l": "---", "r": "---:"}


def lines(
    head: Sequence[str], rows: Iterable[Sequence[str]], align: str | None = None
) -> list[str]:
    """Return the lines of a table: head, rule, rows.

    Args:
        head: titles of the columns.
        rows: cells. They may contain Markdown such as `**bold**`; `|` is escaped. Text from
            outside goes through `plain` first.
        align: `l` or `r` for each column; default: the first to the left, the others to the
            right.
    """
    align = align or "l" + "r" * (len(head) - 1)
    rule = [RULES[side] for side in align]
    return [_line(cells) for cells in (head, rule, *rows)]


def plain(text: str) -> str:
    """Return text from outside as one printable line without table bars, tags or code."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _line(cells: Sequence[str]) -> str:
    escaped = (BAR.sub(r"\\|", cell) for cell in cells)
    return f"| {' | '.join(escaped)} |"
