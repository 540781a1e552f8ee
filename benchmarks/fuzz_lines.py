"""A million damaged lines: what is read in bulk must be what is read line by line.

    PYTHONPATH=. python benchmarks/fuzz_lines.py [cases [seed]]

Lines like those of the dumps (JSON of reviews and of metadata, Python literals) are damaged at
random: bytes changed, cut out, doubled, put in from a list of bad ones, two lines spliced.
Each damaged line is read in bulk, alone and among others that passed. Where bulk reading takes
a line, `json.loads` or `ast.literal_eval` must take it as well and give the same row; where it
does not, the line is theirs anyway. Prints how many lines were tried and taken, and every
difference; ends with status 1 if there was one.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline.job.errors import RawDataError
from pipeline.sources import amazon, amazon2014, amazon2018, literals, records
from pipeline.sources.lines import Batch
from pipeline.sources.raw import BadLines

CASES, TOGETHER, SHOWN = 1_000_000, 40, 300
HERE = Path("fuzz")
TEXTS = [
    "B00X", "it's", 'a 5" disk', "both ' and \"", "back\\slash", "tab\tand\nline", "caf\u00e9",
    "\u2028", "None", "null", "[True, False]", "{'a': 1}", "\\u00e9", "\\'", "&amp;", " ", "0",
    "\U0001f600", "", "x" * 70,
]  # fmt: skip
ESCAPES = [
    b"\\", b"\\\\", b"\\'", b'\\"', b"\\x41", b"\\x0a", b"\\u0041", b"\\ud800", b"\\N{DASH}",
    b"\\ud83d\\ude00", b"\\101", b"\\a", b"\\/", b"\\u00", b"\\\n", b"\\b", b"\\v", b"\\x22",
    b"\\U00000041", b"\\x5c", b"\\x27", b"\\0",
]  # fmt: skip
BYTES = [
    b"\n", b"\r", b"\t", b"\0", b"\x01", b"\x02", b"\x03", b"\x0b", b"\x1c", b"\x7f", b"\xff",
    b"\xc3", b"\xc3\xa9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xe2\x80\xa8", b" ",
    b"\r\n",
]  # fmt: skip
SIGNS = [
    b"'", b'"', b"{", b"}", b"[", b"]", b"(", b")", b",", b":", b"#", b"{}", b"[]", b"()",
    b"[" * 50, b"]" * 50, b"{'a':" * 30, b"...", b"set()", b"*", b"//", b"/**/", b"'" * 3,
    b'"' * 3, b"'a' 'b'", b"u'", b"b'", b"r'", b"f'", b"}\n{", b"}{",
]  # fmt: skip
WORDS = [
    b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity", b"None", b"True", b"False",
    b"nan", b"inf", b"1_000", b"0x1f", b"007", b"1.", b".5", b"1e5", b"1E400", b"-0", b"+1",
    b"- 1", b"1j", b"9" * 25, b"9223372036854775807", b"9223372036854775808", b"1.0",
    b"4102444800",
]  # fmt: skip
FIELDS = [
    b'"asin": "B",', b"'asin': 'B',", b'"asin": 3,', b"'asin': ('B',),", b'"overall": null,',
    b'"unixReviewTime": -5,', b"1: 2,", b"'title': 'a', 'title': 'b',",
]  # fmt: skip
BAD = [ESCAPES, BYTES, SIGNS, WORDS, FIELDS]


class Kind(NamedTuple):
    """A sort of lines, and how they are read."""

    make: Callable[[random.Random], str]
    fields: records.Fields
    required: set[str]
    parse: records.Parse
    as_json: records.AsJson | None = None


def review(rng: random.Random) -> str:
    """Return a review of 2018."""
    row = {
        "overall": rng.choice([1.0, 5.0, 4]),
        "verified": rng.random() < 0.5,
        "reviewerID": "A" + rng.choice(TEXTS),
        "asin": "B" + rng.choice(TEXTS),
        "style": {"Size:": rng.choice(TEXTS)},
        "reviewText": rng.choice(TEXTS),
        "unixReviewTime": rng.choice([1400000000, 1500000000, 0, -86400]),
    }
    return json.dumps(_some(row, rng), ensure_ascii=rng.random() < 0.5)


def metadata(rng: random.Random) -> dict[str, object]:
    """Return an item as the dumps describe it."""
    names = [rng.choice(TEXTS) for _ in range(rng.randrange(4))]
    row = {
        "asin": "B" + rng.choice(TEXTS),
        "title": rng.choice(TEXTS),
        "description": rng.choice([names, rng.choice(TEXTS), None]),
        "imUrl": rng.choice(TEXTS),
        "image": names,
        "brand": rng.choice(TEXTS),
        "category": names,
        "categories": rng.choice([[names], [names, names], names, []]),
        "price": rng.choice([9.99, 3, "$5", None]),
        "related": {"also_bought": names},
    }
    return _some(row, rng)


def _some(row: dict[str, object], rng: random.Random) -> dict[str, object]:
    keys = [key for key in row if rng.random() < 0.97]
    rng.shuffle(keys)
    return {key: row[key] for key in keys}


NOT_FINITE = re.compile(r"-?(?:Inf(?:inity)?|NaN)")


def lenient(line: str) -> object:
    """Return a line's JSON; numbers that are not finite are none, but harm no other field."""
    try:
        return json.loads(line)
    except ValueError:
        return json.loads(NOT_FINITE.sub("NaN", line))


