"""Ingest of a dump compared with plain loops and with unpacking alone, and its memory by size.

    PYTHONPATH=. python benchmarks/ingest.py [reviews of the small dump [of the large one]]

Generates dumps of 2 and 10 million reviews in the format of Amazon 2018, with metadata: about
600 bytes a line, one item per 16 reviews, one user per 6. They take up to 3 GB in the folder
for temporary files, and are removed at the end. Each measurement runs in a new process. On the
small dump these alternate: unpacking both files (igzip, as ingest does), ingest, and two plain
loops (`gzip.open`, `json.loads`, DataFrame), one that keeps every field and one that keeps
four. The best of the rounds counts, since other programs can only slow it down. Prints wall
time, CPU time, which other programs hardly affect, and the best possible ratio on two free
cores.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from isal import igzip

from pipeline import ingest, params
from pipeline.sources.lines import CHUNK

SMALL, LARGE, ROUNDS = 2_000_000, 10_000_000, 3
BLOCK, WORDS, CORES = 100_000, 30_000, 2
REVIEWS, METADATA = "Toys.json.gz", "meta_Toys.json.gz"
KEPT = ("reviewerID", "asin", "overall", "unixReviewTime")
REVIEW = (
    '{"overall": 5.0, "verified": true, "reviewTime": "06 17, 2018", '
    '"reviewerID": "A0000000000000", "asin": "B000000000", "style": {"Size:": " %s"}, '
    '"reviewerName": "%s", "reviewText": "%s. It is \\"good\\".\\n", "summary": "%s", '
    '"unixReviewTime": 1400000000}\n'
)
ITEM = (
    '{"asin": "B%09d", "title": "%s", "description": ["%s", "%s"], "brand": "%s", '
    '"category": ["Toys & Games", "%s"], "price": "$%d.99", "also_buy": ["B%09d", "B%09d"], '
    '"imageURLHighRes": ["https://images-na.ssl-images-amazon.com/images/I/%s.jpg"]}\n'
)


class Figure(NamedTuple):
    """Resources that a process used."""

    seconds: float
    cpu: float  # seconds
    peak: int  # MB


class Texts:
    """Passages of words with frequencies of Zipf's law."""

    def __init__(self, generator: np.random.Generator) -> None:
        """Draw a vocabulary and one long text to cut from."""
        self.generator = generator
        letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
        share = 1 / np.arange(1, 27) ** 0.8
        lengths = 1 + generator.poisson(3.8, WORDS)
        drawn = generator.choice(letters, (WORDS, lengths.max()), p=share / share.sum())
        words = ["".join(row[:n]) for row, n in zip(drawn, lengths, strict=True)]
        often = 1 / (np.arange(WORDS) + 2.7)
        self.text = " ".join(
            np.array(words)[generator.choice(WORDS, 3_000_000, p=often / often.sum())]
        )

    def cut(self, lengths: np.ndarray) -> list[str]:
        """Return passages of these lengths in letters."""
        first = self.generator.integers(len(self.text) - lengths.max(), size=len(lengths))
        return [
            self.text[a:b]
            for a, b in zip(first.tolist(), (first + lengths).tolist(), strict=True)
        ]


