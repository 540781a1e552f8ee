"""Python literals, one per line, as JSON: in bulk where the meaning is provably the same.

A line is rewritten without parsing if one scan finds the partner of every quote: it has no
control characters, only escapes that both languages share (or that have an exact equivalent),
and, if texts in single and in double quotes are mixed, no double quote in the former. What is
outside of texts is unchanged, so JSON's parser refuses whatever is not JSON: None, tuples,
0x1f, comments, 'a' 'b'. Lines with words that are values in JSON and names in Python are not
rewritten. All other lines are read by `ast.literal_eval`, which builds values and executes
nothing.
"""

from __future__ import annotations

import ast
import json
import warnings
from typing import Any

import polars as pl

from pipeline.sources.lines import Batch
from pipeline.sources.records import UNREADABLE

# ast takes some 200 bytes for each byte of text, and a hostile line may be 16 MiB.
LONGEST = 1 << 20  # characters
DEEPEST = 100  # brackets; Python's own parser gives up at 200

# One scan finds every quote's partner: no text has a quote of the kind that it ends with.
SINGLE_ALONE = r"^(?:[^'\"]|'[^']*')*$"  # double quotes are only inside of texts
EITHER = r"^(?:[^'\"]|'[^'\"]*'|\"[^\"]*\")*$"
# Placeholders for escaped backslashes and quotes; lines that have them are not rewritten.
BACKSLASH, APOSTROPHE, QUOTE = "\x01", "\x02", "\x03"
CONTROL = r"[\x00-\x1f\x7f]"
# After the placeholders: \x41 is \u0041. Halves of surrogate pairs join in JSON, not in Python.
HEX = r"\\x([0-9a-fA-F]{2})"
SHARED = r"\\(?:[nrtbf]|u(?:[0-9a-cA-Ce-fE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}))"
# Names in Python, values in JSON. A match inside of a text only costs speed.
JSON_WORD = r"(?:^|[\[{:,])\s*(?:true|false|null|NaN|-?Inf(?:inity)?)\s*(?:$|[\]},:])"
# Python refuses numbers of more than 4300 digits.
LONG_NUMBER = r"[0-9]{4000}"
NOT_JSON = "?"  # in place of a line that has no JSON; the line itself may be JSON


def read_literal(line: str) -> Any:
    """Return the value of a Python literal.

    Raises:
        ValueError: the line is not a literal, or longer than `LONGEST` characters.
    """
    if len(line) > LONGEST:
        raise ValueError(f"expected a literal of at most {LONGEST:,} characters")
    with warnings.catch_warnings():
        # The user need not know of a stray backslash in a description.
        warnings.simplefilter("ignore")
        return ast.literal_eval(line)


def as_json(batch: Batch) -> Batch:
    """Return the batch with each line as JSON, or `NOT_JSON` if no JSON has the same value."""
    text = batch.text.removesuffix(b"\n").decode(errors="replace")
    lines = pl.Series(text.split("\n")).str.strip_chars(" \t\r")
    code, is_exact = _rewritten(lines)
    if not is_exact.all():
        evaluated = [_evaluated(line) for line in lines.filter(~is_exact)]
        code = code.scatter((~is_exact).arg_true(), evaluated)
    return Batch(batch.file, batch.first, "\n".join(code).encode())


def _rewritten(lines: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return lines as JSON, and for each whether its meaning is certainly the same."""
    scanned = (
        lines.str.replace_all("\\\\", BACKSLASH, literal=True)
        .str.replace_all("\\'", APOSTROPHE, literal=True)
        .str.replace_all('\\"', QUOTE, literal=True)
        .str.replace_all(HEX, r"\u00${1}")
    )
    is_single = scanned.str.contains(SINGLE_ALONE)
    code = scanned.str.replace_all('"', QUOTE, literal=True)
    code = code.str.replace_all("'", '"', literal=True)
    requoted = _requoted(scanned.filter(~is_single))
    code = code.scatter((~is_single).arg_true(), requoted)
    code = code.str.replace_all(QUOTE, '\\"', literal=True)
    code = code.str.replace_all(APOSTROPHE, "'", literal=True)
    code = code.str.replace_all(BACKSLASH, "\\\\", literal=True)
    return code, _is_plain(lines, scanned) & code.is_not_null()


def _requoted(lines: pl.Series) -> pl.Series:
    """Put all texts into double quotes; null where a quote's partner is uncertain."""
    is_either = lines.str.contains(EITHER)
    # Every double quote begins or ends a text, so every second piece between them is the inside
    # of a text. A line has an even number of double quotes, and no text spans two lines.
    pieces = "\n".join(lines.filter(is_either)).split('"')
    pieces[::2] = [piece.replace("'", '"') for piece in pieces[::2]]
    nulls = pl.Series([None], dtype=pl.String).new_from_index(0, len(lines))
    if not is_either.any():
        return nulls
    return nulls.scatter(is_either.arg_true(), '"'.join(pieces).split("\n"))


def _is_plain(lines: pl.Series, scanned: pl.Series) -> pl.Series:
    """Return whether, apart from quotes, JSON reads each line in the same way."""
    other_escape = scanned.str.replace_all(SHARED, "").str.contains("\\", literal=True)
    return (
        (lines.str.len_bytes() <= LONGEST)
        & (lines.str.count_matches(r"[\[{(]") < DEEPEST)
        & ~other_escape
        & ~lines.str.contains(CONTROL)
        & ~lines.str.contains(JSON_WORD)
        & ~lines.str.contains(LONG_NUMBER)
    )


def _evaluated(line: str) -> str:
    """Return the JSON of a literal's value, or `NOT_JSON` if no JSON has the same value."""
    try:
        value = read_literal(line)
        code = json.dumps(value)
        # A tuple would become a list, and the key 1 would become "1".
        return code if json.loads(code) == value else NOT_JSON
    except UNREADABLE:
        return NOT_JSON
