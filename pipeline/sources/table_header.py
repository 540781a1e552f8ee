"""The header of a CSV or TSV file, and the dialect that its name promises."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.job.errors import RawDataError
from pipeline.sources.lines import BLANK, batches
from pipeline.sources.raw import SHOWN, quoted

SEPARATORS = {".csv": ",", ".tsv": "\t", ".inter": "\t"}
OTHERS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
ESCAPED = "surrogateescape"  # how bytes that are not UTF-8 stay apart in a text
csv.field_size_limit(sys.maxsize)  # a line has at most lines.MAX_LINE bytes


@dataclass(frozen=True)
class Header:
    """The first record of a file, and how the others are written."""

    path: Path
    separator: str
    names: Sequence[str]
    n_lines: int  # up to the end of the header

    @property
    def has_quotes(self) -> bool:
        """Whether a field may be quoted."""
        return self.separator != SEPARATORS[".tsv"]

    @property
    def blank(self) -> str:
        """What a blank line may consist of."""
        return BLANK.decode().replace(self.separator, "")

    def records(self, lines: Iterable[str], *, strict: bool = False) -> Any:
        """Return Python's reader."""
        quoting: Any = csv.QUOTE_MINIMAL if self.has_quotes else csv.QUOTE_NONE
        return csv.reader(lines, delimiter=self.separator, quoting=quoting, strict=strict)


def read(path: Path) -> Header:
    """Read the header of a .csv or .tsv file, or of one with .gz after that.

    Raises:
        RawDataError: the file does not exist, is empty, or its header is not text in UTF-8.
    """
    separator = SEPARATORS[path.with_name(path.name.removesuffix(".gz")).suffix]
    first = next(batches(path), None)
    text = io.StringIO(first.text.decode(errors=ESCAPED) if first else "", newline="\n")
    rows = Header(path, separator, (), 0).records(text)
    try:
        is_filled = (row for row in rows if len(row) > 1 or "".join(row).strip())
        names: list[str] = next(is_filled, [])
        is_text = "\0" not in "".join(names).encode().decode()
    except (csv.Error, UnicodeEncodeError):
        is_text, names = False, []
    if not is_text:
        start = (first.text if first else b"")[: 2 * SHOWN].decode(errors="replace")
        raise RawDataError(
            f"{path}:{rows.line_num}: expected a header in UTF-8, in lines that end in LF or "
            f"CR LF, got {quoted(start)}. Write the file again in that form (in Excel: CSV "
            "UTF-8)"
        )
    if not names:
        raise RawDataError(f"{path}: expected a header and rows, got an empty file")
    return Header(path, separator, names, rows.line_num)


def check_columns(head: Header, wanted: Sequence[str]) -> None:
    """Check that each of the wanted columns is in the header at most once.

    Raises:
        RawDataError: one is there twice, or would be there with another separator.
    """
    for name in wanted:
        if head.names.count(name) > 1:
            raise RawDataError(
                f"{head.path}: expected one column {name!r}, got {head.names.count(name)}; "
                "rename the others"
            )
    line, missing = head.separator.join(head.names), set(wanted) - set(head.names)
    for separator, word in OTHERS.items():
        if separator != head.separator and missing & set(line.split(separator)):
            raise RawDataError(
                f"{head.path}:{head.n_lines}: expected {OTHERS[head.separator]} between the "
                f"columns, as the ending of its name says, got {word}: {quoted(line)}. Write "
                "the file again with commas as .csv or with tabs as .tsv"
            )
