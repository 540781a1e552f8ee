"""Python literals, one a line, as JSON: in bulk where the text provably means the same.

A line is rewritten without being read where its quotes can be told apart by one scan: it has no
control character, no escape but those that both languages share (or that have a sure
counterpart), and no text in single quotes beside texts in double quotes that holds a double
quote. What is outside of texts stays as it is, so that JSON's parser refuses whatever is no
JSON: None, tuples, 0x1f, comments, 'a' 'b'. The few words that JSON knows and Python does not
are looked for. All other lines are read by `ast.literal_eval`, which builds values and runs
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
LONGEST = 1 << 20
DEEPEST = 100  # brackets; Python's own parser gives up at 200

# One scan finds every quote's partner: no text holds a quote of the kind that it ends with.
SINGLE_ALONE = r"^(?:[^'\"]|'[^']*')*$"  # double quotes are inside of texts only
EITHER = r"^(?:[^'\"]|'[^'\"]*'|\"[^\"]*\")*$"
# Stand-ins for escaped backslashes and quotes; lines that have such characters are not touched.
BACKSLASH, APOSTROPHE, QUOTE = "\x01", "\x02", "\x03"
CONTROL = r"[\x00-\x1f\x7f]"
# After the stand-ins: \x41 is \u0041. Halves of surrogate pairs join in JSON, in Python not.
HEX = r"\\x([0-9a-fA-F]{2})"
SHARED = r"\\(?:[nrtbf]|u(?:[0-9a-cA-Ce-fE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}))"
# Names in Python, values in JSON; perhaps inside of a text, which costs speed alone.
JSON_WORD = r"(?:^|[\[{:,])\s*(?:true|false|null|NaN|-?Inf(?:inity)?)\s*(?:$|[\]},:])"
# Python refuses numbers of more digits than 4300.
LONG_NUMBER = r"[0-9]{4000}"
NO_JSON = "?"  # the line may be JSON itself, and no literal


def read_literal(line: str) -> Any:
    """Return the value of a Python literal.

    Raises:
        ValueError: there is none, or it is longer than `LONGEST` characters.
    """
    if len(line) > LONGEST:
        raise ValueError(f"expected a literal of at most {LONGEST:,} characters")
    with warnings.catch_warnings():
        # A stray backslash in a description is none of the user's business.
        warnings.simplefilter("ignore")
        return ast.literal_eval(line)


def as_json(batch: Batch) -> Batch:
    """Return a batch with each line as JSON, or as what is none where no JSON is the same."""
    text = batch.text.removesuffix(b"\n").decode(errors="replace")
    lines = pl.Series(text.split("\n")).str.strip_chars(" \t\r")
    code, is_sure = _rewritten(lines)
    if not is_sure.all():
        by_hand = [_read(line) for line in lines.filter(~is_sure)]
        code = code.scatter((~is_sure).arg_true(), by_hand)
    return Batch(batch.file, batch.first, "\n".join(code).encode())


def _rewritten(lines: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return lines as JSON, and whether each means the same for sure."""
    scanned = (
        lines.str.replace_all("\\\\", BACKSLASH, literal=True)
        .str.replace_all("\\'", APOSTROPHE, literal=True)
        .str.replace_all('\\"', QUOTE, literal=True)
        .str.replace_all(HEX, r"\u00${1}")
    )
    is_single = scanned.str.contains(SINGLE_ALONE)
    code = scanned.str.replace_all('"', QUOTE, literal=True)
    code = code.str.replace_all("'", '"', literal=True)
    others = scanned.filter(~is_single)
    code = code.scatter((~is_single).arg_true(), _requoted(others))
    code = code.str.replace_all(QUOTE, '\\"', literal=True)
    code = code.str.replace_all(APOSTROPHE, "'", literal=True)
    code = code.str.replace_all(BACKSLASH, "\\\\", literal=True)
    return code, _is_plain(lines, scanned) & code.is_not_null()


def _requoted(lines: pl.Series) -> pl.Series:
    """Put all texts into double quotes; null where a quote's partner is not sure."""
    is_either = lines.str.contains(EITHER)
    # Every double quote begins or ends a text, so that what is inside of one is every other
    # piece between them; a line has an even number of them, and breaks no text.
    pieces = "\n".join(lines.filter(is_either)).split('"')
    pieces[::2] = [piece.replace("'", '"') for piece in pieces[::2]]
    found = pl.Series([None], dtype=pl.String).new_from_index(0, len(lines))
    if not is_either.any():
        return found
    return found.scatter(is_either.arg_true(), '"'.join(pieces).split("\n"))


def _is_plain(lines: pl.Series, scanned: pl.Series) -> pl.Series:
    """Tell whether, quotes aside, there is nothing that JSON reads in another way."""
    other_escape = scanned.str.replace_all(SHARED, "").str.contains("\\", literal=True)
    return (
        (lines.str.len_bytes() <= LONGEST)
        & (lines.str.count_matches(r"[\[{(]") < DEEPEST)
        & ~other_escape
        & ~lines.str.contains(CONTROL)
        & ~lines.str.contains(JSON_WORD)
        & ~lines.str.contains(LONG_NUMBER)
    )


def _read(line: str) -> str:
    """Return the JSON of a literal's value, or of nothing if no JSON means the same."""
    try:
        value = read_literal(line)
        code = json.dumps(value)
        # A tuple would be a list, and the key 1 would be "1".
        return code if json.loads(code) == value else NO_JSON
    except UNREADABLE:
        return NO_JSON
