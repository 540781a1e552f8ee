"""Titles per second and memory of `sif`, compared with a simple loop.

    PYTHONPATH=. python benchmarks/text.py

300,000 generated titles of about ten words out of 60,000, existing word vectors of 300 numbers.
Timed are p(w), the first direction and every vector; the best of three rounds, since other
programs can only slow it down. The loop does the same word by word for a tenth of the titles.
Then the peak memory of a process that embeds the titles, and of one that embeds twice as many,
minus that of a process that only reads them (Linux).
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from gensim.models import KeyedVectors

from pipeline.extractors import sif
from pipeline.extractors.extraction import n_cpus

TITLES, WORDS, DIM, SMOOTHING, ROUNDS = 300_000, 60_000, 300, 0.001, 3
MINIMUM = 50_000  # titles per CPU second, which hardly depends on the number of free cores
TAG, WORD = re.compile(r"<[a-zA-Z/!][^>]*>"), re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def vocabulary(generator: np.random.Generator) -> np.ndarray:
    """Return WORDS different words of 3 to 10 letters."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    drawn = letters[generator.integers(26, size=(WORDS * 2, 10))]
    lengths = generator.integers(3, 11, WORDS * 2)
    words = {"".join(word[:n]) for word, n in zip(drawn, lengths, strict=True)}
    return generator.permutation(sorted(words))[:WORDS]


def titles(n: int, words: np.ndarray, generator: np.random.Generator) -> pl.Series:
    """Return n titles in title case; word frequencies follow Zipf's law."""
    share = 1 / np.arange(1, WORDS + 1)
    lengths = 1 + generator.poisson(9, n)
    flat = words[generator.choice(WORDS, lengths.sum(), p=share / share.sum())]
    words_of = np.split(flat, np.cumsum(lengths)[:-1])
    return pl.Series("title", [" ".join(title).title() for title in words_of])


def word_vectors(words: list[str], numbers: np.ndarray) -> KeyedVectors:
    """Return words with their vectors, (WORDS, DIM)."""
    vectors = KeyedVectors(DIM)
    vectors.add_vectors(words, numbers)
    return vectors


def embed(texts: pl.Series, vectors: KeyedVectors) -> None:
    """Fit and embed the texts as the stage does, and discard the vectors."""
    for _ in sif.fit(texts, vectors, SMOOTHING, n_cpus()).embed(texts):
        pass


def loop(texts: pl.Series, vectors: KeyedVectors) -> None:
    """Do the same one word at a time, keeping all means until the direction is known."""
    words = [tokens(text) for text in texts.to_list()]
    counts = Counter(word for title in words for word in title)
    n_words = counts.total()
    weighted = {
        word: SMOOTHING / (SMOOTHING + count / n_words) * vectors[word].astype(np.float64)
        for word, count in counts.items()
        if word in vectors
    }
    rows = np.zeros((len(words), DIM))
    for row, title in zip(rows, words, strict=True):
        known = [word for word in title if word in weighted]
        for word in known:
            row += weighted[word]
        row /= max(len(known), 1)
    direction = sif.first_direction(rows.T @ rows)
    for row in rows:
        (row - (row @ direction) * direction).astype(np.float32)


def tokens(text: str) -> list[str]:
    """Return the words of a title by Python's regular expressions."""
    plain = TAG.sub(" ", html.unescape(text)).lower().replace("’", "'")
    return WORD.findall(plain)


def seconds(function: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Return the wall time and the CPU time, of all threads, of one call."""
    start, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - start, time.process_time() - cpu


def rates(n: int, rounds: list[tuple[float, float]]) -> tuple[float, str]:
    """Return the best round's titles per CPU second, and a line to print."""
    rate, per_cpu = (n / min(times) for times in zip(*rounds, strict=True))
    return per_cpu, f"{rate:,.0f} titles/s, {per_cpu:,.0f} per CPU second"


def peak_megabytes(folder: Path, action: str) -> float:
    """Return the peak memory of a new process that reads (`hold`) or embeds the data."""
    command = [sys.executable, __file__, action, str(folder)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return float(printed)


def print_memory(texts: pl.Series, words: list[str], numbers: np.ndarray) -> None:
    """Print the memory of embedding without that of the data, for two sizes."""
    for n in (TITLES, 2 * TITLES):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pl.concat([texts] * (n // TITLES)).to_frame().write_parquet(
                folder / "titles.parquet"
            )
            pl.DataFrame({"word": words}).write_parquet(folder / "words.parquet")
            np.save(folder / "vectors.npy", numbers)
            held, peak = (peak_megabytes(folder, action) for action in ("hold", "embed"))
        print(f"memory, {n:,} titles: {held:.0f} MB to hold, {peak - held:.0f} MB to embed")


def child(action: str, folder: Path) -> None:
    """Read the data, embed it if `action` is `embed`, and print the peak in megabytes."""
    texts = pl.read_parquet(folder / "titles.parquet").to_series()
    words = pl.read_parquet(folder / "words.parquet").to_series().to_list()
    vectors = word_vectors(words, np.load(folder / "vectors.npy"))
    if action == "embed":
        embed(texts, vectors)
    # Not getrusage, which includes the peak of the parent process.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def main() -> None:
    """Print titles per second and the memory of two sizes; fail below the minimum rate."""
    generator = np.random.default_rng(1)
    drawn = vocabulary(generator)
    texts, words = titles(TITLES, drawn, generator), drawn.tolist()
    numbers = generator.normal(size=(WORDS, DIM)).astype(np.float32)
    vectors = word_vectors(words, numbers)
    rate, line = rates(TITLES, [seconds(embed, texts, vectors) for _ in range(ROUNDS)])
    print(f"sif, {n_cpus()} threads: {line}; minimum {MINIMUM:,}")
    sample = texts[: TITLES // 10]
    print(f"loop over words: {rates(len(sample), [seconds(loop, sample, vectors)])[1]}")
    print_memory(texts, words, numbers)
    if rate < MINIMUM:
        sys.exit(f"expected {MINIMUM:,} titles per CPU second or more")


if __name__ == "__main__":
    if sys.argv[1:]:
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