def write_dump(folder: Path, n: int) -> None:
    """Write n reviews and the metadata of their items."""
    generator = np.random.default_rng(1)
    texts = Texts(generator)
    with igzip.open(folder / REVIEWS, "wb", compresslevel=3) as file:
        for part in reviews(n, texts, generator):
            file.write(part)
    with igzip.open(folder / METADATA, "wb", compresslevel=3) as file:
        numbers = generator.permutation(n // 16)
        for start in range(0, len(numbers), BLOCK):
            file.write(items(numbers[start : start + BLOCK], texts).encode())


def reviews(n: int, texts: Texts, generator: np.random.Generator) -> Iterator[bytes]:
    """Yield blocks of lines. Texts repeat in every block; ids and times are new."""
    long = np.minimum(generator.lognormal(5.2, 1.1, BLOCK), 5000).astype(int)
    columns = [texts.cut(np.full(BLOCK, size)) for size in (6, 14)]
    columns += [texts.cut(long), texts.cut(np.full(BLOCK, 25))]
    lines = [(REVIEW % row).encode() for row in zip(*columns, strict=True)]
    ends = np.cumsum([len(line) for line in lines])
    starts = ends - [len(line) for line in lines]
    codes = np.frombuffer(b"".join(lines), dtype=np.uint8).copy()
    user, item = lines[0].index(b'"A0') + 2, lines[0].index(b'"B0') + 2
    for left in range(n, 0, -BLOCK):
        size = min(left, BLOCK)
        _stamp(codes, starts[:size] + user, 13, n // 6 * generator.random(size) ** 2.2)
        _stamp(codes, starts[:size] + item, 9, n // 16 * generator.random(size) ** 2.2)
        days = generator.integers(11_600, 17_800, size)  # ten digits
        _stamp(codes, ends[:size] - 12, 10, days * 86_400)
        _stamp(codes, starts[:size] + len('{"overall": '), 1, generator.integers(1, 6, size))
        yield codes[: ends[size - 1]].tobytes()


def _stamp(codes: np.ndarray, places: np.ndarray, width: int, numbers: np.ndarray) -> None:
    """Write zero-padded decimal numbers at these positions of a text."""
    rest = numbers.astype(np.int64)
    for digit in range(width - 1, -1, -1):
        codes[places + digit] = ord("0") + rest % 10
        rest //= 10


def items(numbers: np.ndarray, texts: Texts) -> str:
    """Return lines of metadata."""
    n = len(numbers)
    columns = [texts.cut(np.full(n, size)) for size in (60, 20, 12, 12, 10)]
    long = texts.cut(np.minimum(texts.generator.lognormal(5.5, 0.9, n), 3000).astype(int))
    lines = zip(numbers.tolist(), columns[0], long, *columns[1:], strict=True)
    return "".join(
        ITEM % (i, title, text, more, brand, kind, i % 90, i // 2, i // 3, name)
        for i, title, text, more, brand, kind, name in lines
    )


def unpack(folder: Path) -> None:
    """Unpack both files and discard the data."""
    for name in (REVIEWS, METADATA):
        with igzip.open(folder / name) as file:
            while file.read1(CHUNK):
                pass


def stage(folder: Path) -> None:
    """Run the stage."""
    source = params.AmazonSource(format="amazon2018", category="Toys", reviews="full")
    ingest.ingest(source, folder, folder / "interim", params.Ingest(max_bad_lines=0))


def every_field(folder: Path) -> None:
    """Run the usual loop."""
    for name in (REVIEWS, METADATA):
        with gzip.open(folder / name) as file:
            pl.DataFrame([json.loads(line) for line in file])


def four_fields(folder: Path) -> None:
    """Keep four fields of the reviews, as ingest does, and every field of the metadata."""
    with gzip.open(folder / REVIEWS) as file:
        rows = [tuple(map(json.loads(line).get, KEPT)) for line in file]
    pl.DataFrame(rows, schema=KEPT, orient="row")
    with gzip.open(folder / METADATA) as file:
        pl.DataFrame([json.loads(line) for line in file])


TASKS: dict[str, Callable[[Path], None]] = {
    task.__name__: task for task in (unpack, stage, every_field, four_fields)
}


def figure(task: str, folder: Path) -> Figure:
    """Run a task in a new process."""
    command = [sys.executable, __file__, task, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, cpu, peak = done.stdout.split()[-3:]
    return Figure(float(seconds), float(cpu), int(peak))


def measured(task: str, folder: Path) -> None:
    """Run a task and print its figure; getrusage would include the parent process."""
    start, cpu = time.perf_counter(), time.process_time()
    TASKS[task](folder)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    status = Path("/proc/self/status").read_text()
    print(seconds, cpu, int(status.split("VmHWM:")[1].split()[0]) // 1024)


def best(figures: list[Figure]) -> Figure:
    """Return the minimum of each value."""
    return Figure(*map(min, zip(*figures, strict=True)))


def compare(folder: Path, n: int) -> Figure:
    """Print the figures of the four tasks and their ratios; return the stage's figure."""
    rounds = [
        {task: figure(task, folder) for task in ("unpack", "stage")} for _ in range(ROUNDS)
    ]
    figures = {task: best([tasks[task] for tasks in rounds]) for task in rounds[0]}
    figures |= {task: figure(task, folder) for task in ("every_field", "four_fields")}
    for task, (seconds, cpu, peak) in figures.items():
        print(
            f"{task:12} {seconds:7.1f} s  {cpu:7.1f} CPU s  {peak:6} MB  "
            f"{n / seconds:10,.0f} reviews/s",
            flush=True,
        )
    ingested, unpacked = figures["stage"], figures["unpack"]
    for task in ("every_field", "four_fields"):
        print(
            f"{task} / stage: {figures[task].seconds / ingested.seconds:.1f} "
            f"({figures[task].cpu / (ingested.cpu / CORES):.1f} on {CORES} free cores)"
        )
    print(
        f"stage / unpack: {ingested.seconds / unpacked.seconds:.2f} "
        f"({max(1.0, ingested.cpu / CORES / unpacked.cpu):.2f} on {CORES} free cores)",
        flush=True,
    )
    return ingested


def main() -> None:
    """Print times and ratios of the small dump, then memory and speed of both."""
    if sys.argv[1:] and sys.argv[1] in TASKS:
        measured(sys.argv[1], Path(sys.argv[2]))
        return
    sizes = [int(float(size)) for size in sys.argv[1:]] + [SMALL, LARGE][len(sys.argv) - 1 :]
    figures = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_dump(folder, n)
            packed = sum((folder / file).stat().st_size for file in (REVIEWS, METADATA))
            print(f"{n:,} reviews, {packed / 1e6:,.0f} MB packed", flush=True)
            if n == sizes[0]:
                figures.append(compare(folder, n))
            else:
                figures.append(best([figure("stage", folder) for _ in range(ROUNDS)]))
    small, large = figures
    print(
        f"stage: peak {small.peak} and {large.peak} MB, {large.peak / small.peak:.2f} times; "
        f"{sizes[0] / small.seconds:,.0f} and {sizes[1] / large.seconds:,.0f} reviews/s, "
        f"{sizes[0] / small.cpu:,.0f} and {sizes[1] / large.cpu:,.0f} per CPU second"
    )


if __name__ == "__main__":
    main()