KINDS = (
    Kind(
        review,
        {**amazon.REVIEW_FIELDS, "verified": records.FLAG},
        set(amazon.REVIEW_FIELDS),
        lenient,
    ),
    Kind(lambda rng: json.dumps(metadata(rng)), amazon2018.FIELDS, {"asin"}, lenient),
    Kind(
        lambda rng: repr(metadata(rng)),
        amazon2014.FIELDS,
        {"asin"},
        literals.read_literal,
        literals.as_json,
    ),
)


def damaged(line: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return a line with up to three changes."""
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        at = rng.randrange(len(line) + 1)
        to = min(len(line), at + rng.choice([0, 0, 1, 1, 2, 5, 20]))
        bad = rng.choice(rng.choice(BAD))
        new = rng.choice([b"", bad, bad, rng.randbytes(1), line[at:to] * 2, other[at:]])
        line = line[:at] + new + line[to:]
    return line


def in_bulk(kind: Kind, batch: Batch) -> pl.DataFrame | None:
    """Read as `records` does at first."""
    batch = kind.as_json(batch) if kind.as_json else batch
    return records._in_bulk(batch, kind.fields, kind.required)


def slowly(kind: Kind, batch: Batch) -> pl.DataFrame | None:
    """Read line by line; None where a line is refused."""
    bad = BadLines(batch.file, 0)
    try:
        return records._line_by_line(
            batch, kind.fields, kind.required, kind.parse, "a record", bad
        )
    except RawDataError:
        return None


def differs(kind: Kind, text: bytes) -> bool | None:
    """Tell whether bulk reading is wrong; None where it leaves the text to the slow reader."""
    batch = Batch(HERE, 1, text)
    fast = in_bulk(kind, batch)
    if fast is None:
        return None
    slow = slowly(kind, batch)
    if slow is not None and "categories" in kind.fields:
        fast, slow = (table.with_columns(amazon2014._first_path()) for table in (fast, slow))
    return slow is None or not fast.equals(slow)


def main() -> None:
    """Try lines until there are enough."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else CASES
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)  # noqa: S311
    rng, start = random.Random(seed), time.perf_counter()  # noqa: S311
    n_taken, n_wrong = 0, 0
    taken: dict[int, list[bytes]] = {number: [] for number in range(len(KINDS))}
    for _ in range(cases):
        number = rng.randrange(len(KINDS))
        kind = KINDS[number]
        line, other = (kind.make(rng).encode("utf-8", "replace") for _ in range(2))
        texts = [damaged(line, other, rng)]
        found = differs(kind, texts[0])
        if found is not None:
            n_taken += 1
            taken[number].append(texts[0])
        if len(taken[number]) == TOGETHER:
            texts, taken[number] = taken[number], []
            found = found or differs(kind, b"\n".join(texts))
        if found:
            n_wrong += 1
            print("differs:", b"\n".join(texts)[:SHOWN], flush=True)
    print(
        f"seed {seed}: {cases:,} lines, {n_taken:,} taken in bulk, {n_wrong} differences, "
        f"{time.perf_counter() - start:.0f} s"
    )
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main()
