"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RULES = {"l": "---", "r": "---:"}


def markdown_table(
    head: Sequence[str], rows: Iterable[Iterable[str]], align: str = ""
) -> list[str]:
    """Return the lines of a table: head, rule, rows.

    Args:
        head: the columns' titles.
        rows: cells, already escaped; see `escaped` and `plain_cell`.
        align: `l` or `r` for each column; by default the first is text and the others numbers.
    """
    align = align or "l" + "r" * (len(head) - 1)
    rule = [RULES[side] for side in align]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def escaped(text: str) -> str:
    """Return a text in which no sign draws a table, starts a tag or an emphasis."""
    for sign in "\\|*_<>[]`":
        text = text.replace(sign, f"\\{sign}")
    return text


def plain_cell(text: str) -> str:
    """Return text from outside as one line that cannot break the table."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
