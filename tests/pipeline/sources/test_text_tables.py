"""Mutated files are read as slow readers of the test read them, whatever the blocks."""

import random

import pytest
from table_fuzz import difference, json_file, slow_text, text_file

from pipeline.sources import lines, records, text_tables

SEED, RECORDS_PER_FILE = 20261127, 50
MAKE = {
    "a.csv": lambda rng: text_file(rng, ",", RECORDS_PER_FILE),
    "a.tsv": lambda rng: text_file(rng, "\t", RECORDS_PER_FILE),
    "a.jsonl": lambda rng: json_file(rng, RECORDS_PER_FILE),
}


def fuzz(tmp_path, monkeypatch, name, n_records):
    """Return the first difference, with blocks of a few lines and of all."""
    rng = random.Random(SEED)  # noqa: S311
    for number in range(n_records // RECORDS_PER_FILE):
        piece, chunk = rng.choice([(1, 64), (300, 999), (1 << 16, 1 << 18), (1 << 16, 1 << 18)])
        monkeypatch.setattr(text_tables, "PIECE", piece)
        monkeypatch.setattr(records, "PIECE", piece)
        monkeypatch.setattr(lines, "CHUNK", chunk)
        monkeypatch.setattr(lines.batches, "__defaults__", (chunk,))
        found = difference(tmp_path / name, MAKE[name](rng))
        if found is not None:
            return f"file {number}: {found}"
    return None


@pytest.mark.parametrize("name", MAKE)
def test_mutated_records_are_read_as_by_a_slow_reader(tmp_path, monkeypatch, name):
    assert fuzz(tmp_path, monkeypatch, name, 2_000) is None


def test_a_byte_order_mark_counts_only_at_the_start_of_the_file(tmp_path):
    mark = "\ufeff"
    data = f"{mark}who,what,stars,word\n{mark}a,1,2,3\nb,1,2,3\n".encode()

    assert slow_text(data, ",") == (
        [(2, f"{mark}a", "1", "2", "3"), (3, "b", "1", "2", "3")],
        [],
    )
    assert difference(tmp_path / "a.csv", data) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_a_million_mutated_records_are_read_as_by_a_slow_reader(tmp_path, monkeypatch, name):
    assert fuzz(tmp_path, monkeypatch, name, 340_000) is None
