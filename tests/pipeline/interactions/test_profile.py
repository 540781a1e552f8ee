import polars as pl

from pipeline.interactions.profile import files, profile
from pipeline.tables.schema import RAW_ITEMS, REVIEWS


def test_the_files_of_a_folder_count_as_one():
    one = {"file": "images/a.jpg", "bytes": 2, "sha256": "1"}
    two = {"file": "images/b.jpg", "bytes": 3, "sha256": "2"}
    alone = {"file": "r.txt", "bytes": 5, "sha256": "3"}

    counts = files([alone, two, one])

    assert counts["r.txt"] == {"bytes": 5, "sha256": "3"}
    assert (counts["images/"]["files"], counts["images/"]["bytes"]) == (2, 5)
    assert counts == files([one, two, alone])
    assert counts["images/"] != files([one, two | {"sha256": "4"}])["images/"]


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

    counts = profile([], {}, pl.DataFrame(rows, REVIEWS, orient="row"), items, {"train": items})

    assert counts["reviews"]["filled"] == {
        "user": 3,
        "item": 3,
        "timestamp": 2,
        "rating": 2,
        "part": 0,
    }
    assert counts["reviews"]["years"] == {"1970": 1, "1971": 1}
    assert counts["reviews"]["ratings"] == {"3.5": 1, "5": 1}
    assert counts["items"] == {
        "rows": 2,
        "filled": {"title": 1, "description": 0, "image": 0, "words": 1},
    }
    assert counts["rows"] == {"train": 2}
