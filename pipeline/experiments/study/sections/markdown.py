"""The study's page as Markdown, with its figures as files beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pipeline.experiments.study.sections.section import Part, Table
from pipeline.pages import markdown_table


def document(
    title: str, lead: Iterable[str], parts: Iterable[Part], labels: Mapping[str, str]
) -> str:
    """Return report.md."""
    lines = [f"# {title}", *_paragraphs(lead)]
    for part in parts:
        lines += ["", f"## {escaped(part.title)}", *_paragraphs(part.text)]
        for table in part.tables:
            lines += _table(table, part.title)
        for name in part.figures:
            lines += ["", f"![{escaped(labels[name])}](figures/{name}.png)"]
            lines += ["", f"As SVG: [figures/{name}.svg](figures/{name}.svg)"]
    return "\n".join(lines) + "\n"


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from ("", escaped(text))


def _table(table: Table, title: str) -> Iterator[str]:
    if table.title != title:
        yield from ("", f"### {escaped(table.title)}")
    yield from ("", *lines(table))
    if table.caption:
        yield from ("", escaped(table.caption))


def lines(table: Table) -> list[str]:
    """Return a table's lines in Markdown: head, rule, rows."""
    rows = []
    for row in table.rows:
        cells = [
            f"**{c}**" if n in row.best else c for n, c in enumerate(map(escaped, row.cells))
        ]
        rows.append([f"*{cells[0]}*", *cells[1:]] if row.paper else cells)
    return markdown_table.lines(table.head, rows)


def escaped(text: str) -> str:
    """Return a text in which no sign draws a table, starts a tag or an emphasis."""
    for sign in "\\|*_<>[]`":
        text = text.replace(sign, f"\\{sign}")
    return text
