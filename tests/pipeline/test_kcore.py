import json
from itertools import product
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from pipeline import kcore, params
from pipeline.interactions.filters import Filters
from pipeline.job.errors import ParamsError, RawDataError
from pipeline.kcore import (
    as_published,
    core_name,
    distinct_pairs,
    filtered,
    k_core,
    numbered,
    statistics,
)
from pipeline.tables.io import read_json, read_parquet, write_parquet
from pipeline.tables.schema import INGEST, INTERACTIONS, ITEMS, RAW_ITEMS, REVIEWS, USERS


def reviews(rows):
    """Rows of (user, item, time)."""
    full = [(user, item, time, 5.0, None) for user, item, time in rows]
    return pl.DataFrame(full, schema=REVIEWS, orient="row")


def catalogue(*ids, title="t"):
    return pl.DataFrame([(i, title, None, None) for i in ids], schema=RAW_ITEMS, orient="row")


def pairs(text):
    """`ax ay bx` -> users a, b and items x, y."""
    rows = [(p[0], p[1]) for p in text.split()]
    return pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String}, orient="row")


def test_removal_goes_on_until_nothing_changes():
    """Dropping c makes z too rare, which makes d too rare: one pass is wrong."""
    core, rounds = k_core(pairs("ax ay bx by cz dz dx"), k=2)

    assert core.rows() == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    assert [r["interactions"] for r in rounds] == [7, 6, 5, 4]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), unique=True),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_the_core_is_the_largest_set_with_k_everywhere(rows, k, k_item):
    table = pl.DataFrame(rows, schema={"user": pl.Int64, "item": pl.Int64}, orient="row")
    left = set(rows)
    while True:  # the definition, slowly
        kept = {
            (u, i) for u, i in left
            if sum(a == u for a, _ in left) >= k
            and sum(b == i for _, b in left) >= (k_item or k)
        }  # fmt: skip
        if kept == left:
            break
        left = kept

    core, _ = k_core(table, k, k_item)

    assert core.rows() == [row for row in rows if row in left]
    assert k_core(core, k, k_item)[0].equals(core)


def test_of_repeated_pairs_the_earliest_stays():
    table = reviews([("a", "x", 9), ("a", "y", 5), ("a", "x", 3), ("a", "y", 5)])

    assert distinct_pairs(table)["timestamp"].to_list() == [5, 3]


def test_an_empty_core_says_so_with_the_counts_of_each_round():
    table = reviews([("a", "x", 1), ("b", "x", 1), ("b", "y", 1)])

    with pytest.raises(
        RawDataError, match=r"5-core is empty \(round 0: 2 users, 2 items, 3 pairs; round 1: 0"
    ):
        filtered(table, catalogue("x", "y"), k=5)


def test_items_that_lack_a_required_field_go_before_the_filter():
    table = reviews([(u, i, 1) for u in "ab" for i in "xyz"])
    items = pl.concat([catalogue("x", "y"), catalogue("z", title=" ")])

    core, steps, _ = filtered(table, items, k=2, rules=Filters(require=["title"]))

    assert sorted(core["item"].unique()) == ["x", "y"]
    assert [(one["filter"], one["reviews"]) for one in steps] == [
        ("all reviews", 6),
        ("require", 4),
        ("distinct pairs", 4),
    ]


def test_ids_follow_raw_ids_and_rows_follow_time_then_the_file():
    table = reviews([("b", "0x", 2), ("a", "X", 7), ("a", "0x", 7), ("a", "9", 1)])
    core, _ = k_core(distinct_pairs(table), 1)

    interactions, users, items = numbered(core, catalogue("X", "9", "0x", "unused"))

    assert users["raw_id"].to_list() == ["a", "b"]
    assert items["raw_id"].to_list() == ["0x", "9", "X"]
    assert interactions.rows() == [(0, 1, 1), (0, 2, 7), (0, 0, 7), (1, 0, 2)]


def test_a_published_split_keeps_its_ids_repeats_and_unused_items():
    rows = [("10", "2", None, None, "train"), ("0", "1", None, None, "train"),
            ("10", "2", None, None, "train"), ("10", "2", None, None, "validation"),
            ("0", "0", None, None, "test")]  # fmt: skip
    table = pl.DataFrame(rows, schema=REVIEWS, orient="row")

    interactions, users, items = as_published(table, catalogue("0", "1", "2", "11"))

    assert interactions.rows() == [(0, 1, None), (0, 0, None), (10, 2, None), (10, 2, None)]
    assert users.height == 11
    assert items["item"].to_list() == [0, 1, 2, 11]


def test_statistics_are_table_1():
    interactions = pl.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1]})

    table = statistics(interactions, n_items=3, rounds=[])

    assert (table["users"], table["items"], table["interactions"]) == (2, 3, 3)
    assert table["density"] == 0.5
    assert (table["core"], table["filters"]) == (None, [])


def test_a_core_is_named_by_its_sides():
    assert [core_name(5), core_name(5, 5), core_name(3, 5)] == [
        "5-core",
        "5-core",
        "(3, 5)-core",
    ]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory whose interim tables are those of a tiny shop, and a split."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["kcore"] = {"k": 2, "require": []}
    monkeypatch.chdir(tmp_path)
    stars = dict(zip("abc", (5.0, 4.0, 1.0), strict=True))
    rows = [(u, i, n, stars[u], None) for n, (u, i) in enumerate(product("abc", "xyz"))]
    table = pl.DataFrame(rows, schema=REVIEWS, orient="row")
    write_parquet(table, Path("interim/reviews.parquet"))
    write_parquet(catalogue("x", "y", "z"), Path("interim/items.parquet"))

    def run(dataset="gift_cards", **changes):
        raw["kcore"] |= changes
        Path("params.yaml").write_text(yaml.safe_dump(raw))
        kcore.main([dataset, "interim", "processed"])
        return read_json(Path("processed/statistics.json"))

    return run


