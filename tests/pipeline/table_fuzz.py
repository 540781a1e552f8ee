"""Mutated records of CSV, TSV and JSON lines, and slow readers that look at each character."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from limits import LIMITS

from pipeline.job.errors import RawDataError
from pipeline.sources import table_header, text_tables
from pipeline.sources.raw import FileCounts
from pipeline.sources.records import RecordFormat, records
from pipeline.sources.values import SCALAR

COLUMNS = ("who", "what", "stars", "word")
WORDS = [
    "a",
    "B7",
    "17",
    "17.0",
    "caf\u00e9",
    "5",
    "",
    " ",
    '24"',
    'a "b" c',
    "x,y",
    "\u2028",
    "-",
]
BYTES = [
    b'"', b'""', b'"""', b",", b"\t", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xc3",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b" ", b"\\", b"'", b'",', b',"', b'"\n', b'\n"', b'x"',
    b";", b"\x0b", b"\xe2\x80\xa8", b"{", b"}", b"[", b"]", b":", b"null", b"NaN", b"true",
    b"1.5", b"17.0", b"-0", b"9007199254740993", b'"who":', b'"who": 1, ',
]  # fmt: skip


@dataclass(slots=True)
class Spy(FileCounts):
    """Counts that remember the lines of the bad records."""

    bad: list[tuple[int, int]] = field(default_factory=list)

    def add(self, line: int, got: str, expected: str, hint: str = "", n_lines: int = 1) -> None:
        """Remember a bad record: its first line and how many it has."""
        self.bad.append((line, n_lines))
        self.n_bad += n_lines


def text_file(rng: random.Random, separator: str, n: int) -> bytes:
    """Return a file of n records, of which about two thirds are mutated."""
    end = rng.choice([b"\n", b"\n", b"\r\n"])
    quotes = separator == "," and rng.random() < 0.7
    lines = []
    for _ in range(n):
        values = [rng.choice(WORDS) for _ in COLUMNS]
        if separator == "," and quotes:
            values = [
                f'"{v.replace(chr(34), chr(34) * 2)}"' if rng.random() < 0.6 else v
                for v in values
            ]
        values = [v if quotes else v.replace(separator, " ") for v in values]
        lines.append(mutated(rng, separator.join(values).encode()))
    head = separator.join(COLUMNS).encode()
    return end.join([head, *lines]) + rng.choice([b"", end])


def json_file(rng: random.Random, n: int) -> bytes:
    """Return a file of n objects, of which about two thirds are mutated."""
    values = [*WORDS, 1, 17.0, 2.5, True, False, None, [1], {"a": 2}, 1e300, -3]
    common = rng.choice([values, WORDS, [1, 2, 3], [0.5, 17.0]])
    lines = []
    for _ in range(n):
        row = {name: rng.choice(common) for name in COLUMNS if rng.random() < 0.97}
        text = json.dumps(row, ensure_ascii=rng.random() < 0.5).encode()
        lines.append(mutated(rng, text))
    return b"\n".join(lines) + rng.choice([b"", b"\n"])


def mutated(rng: random.Random, line: bytes) -> bytes:
    """Return a line with up to three changes."""
    for _ in range(rng.choice([0, 1, 1, 2, 3]) if rng.random() < 0.8 else 0):
        at = rng.randrange(len(line) + 1)
        to = min(len(line), at + rng.choice([0, 0, 1, 2, 5]))
        line = line[:at] + rng.choice([b"", rng.choice(BYTES), rng.choice(BYTES)]) + line[to:]
    return line


# --- slow readers ---------------------------------------------------------------------------


