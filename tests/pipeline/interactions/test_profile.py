import polars as pl

from pipeline.interactions.profile import files, profile
from pipeline.tables.schema import RAW_ITEMS, REVIEWS


def test_the_files_of_a_folder_count_as_one():
    one = {"file": "images/a.jpg", "bytes": 2, "sha256": "1"}
    two = {"file": "images/b.jpg", "bytes": 3, "sha256": "2"}
    alone = {"file": "r.txt", "bytes": 5, "sha256": "3"}

    found = files([alone, two, one])

    assert found["r.txt"] == {"bytes": 5, "sha256": "3"}
    assert (found["images/"]["files"], found["images/"]["bytes"]) == (2, 5)
    assert found == files([one, two, alone])
    assert found["images/"] != files([one, two | {"sha256": "4"}])["images/"]


def test_rows_values_years_and_stars_are_counted():
    rows = [
        ("a", "x", 0, 5.0, None),
        ("a", "y", None, 3.5, None),
        ("b", "x", 31536000, None, None),
    ]
    items = pl.DataFrame(
        [("x", "t", None, None), ("y", None, None, None)], RAW_ITEMS, orient="row"
    )
    items = items.with_columns(words=pl.Series([["w"], []]))

    found = profile([], pl.DataFrame(rows, REVIEWS, orient="row"), items, {"train": items})

    assert found["reviews"]["filled"] == {
        "user": 3,
        "item": 3,
        "timestamp": 2,
        "rating": 2,
        "part": 0,
    }
    assert found["reviews"]["years"] == {"1970": 1, "1971": 1}
    assert found["reviews"]["ratings"] == {"3.5": 1, "5": 1}
    assert found["items"] == {
        "rows": 2,
        "filled": {"title": 1, "description": 0, "image": 0, "words": 1},
    }
    assert found["rows"] == {"train": 2}
