import json
from pathlib import Path

import polars as pl
import pytest

from pipeline.job.errors import SchemaError
from pipeline.tables.io import read_metadata, write_parquet
from pipeline.tables.tokens import (
    METADATA,
    read_token_metadata,
    read_tokens,
    tokens_path,
    write_tokens,
)

TITLE = pl.Series([[0, 2], [], [1]], dtype=pl.List(pl.Int32))
TAGS = pl.Series([[], [], [0]], dtype=pl.List(pl.Int32))


def described(tokens, vocabulary):
    return dict.fromkeys(METADATA, "") | {"tokens": tokens, "vocabulary": vocabulary}


@pytest.fixture
def path(tmp_path):
    kinds = {"title": TITLE, "tags": TAGS}
    metadata = {"title": described(3, 3), "tags": described(1, 1)}
    write_tokens(kinds, metadata, 3, tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_kinds_come_back_as_pairs_in_the_order_asked_for(path):
    pairs = read_tokens(path, ["tags", "title"], 3)

    assert list(pairs) == ["tags", "title"]
    assert pairs["title"].tolist() == [[0, 0], [0, 2], [2, 1]]
    assert pairs["tags"].tolist() == [[2, 0]]
    assert pairs["tags"].dtype == "int64"
    assert read_token_metadata(path)["title"]["vocabulary"] == 3


def test_a_table_without_kinds_has_the_items_alone(tmp_path):
    write_tokens({}, {}, 2, tmp_path / "t.parquet")

    assert pl.read_parquet(tmp_path / "t.parquet").to_dict(as_series=False) == {"item": [0, 1]}
    assert read_tokens(tmp_path / "t.parquet", [], 2) == {}
    with pytest.raises(SchemaError, match="expected a column 'title'"):
        read_tokens(tmp_path / "t.parquet", ["title"], 2)


def test_tokens_lie_beside_the_features():
    assert tokens_path(Path("data/features/shop")) == Path("data/tokens/shop.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_items": 4}, "expected 4 rows, one per item, got 3; run the stage tokens again"),
        ({"vocabulary": 2}, r"title: expected tokens in \[0, 2\), got 0 to 2"),
        ({"tokens": 4}, "title: expected 4 tokens, got 3"),
        ({"versions": None}, r"title: expected metadata \['versions'\], got none"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(path, change, message):
    n_items = change.pop("n_items", 3)
    metadata = json.loads(read_metadata(path)["title"]) | change
    metadata = {key: value for key, value in metadata.items() if value is not None}
    write_parquet(pl.read_parquet(path), path, {"title": json.dumps(metadata)})

    with pytest.raises(SchemaError, match=message):
        read_tokens(path, ["title"], n_items)


def test_a_token_that_an_item_has_twice_is_refused(tmp_path):
    twice = pl.Series([[1, 1]], dtype=pl.List(pl.Int32))
    write_tokens({"title": twice}, {"title": described(2, 2)}, 1, tmp_path / "t.parquet")

    with pytest.raises(SchemaError, match="ascending order, each once"):
        read_tokens(tmp_path / "t.parquet", ["title"], 1)