def test_statistics_have_the_counts_of_each_filter(project):
    statistics = project(min_rating=4.0, k_item=1, before="1970-01-02")

    assert statistics["core"] == "(2, 1)-core"
    assert statistics["filters"] == [
        {"filter": "all reviews", "value": None, "users": 3, "items": 3, "reviews": 9},
        {"filter": "min_rating", "value": 4.0, "users": 2, "items": 3, "reviews": 6},
        {"filter": "before", "value": "1970-01-02", "users": 2, "items": 3, "reviews": 6},
        {"filter": "distinct pairs", "value": None, "users": 2, "items": 3, "reviews": 6},
    ]
    assert (statistics["users"], statistics["items"]) == (2, 3)


def test_statistics_account_for_every_record(project):
    """Each is an interaction, a bad line, or dropped by one of the filters."""
    counts = {"files": {"a.gz": {"records": 14}}, "reviews": {"records": 14, "bad_lines": 3}}
    table = read_parquet(Path("interim/reviews.parquet"), REVIEWS)
    more = table.head(2).with_columns(user=pl.Series(["a", "d"]))  # a repeat, and a stranger
    write_parquet(
        pl.concat([table, more]), Path("interim/reviews.parquet"), {INGEST: json.dumps(counts)}
    )

    statistics = project(min_rating=4.0)

    assert statistics["read"] == counts["files"]
    assert statistics["rows"] == {
        "records": 14,
        "bad_lines": 3,
        "filtered": {"min_rating": 3, "distinct pairs": 1, "core": 1},
        "interactions": 6,
    }


def test_records_that_are_nowhere_stop_the_stage(project):
    counts = {"files": {}, "reviews": {"records": 10, "bad_lines": 0}}
    table = read_parquet(Path("interim/reviews.parquet"), REVIEWS)
    write_parquet(table, Path("interim/reviews.parquet"), {INGEST: json.dumps(counts)})

    with pytest.raises(RawDataError, match=r"got 10 records, 9 interactions, 0 bad lines"):
        project()


def test_the_filters_of_a_dataset_override_those_for_all(project):
    datasets = {"gift_cards": {"min_rating": None, "k": 1}, "beauty": {"min_rating": 5.0}}

    assert project(min_rating=4.0, datasets=datasets)["core"] == "1-core"
    assert project()["users"] == 3
    assert project("beauty", k_item=1)["filters"][1]["value"] == 5.0


def test_a_published_split_is_not_filtered(project):
    with pytest.raises(ParamsError, match=r"kcore\.min_rating: beauty_split is a published"):
        project("beauty_split", min_rating=4.0)


def test_the_settings_of_kcore_change_only_their_datasets():
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["kcore"]["datasets"] = {"beauty": {"k": 3}}
    settings = params.parse(raw)

    assert settings.of("beauty").kcore.k == 3
    assert settings.of("beauty").of("sample").kcore == settings.kcore


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A working directory with params.yaml (k = 5) and 6 users who bought 6 items each."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    bought = [(f"u {u}", f"i'{i}", 9 - i) for u in range(6) for i in range(6)]
    rows = reviews([*bought, ("u 0", "i'0", 1), ("rare", "i'0", 1)])
    write_parquet(rows, Path("interim/reviews.parquet"))
    items = catalogue("unsold", *(f"i'{i}" for i in range(6))).with_columns(brand=pl.lit("b"))
    write_parquet(items, Path("interim/items.parquet"))
    return tmp_path


def test_the_command_writes_the_tables_and_the_counts(shop):
    kcore.main(["gift_cards", "interim", "processed"])

    interactions = read_parquet(Path("processed/interactions.parquet"), INTERACTIONS)
    users = read_parquet(Path("processed/users.parquet"), USERS)
    items = read_parquet(Path("processed/items.parquet"), ITEMS)
    # The second purchase of (u 0, i'0) was the earlier one.
    assert interactions.rows()[:3] == [(0, 0, 1), (0, 5, 4), (0, 4, 5)]
    assert users["raw_id"].to_list() == [f"u {u}" for u in range(6)]
    assert items["raw_id"].to_list() == [f"i'{i}" for i in range(6)]
    assert items.columns == [*ITEMS, "brand"]
    assert read_json(Path("processed/statistics.json"))["rounds"] == [
        {"users": 7, "items": 6, "interactions": 37},
        {"users": 6, "items": 6, "interactions": 36},
    ]


def test_the_same_tables_make_the_same_bytes(shop):
    """Ids get arbitrary codes while they are read; nothing written may show them."""
    kcore.main(["gift_cards", "interim", "one"])
    kcore.main(["gift_cards", "interim", "two"])

    for path in Path("one").iterdir():
        assert path.read_bytes() == Path("two", path.name).read_bytes()


def test_an_unknown_field_is_an_error_with_the_fields_of_the_file(shop):
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("require: []", "require: [smell]"))

    with pytest.raises(ParamsError, match=r"no item field 'smell'; .*'image', 'brand'\]"):
        kcore.main(["gift_cards", "interim", "processed"])