def slow_text(data: bytes, separator: str) -> tuple[list[tuple], list[tuple[int, int]]]:
    """Return `(line, *fields)` of the good records, and (line, number of lines) of the bad."""
    good, bad = [], []
    for line, n_lines, fields, fault, raw in _text_records(data, separator):
        if not raw.strip(" \r\n") and n_lines == 1:
            continue
        whole = "".join(fields)
        has_bytes = any("\udc80" <= letter <= "\udcff" for letter in whole)
        if fault or len(fields) != len(COLUMNS) or "\0" in whole or has_bytes:
            bad.append((line, n_lines))
        else:
            good.append((line, *fields))
    return good[1:] if good and good[0][0] == 1 else good, bad


def _text_records(
    data: bytes, separator: str
) -> Iterator[tuple[int, int, list[str], bool, str]]:
    """Walk over the characters: Python's csv with strict=False, and how it is not strict."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    at, line = 0, 1
    while at < len(text):
        start, first = at, line
        fields, value, state, fault, ragged = [], "", "start", False, False
        while True:
            letter = text[at] if at < len(text) else ""
            at, line = at + 1, line + (letter == "\n")
            if letter == "":  # the file's end
                fault |= state == "quoted"
                break
            if state == "quoted":
                state = "closed" if letter == '"' else state
                value += letter if state == "quoted" else ""
            elif state == "cr" and letter not in "\r\n":
                fault, at = True, text.find("\n", at - 1) + 1 or len(text) + 1
                line += at <= len(text)
                break
            elif letter == "\n":
                break
            elif letter == "\r":
                state = "cr"
            elif letter == separator:
                fields, value, state = [*fields, value], "", "start"
            elif letter == '"' and state == "start" and separator == ",":
                state = "quoted"
            elif letter == '"' and state == "closed":
                value, state = value + '"', "quoted"
            else:
                ragged |= state == "closed"
                value, state = value + letter, "plain"
        raw = text[start : min(at, len(text))]
        n_lines = line - first if raw.endswith("\n") else line - first + 1
        yield first, n_lines, [*fields, value], fault or (ragged and n_lines > 1), raw


def slow_json(data: bytes) -> tuple[list[tuple], list[tuple[int, int]], set[int]]:
    """Return the same of JSON lines, with json.loads, and the lines that may be either.

    Those have NaN or Infinity, which are no JSON, in a field that is not read.
    """
    good, bad, either = [], [], set()
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        found: list[object] = []
        try:
            record = json.loads(
                line.decode().strip(),
                parse_constant=lambda name: found.append(name) or found,  # noqa: B023
            )
        except ValueError:
            record = None
        is_read = isinstance(record, dict) and any(record.get(n) is found for n in COLUMNS)
        if isinstance(record, dict) and found and not is_read:
            either.add(number)
        elif isinstance(record, dict) and not is_read:
            good.append((number, *(_scalar(record.get(name)) for name in COLUMNS)))
        else:
            bad.append((number, 1))
    return good, bad, either


def _scalar(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return str(int(value))
    if isinstance(value, float) and abs(value) == float("inf"):
        return None
    return str(value) or None if isinstance(value, str | int | float) else None


# --- comparison -----------------------------------------------------------------------------


def difference(path: Path, data: bytes) -> str | None:
    """Return how the reader's rows and bad lines differ from those of the slow reader."""
    path.write_bytes(data)
    counts = Spy(path, LIMITS.model_copy(update={"max_not_understood": 1.0}))
    if path.suffix == ".jsonl":
        tables = records(
            counts, RecordFormat(dict.fromkeys(COLUMNS, SCALAR), frozenset(), numbered=True)
        )
        *expected, either = slow_json(data)
    else:
        separator = table_header.SEPARATORS[path.suffix]
        tables = text_tables.rows(table_header.read(path), COLUMNS, counts)
        expected, either = slow_text(data, separator), set()
    try:
        rows = [row for table in tables for row in table.rows()]
    except RawDataError as error:
        return f"{error}"
    rows = [row for row in rows if row[0] not in either]
    bad = sorted(place for place in counts.bad if place[0] not in either)
    if (rows, bad) == (expected[0], sorted(expected[1])):
        return None
    return f"rows {rows} and bad {counts.bad}, expected {expected} of {data!r}"
