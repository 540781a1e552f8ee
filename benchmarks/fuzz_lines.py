"""A million damaged lines: reading in bulk must give the same rows as reading line by line.

    PYTHONPATH=. python benchmarks/fuzz_lines.py [cases [seed]]

Lines like those of the dumps (JSON of reviews and of metadata, Python literals) are damaged at
random: bytes are changed, removed, doubled or inserted from a list of bad ones, or two lines
are spliced. Each damaged line is read in bulk, alone and together with others that were
accepted. If bulk reading accepts a line, `json.loads` or `ast.literal_eval` must accept it too
and give the same row; otherwise the line is left to them anyway. Prints how many lines were
tried and accepted, and every difference; exits with status 1 if there was one.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline import params
from pipeline.job.errors import RawDataError
from pipeline.sources import amazon, amazon2014, amazon2018, records, values
from pipeline.sources.lines import Batch
from pipeline.sources.raw import FileCounts
from pipeline.sources.records import RecordFormat

CASES, TOGETHER, SHOWN = 1_000_000, 40, 300
FILE = Path("fuzz")
LIMITS = params.Ingest(max_bad_lines=0, max_not_understood=1.0)
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
    """A kind of lines, and how they are read."""

    make: Callable[[random.Random], str]
    form: RecordFormat


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
    """Return an item as in the dumps."""
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
    """Return a line's JSON, and NaN for numbers that are not finite."""
    try:
        return json.loads(line)
    except ValueError:
        return json.loads(NOT_FINITE.sub("NaN", line))


KINDS = (
    Kind(
        review,
        RecordFormat(
            {**amazon.REVIEW_FIELDS, "verified": values.FLAG},
            set(amazon.REVIEW_FIELDS),
            lenient,
        ),
    ),
    Kind(lambda rng: json.dumps(metadata(rng)), replace(amazon2018.METADATA, parse=lenient)),
    Kind(lambda rng: repr(metadata(rng)), amazon2014.METADATA),
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


def line_by_line(form: RecordFormat, batch: Batch) -> pl.DataFrame | None:
    """Return the rows of all lines; None if a line is refused."""
    try:
        return records._line_by_line(batch, form, FileCounts(batch.file, LIMITS))
    except RawDataError:
        return None


def differs(form: RecordFormat, text: bytes) -> bool | None:
    """Return whether bulk reading is wrong; None if it leaves the text to the slow reader."""
    batch = Batch(FILE, 1, text)
    fast = records._in_bulk(batch, form)
    if fast is None:
        return None
    slow = line_by_line(form, batch)
    if slow is not None and "categories" in form.fields:
        fast, slow = (table.with_columns(amazon2014._first_path()) for table in (fast, slow))
    return slow is None or not fast.equals(slow)


def main() -> None:
    """Try the lines and report the differences."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else CASES
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)  # noqa: S311
    rng, start = random.Random(seed), time.perf_counter()  # noqa: S311
    n_accepted, n_wrong = 0, 0
    accepted: dict[int, list[bytes]] = {number: [] for number in range(len(KINDS))}
    for _ in range(cases):
        number = rng.randrange(len(KINDS))
        kind = KINDS[number]
        line, other = (kind.make(rng).encode("utf-8", "replace") for _ in range(2))
        texts = [damaged(line, other, rng)]
        is_wrong = differs(kind.form, texts[0])
        if is_wrong is not None:
            n_accepted += 1
            accepted[number].append(texts[0])
        if len(accepted[number]) == TOGETHER:
            texts, accepted[number] = accepted[number], []
            is_wrong = is_wrong or differs(kind.form, b"\n".join(texts))
        if is_wrong:
            n_wrong += 1
            print("differs:", b"\n".join(texts)[:SHOWN], flush=True)
    print(
        f"seed {seed}: {cases:,} lines, {n_accepted:,} accepted in bulk, {n_wrong} "
        f"differences, {time.perf_counter() - start:.0f} s"
    )
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main()
