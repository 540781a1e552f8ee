import polars as pl
import pytest

from pipeline.interactions.id_codes import codes_of, positions, read_items, read_reviews
from pipeline.job.errors import SchemaError
from pipeline.tables.io import write_parquet
from pipeline.tables.schema import RAW_ITEMS, REVIEWS


@pytest.fixture
def folder(tmp_path):
    rows = [("é", "7", 3, 5.0, None), ("a b", "07", 2, 4.0, None), ("é", "07", 1, 1.0, None)]
    write_parquet(
        pl.DataFrame(rows, schema=REVIEWS, orient="row"), tmp_path / "reviews.parquet"
    )
    items = [(i, f"title {i}", None, None) for i in ("00", "07", "7")]
    write_parquet(
        pl.DataFrame(items, schema=RAW_ITEMS, orient="row"), tmp_path / "items.parquet"
    )
    return tmp_path


def test_reviews_keep_their_order_and_their_ids_as_text(folder):
    rows = read_reviews(folder / "reviews.parquet")

    assert rows.rows() == [("é", "7", 3, 5.0), ("a b", "07", 2, 4.0), ("é", "07", 1, 1.0)]
    assert sorted(codes_of(rows["user"])) in ([0, 0, 1], [0, 1, 1])
    assert sorted(codes_of(rows["item"])) in ([0, 0, 1], [0, 1, 1])


def test_another_table_is_refused(folder):
    with pytest.raises(SchemaError, match=r"items\.parquet: expected a column 'user'"):
        read_reviews(folder / "items.parquet")
    with pytest.raises(SchemaError, match=r"lost\.parquet: no such table; run the stage"):
        read_reviews(folder / "lost.parquet")


def test_only_the_items_with_the_given_ids_are_read(folder):
    like = read_reviews(folder / "reviews.parquet")["item"]

    items = read_items(folder / "items.parquet", like)

    assert items.select("raw_id", "title").rows() == [("07", "title 07"), ("7", "title 7")]
    assert items.columns == list(RAW_ITEMS)
    assert read_items(folder / "items.parquet", like[:1], ["title"]).rows() == [
        ("7", "title 7")
    ]


@pytest.mark.parametrize("type_", [pl.String, pl.Categorical, pl.Int64])
def test_positions_are_the_indices_of_the_ids(type_):
    ids = pl.Series(["3", "1", "3", "2"]).cast(type_)
    among = pl.Series(["2", "9", "3"]).cast(type_)

    assert positions(ids, among).tolist() == [2, -1, 2, 0]


def test_equal_ids_have_equal_codes():
    codes = codes_of(pl.Series(["x", "y", "x"]))

    assert codes.tolist() in ([0, 1, 0], [1, 0, 1])
    assert codes_of(pl.Series([30, -5, 30])).tolist() in ([0, 1, 0], [1, 0, 1])
    assert len(codes_of(pl.Series([], dtype=pl.String))) == 0
