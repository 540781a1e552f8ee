"""The k-core compared with pandas, and the stage's peak memory at 50 million interactions.

    PYTHONPATH=. python benchmarks/kcore.py [reviews of the comparison [of the memory test]]

Generated reviews, one user per 6 and one item per 16 of them, with a skewed distribution; ids
are text, as in the dumps. The pandas versions repeat until nothing changes: group by user, keep
the groups of five, group by item, keep the groups of five; by `groupby.filter` on a tenth of
the reviews, and by the faster `groupby.transform("size")` on all, with ids as text and as
numbers. All start from the same distinct pairs in memory and must keep the same rows; the best
of three rounds counts. Then the peak memory of a process that runs the whole stage on files
(Linux).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from pipeline import kcore
from pipeline.interactions.id_codes import codes_of, read_reviews
from pipeline.interactions.peeling import peel
from pipeline.tables.io import parquet_writer
from pipeline.tables.schema import ITEM, ITEMS_FILE, RAW_ITEMS, REVIEWS_FILE, USER

COMPARED, LARGE, ROUNDS, K, BLOCK = 5_000_000, 50_000_000, 3, 5, 1_000_000
LIMIT = 12 * 1024  # MB


def write_tables(folder: Path, n: int) -> None:
    """Write reviews and items as `ingest` does."""
    generator = np.random.default_rng(1)
    n_users, n_items = n // 6, n // 16
    users, items = generator.permutation(n_users), generator.permutation(n_items)
    with parquet_writer(folder / REVIEWS_FILE) as write:
        for left in range(n, 0, -BLOCK):
            size = min(left, BLOCK)
            drawn = {
                USER: users[(n_users * generator.random(size) ** 2.2).astype(int)],
                ITEM: items[(n_items * generator.random(size) ** 2.2).astype(int)],
                "timestamp": generator.integers(11_600, 17_800, size) * 86_400,
                "rating": generator.integers(1, 6, size).astype(np.float32),
                "part": pl.Series([None], dtype=pl.String).new_from_index(0, size),
            }
            write(pl.DataFrame(drawn).with_columns(_name(USER, "A", 13), _name(ITEM, "B", 9)))
    words = " ".join(map(str, generator.integers(10**6, size=100)))
    with parquet_writer(folder / ITEMS_FILE) as write:
        for first in range(0, n_items, BLOCK):
            ids = pl.int_range(first, min(first + BLOCK, n_items), eager=True).alias("raw_id")
            texts = [
                pl.lit(words[:length]).alias(name)
                for name, length in (("title", 60), ("description", 600), ("image", 60))
            ]
            table = ids.to_frame().with_columns(_name("raw_id", "B", 9), *texts)
            write(table.select(list(RAW_ITEMS)))


def _name(column: str, letter: str, width: int) -> pl.Expr:
    digits = pl.col(column).cast(pl.String).str.zfill(width)
    return pl.concat_str(pl.lit(letter), digits).alias(column)


def by_size(pairs: pd.DataFrame) -> pd.DataFrame:
    """Filter users and items alternately by the sizes of their groups."""
    while True:
        n_rows = len(pairs)
        pairs = pairs[pairs.groupby(USER)[ITEM].transform("size") >= K]
        pairs = pairs[pairs.groupby(ITEM)[USER].transform("size") >= K]
        if len(pairs) == n_rows:
            return pairs


def by_filter(pairs: pd.DataFrame) -> pd.DataFrame:
    """Filter users and items alternately with a function of each group."""
    while True:
        n_rows = len(pairs)
        pairs = pairs.groupby(USER).filter(lambda group: len(group) >= K)
        pairs = pairs.groupby(ITEM).filter(lambda group: len(group) >= K)
        if len(pairs) == n_rows:
            return pairs


def best(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the seconds of the fastest of a few rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(folder: Path, n: int) -> None:
    """Print seconds and ratios."""
    write_tables(folder, n)
    pairs = kcore.distinct_pairs(read_reviews(folder / REVIEWS_FILE)).select(USER, ITEM)
    texts = pairs.with_columns(pl.all().cast(pl.String))
    columns = {side: codes_of(pairs[side]) for side in (USER, ITEM)}
    numbers, core = pd.DataFrame(columns), peel(*columns.values(), K, K)[0]
    if by_size(numbers).index.tolist() != np.flatnonzero(core).tolist():
        raise ValueError("the two keep different rows")
    print(f"{n:,} reviews, {len(core):,} pairs, {core.sum():,} kept")
    for what, ours, theirs in (("text", texts, in_pandas(texts)), ("numbers", pairs, numbers)):
        print_ratio(f"sizes, ids as {what}", lambda t=theirs: by_size(t), ours)
    few = texts[: n // 10]
    theirs = in_pandas(few)
    print_ratio("filter, a tenth", lambda: by_filter(theirs), few, rounds=1)


def in_pandas(texts: pl.DataFrame) -> pd.DataFrame:
    """Return the same table."""
    return pd.DataFrame({side: texts[side].to_list() for side in (USER, ITEM)})


def print_ratio(
    what: str, fixpoint: Callable[[], object], ours: pl.DataFrame, rounds: int = ROUNDS
) -> None:
    """Time a fixpoint and `k_core`."""
    theirs, mine = best(fixpoint, rounds), best(lambda: kcore.k_core(ours, K))
    print(f"{what}: pandas {theirs:.2f} s, k_core {mine:.2f} s, ratio {theirs / mine:.1f}")


def stage(folder: Path) -> None:
    """Run the stage here, and print its peak; getrusage would count the forking process."""
    kcore.main(["gift_cards", str(folder), str(folder / "processed")])
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)


def main() -> None:
    """Print the comparison, then the memory."""
    if sys.argv[1:2] == ["stage"]:
        stage(Path(sys.argv[2]))
        return
    sizes = [int(float(size)) for size in sys.argv[1:]] + [COMPARED, LARGE][len(sys.argv) - 1 :]
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), sizes[0])
        write_tables(Path(name), sizes[1])
        start = time.perf_counter()
        command = [sys.executable, __file__, "stage", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(
            f"stage: {sizes[1]:,} reviews in {time.perf_counter() - start:.0f} s, peak "
            f"{done.stdout.split()[-1]} MB; at most {LIMIT} asked"
        )


if __name__ == "__main__":
    main()
