"""The study's tables as LaTeX, to paste; needs the package booktabs only."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline.experiments.study.sections.section import Part, Row, Table

SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "–": "--", "×": r"$\times$",
}  # fmt: skip
HEAD = """% Needs \\usepackage{booktabs}; a table* spans both columns of a two-column paper.
"""


def document(parts: Iterable[Part]) -> str:
    """Return every table of the sections, one after the other."""
    tables = [
        _table(table, f"{part.name}-{number}" if number else part.name)
        for part in parts
        for number, table in enumerate(part.tables)
    ]
    return "\n".join([HEAD, *tables])


def _table(table: Table, label: str) -> str:
    rule = [r"\midrule"] if table.rows else []
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escaped(f'{_title(table.title)}. {table.caption}')}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
            r"\toprule",
            f"{' & '.join(escaped(text) for text in table.head)} \\\\",
            *rule,
            *(f"{_row(row)} \\\\" for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def _title(text: str) -> str:
    """Return a title without a number, which LaTeX counts itself."""
    numbered = re.fullmatch(r"((?:Table|Figure) \d+): (.)(.*)", text)
    if not numbered:
        return text
    number, first, rest = numbered.groups()
    return f"{first.upper()}{rest} (the paper's {number})"


def _row(row: Row) -> str:
    cells = []
    for column, cell in enumerate(row.cells):
        text = escaped(cell)
        if column in row.best:
            text = rf"\textbf{{{text}}}"
        cells.append(rf"\textit{{{text}}}" if row.paper else text)
    return " & ".join(cells)


def escaped(text: str) -> str:
    """Return a text without signs that mean something to LaTeX."""
    return "".join(SIGNS.get(sign, sign) for sign in text)
