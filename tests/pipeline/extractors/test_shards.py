from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import numpy as np
import pytest

from pipeline.extractors.shards import parse_shard, read_shards
from pipeline.job.errors import SchemaError
from pipeline.tables.features import METADATA, write_features

ENTRIES = dict.fromkeys(METADATA, "{}") | {"extractor": "vgg16", "dim": "2"}
VECTORS = [np.array([n, -n], np.float32) for n in range(7)]


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    """Three shards, the second without a picture."""
    parts = [VECTORS[:4], [], VECTORS[4:]]
    paths = [tmp_path / f"{number}-of-3.parquet" for number in (1, 2, 3)]
    for path, part in zip(paths, parts, strict=True):
        write_features(part, path, dim=2, metadata=ENTRIES)
    return paths


def test_shards_in_any_order_give_the_whole(paths):
    rows = read_shards(paths[::-1], 7, "vgg16")

    assert np.array_equal(np.stack(list(rows.vectors)), np.stack(VECTORS))
    assert (rows.dim, rows.metadata) == (2, ENTRIES)


def test_ten_shards_are_sorted_by_number_not_by_name(tmp_path):
    paths = [tmp_path / f"{number}-of-10.parquet" for number in range(1, 11)]
    for number, path in enumerate(paths):
        write_features([np.array([number, 0], np.float32)], path, dim=2, metadata=ENTRIES)

    rows = [row[0] for row in read_shards(sorted(paths), 10, "vgg16").vectors]

    assert rows == list(range(10))


def test_shards_that_do_not_fit_together(paths):
    with pytest.raises(SchemaError, match="expected the shards 1-of-3 to 3-of-3, each once"):
        read_shards(paths[:2], 4, "vgg16")
    with pytest.raises(SchemaError, match="each once"):
        read_shards([*paths, paths[0]], 11, "vgg16")
    with pytest.raises(SchemaError, match="expected 8 pictures in all shards, got 7"):
        read_shards(paths, 8, "vgg16")
    with pytest.raises(SchemaError, match="expected a shard of vgg19"):
        read_shards(paths, 7, "vgg19")
    write_features([], paths[1], dim=2, metadata=ENTRIES | {"weights_sha256": "other"})
    with pytest.raises(SchemaError, match=r"2-of-3.parquet: expected a shard of vgg16 made as"):
        read_shards(paths, 7, "vgg16")
    paths[1].unlink()
    with pytest.raises(SchemaError, match="no such shard"):
        read_shards(paths, 7, "vgg16")
    with pytest.raises(SchemaError, match=r"name: expected a part such as 3-of-8"):
        read_shards([paths[0].with_name("one.parquet")], 7, "vgg16")


@pytest.mark.parametrize("text", ["0-of-3", "4-of-3", "1of3", "", "-1-of-3"])
def test_a_part_is_named_as_snakemake_does(text):
    assert parse_shard("3-of-8") == (3, 8)
    with pytest.raises(ArgumentTypeError, match="expected a part such as 3-of-8"):
        parse_shard(text)
