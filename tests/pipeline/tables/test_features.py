from __future__ import annotations

import json

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from pipeline.job.errors import SchemaError
from pipeline.tables.features import METADATA, read_features, write_features, write_no_features
from pipeline.tables.io import read_parquet, write_arrow
from pipeline.tables.schema import FEATURES

DESCRIBED = dict.fromkeys(METADATA, "x") | {"dim": "2"}


def table(
    items=(0, 1), present=(True, False), feature=((1, 2), (0, 0)), width=2, metadata=None
):
    arrays = [
        pa.array(items, pa.int32()),
        pa.array(present, pa.bool_()),
        pa.array(feature, pa.list_(pa.float32(), width)),
    ]
    made = pa.table(arrays, names=["item", "present", "feature"])
    return made.replace_schema_metadata(DESCRIBED if metadata is None else metadata)


def test_what_is_written_is_read_back(tmp_path):
    rng = np.random.default_rng(0)
    vectors = [None if n % 7 == 3 else rng.random(2, np.float32) for n in range(700)]

    n_present = write_features(vectors, tmp_path / "a.parquet", dim=2, metadata=DESCRIBED)
    present, feature, metadata = read_features(tmp_path / "a.parquet")

    assert present.tolist() == [vector is not None for vector in vectors]
    assert n_present == present.sum() == 600
    assert feature.dtype == np.float32
    assert feature.shape == (700, 2)
    assert all(
        (row == (0 if v is None else v)).all() for row, v in zip(feature, vectors, strict=True)
    )
    assert metadata == DESCRIBED


def test_polars_reads_it_as_the_schema_says(tmp_path):
    write_features([np.ones(3, np.float32)], tmp_path / "a.parquet", dim=3, metadata=DESCRIBED)

    frame = read_parquet(
        tmp_path / "a.parquet", {**FEATURES, "feature": pl.Array(pl.Float32, 3)}
    )

    assert frame.rows() == [(0, True, [1.0, 1.0, 1.0])]


def test_a_missing_modality_is_an_empty_table(tmp_path):
    write_no_features(tmp_path / "a.parquet")

    present, feature, metadata = read_features(tmp_path / "a.parquet")

    assert present.shape == (0,)
    assert feature.shape == (0, 1)
    assert (metadata["extractor"], metadata["dim"]) == ("none", "0")
    assert json.loads(metadata["versions"]) == {}


def test_a_failure_half_way_leaves_no_file(tmp_path):
    def vectors():
        yield np.ones(2, np.float32)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_features(vectors(), tmp_path / "a.parquet", dim=2, metadata=DESCRIBED)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"items": (1, 2)}, "expected items 0, 1, 2"),
        ({"feature": ((1, 2), (0, 3))}, "expected zeros where `present` is false"),
        ({"feature": ((1, float("nan")), (0, 0))}, "expected finite numbers"),
        ({"metadata": DESCRIBED | {"dim": "3"}}, "expected 3 numbers per item, got 2"),
        ({"metadata": {}}, "expected metadata"),
    ],
)
def test_another_table_is_refused(tmp_path, wrong, message):
    write_arrow(table(**wrong), tmp_path / "a.parquet")

    with pytest.raises(SchemaError, match=message):
        read_features(tmp_path / "a.parquet")


def test_other_columns_are_refused(tmp_path):
    lists = table().set_column(2, "feature", pa.array([[1.0], [2.0]]))
    write_arrow(lists, tmp_path / "lists.parquet")
    write_arrow(table().drop_columns("feature"), tmp_path / "none.parquet")

    for name in ("lists", "none"):
        with pytest.raises(SchemaError, match="expected columns"):
            read_features(tmp_path / f"{name}.parquet")


def test_an_absent_file_names_the_stage(tmp_path):
    with pytest.raises(SchemaError, match=r"run `python -m pipeline\.features` first"):
        read_features(tmp_path / "a.parquet")
