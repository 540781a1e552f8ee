import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from paths import ROOT

from pipeline import kcore, split, validate
from pipeline.job.errors import RawDataError
from pipeline.tables.io import read_json, write_json, write_parquet
from pipeline.tables.schema import (
    CANDIDATES,
    INGEST,
    INTERACTIONS,
    ITEMS,
    RAW_ITEMS,
    REVIEWS,
    USERS,
)
from pipeline.validate import findings

START = 1388534400  # 2014-01-01
N_ITEMS = 110


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory in which everything before validate has run on a tiny shop."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["kcore"]["k"] = 3
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(tmp_path)
    # 110 items, each taken by 4 of 40 users; a user's times are a day apart.
    rows = [
        (f"u{user:02}", f"i{(user + 10 * n) % N_ITEMS:03}", START + 86400 * n, 5.0, None)
        for user in range(40)
        for n in range(11)
    ]
    write_parquet(pl.DataFrame(rows, REVIEWS, orient="row"), Path("interim/reviews.parquet"))
    items = [
        (f"i{n:03}", "a | title", None, "x.jpg" if n % 3 else None) for n in range(N_ITEMS)
    ]
    write_parquet(pl.DataFrame(items, RAW_ITEMS, orient="row"), Path("interim/items.parquet"))
    write_json(
        [{"file": "a.gz", "url": "", "bytes": 5, "sha256": "ab" * 32}],
        Path("raw/manifest.json"),
    )
    kcore.main(["gift_cards", "interim", "processed"])
    split.main(["gift_cards", "interim", "processed"])
    return tmp_path


def run():
    validate.main(["gift_cards", "raw", "interim", "processed", "results"])
    return read_json(Path("results/validation.json")), Path("results/validation.md").read_text()


def change(path, **columns):
    write_parquet(pl.read_parquet(path).with_columns(**columns), Path(path))


def test_a_valid_dataset_has_counts_and_no_findings(project):
    numbers, page = run()

    assert numbers["findings"] == []
    assert numbers["profile"]["rows"]["train"] == 40 * 9
    assert numbers["profile"]["reviews"]["years"] == {"2014": 440}
    assert numbers["profile"]["items"]["filled"] == {
        "title": 110,
        "description": 0,
        "image": 73,
    }
    assert "0 errors, 0 warnings." in page
    assert "| image | 73 | 66.4 % |" in page
    assert page.endswith("|\n")


def test_the_page_repeats_byte_for_byte(project):
    first, second = (run(), Path("results/validation.json").read_bytes()), run()

    assert (second, Path("results/validation.json").read_bytes()) == first


def test_an_error_stops_the_stage_and_says_where_the_page_is(project):
    change("processed/test.parquet", item=pl.col("item") + 1)

    with pytest.raises(
        RawDataError, match=r"errors in gift_cards, .* \.work/validate/gift_car"
    ):
        run()

    assert not Path("results").exists()
    assert "| error | candidates |" in Path(".work/validate/gift_cards.md").read_text()


def test_what_changed_since_the_last_run_is_logged(project, caplog):
    run()
    change("interim/items.parquet", image=pl.lit(None, dtype=pl.String))
    manifest = [{"file": "a.gz", "url": "", "bytes": 7, "sha256": "cd" * 32}]
    write_json(manifest, Path("raw/manifest.json"))

    run()

    lines = [line.partition("since the last run: ")[2] for line in caplog.messages]
    assert [line for line in lines if line] == [
        "files a.gz bytes: 5 -> 7 (+2, +40.00 %)",
        "files a.gz sha256: abababababababab -> cdcdcdcdcdcdcdcd",
        "items filled image: 73 -> 0 (-73, -100.00 %)",
    ]


# --- each finding -------------------------------------------------------------------------


def tables():
    """Two users and three items, in order; a fault is put in by the tests."""
    interactions = [(0, 0, START), (0, 1, START + 1), (1, 1, START), (1, 2, START + 2)]
    raw = [(f"u{u}", f"i{i}", time, 4.0, None) for u, i, time in interactions]
    return {
        "reviews": pl.DataFrame(raw, REVIEWS, orient="row"),
        "raw_items": pl.DataFrame(
            [(f"i{n}", "t", "d", "x") for n in range(3)], RAW_ITEMS, orient="row"
        ),
        "interactions": pl.DataFrame(interactions, INTERACTIONS, orient="row"),
        "users": pl.DataFrame([(0, "u0"), (1, "u1")], USERS, orient="row"),
        "items": pl.DataFrame(
            [(n, f"i{n}", "t", "d", "x") for n in range(3)], ITEMS, orient="row"
        ),
        "train": pl.DataFrame([(0, 0, START), (1, 1, START)], INTERACTIONS, orient="row"),
        "validation": pl.DataFrame([(0, 1, START + 1)], INTERACTIONS, orient="row"),
        "test": pl.DataFrame([(1, 2, START + 2)], INTERACTIONS, orient="row"),
        "candidates": pl.DataFrame(
            [(0, "validation", 1, list(range(99))), (1, "test", 2, list(range(99)))],
            CANDIDATES | {"negatives": pl.Array(pl.Int32, 99)},
            orient="row",
        ),
    }


def problems(changed, format_="amazon2018", k=1):
    parts = tables() | changed
    # 99 negatives need more than three items: the check of their range is of the last test.
    reviews, items = parts.pop("reviews"), parts.pop("raw_items")
    rules = {"k_user": k, "k_item": k}
    return {
        (f.level, f.table, f.what): (f.count, f.of)
        for f in findings(reviews, items, parts, format_, rules)
        if "lists with" not in f.what and "that train has not" not in f.what
    }


def replaced(name, row, column, value):
    rows = tables()[name].to_dicts()
    rows[row][column] = value
    return {name: pl.DataFrame(rows, tables()[name].schema)}


FAULTS = {
    "a user of spaces": (
        ("reviews", 0, "user", " "),
        ("error", "reviews", "rows without user"),
    ),
    "a lost item": (
        ("reviews", 0, "item", "i9"),
        ("error", "reviews", "rows of an item that is not in items"),
    ),
    "an item twice": (
        ("raw_items", 0, "raw_id", "i1"),
        ("error", "items", "rows that repeat a raw_id"),
    ),
    "a time after 2100": (
        ("reviews", 0, "timestamp", 4102444800),
        ("error", "reviews", "times before 1970 or from 2100 on"),
    ),
    "a time before 1995": (
        ("reviews", 0, "timestamp", 0),
        ("warning", "reviews", "times before 1995"),
    ),
    "no time": (("reviews", 0, "timestamp", None), ("warning", "reviews", "no time")),
    "equal last times": (
        ("reviews", 1, "timestamp", START),
        (
            "warning",
            "users",
            "whose last two reviews have the same time: the order of the file decides",
        ),
    ),
    "six stars": (
        ("reviews", 0, "rating", 6.0),
        ("error", "reviews", "ratings outside 1 to 5"),
    ),
    "no number of stars": (
        ("reviews", 0, "rating", float("nan")),
        ("error", "reviews", "ratings outside 1 to 5"),
    ),
    "a pair twice": (("reviews", 1, "item", "i0"), ("warning", "reviews", "repeated pairs")),
    "a gap in the ids": (
        ("users", 1, "user", 2),
        ("error", "users", "ids that are not 0, 1, 2, ..."),
    ),
    "no such item": (
        ("interactions", 0, "item", 3),
        ("error", "interactions", "rows of no item"),
    ),
    "a pair twice in the core": (
        ("interactions", 0, "item", 1),
        ("error", "interactions", "repeated pairs"),
    ),
    "another train": (
        ("train", 0, "item", 2),
        (
            "error",
            "train, validation, test",
            "the rows of all parts are not those of interactions",
        ),
    ),
    "another target": (
        ("candidates", 1, "item", 0),
        ("error", "candidates", "the targets of part test are not its rows"),
    ),
}


@pytest.mark.parametrize(("fault", "finding"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found(fault, finding):
    assert problems({}) == {}
    assert finding in problems(replaced(*fault))


def test_an_example_has_the_raw_ids():
    parts = tables() | replaced("interactions", 1, "user", 1)

    [pairs] = [f for f in findings_of(parts) if f.what == "repeated pairs"]

    assert pairs.table == "interactions"
    assert pairs.example.startswith("user 'u1', item 'i1', timestamp")


def test_an_example_of_a_count_has_the_raw_id():
    parts, rules = tables(), {"k_user": 1, "k_item": 2}
    reviews, items = parts.pop("reviews"), parts.pop("raw_items")

    few = [f for f in findings(reviews, items, parts, "amazon2018", rules) if "fewer" in f.what]

    assert [f.example for f in few] == ["item 'i0', n '1'"]


def test_what_the_filters_left_out_is_a_warning():
    """A review of a pair that is not in the core."""
    more = pl.DataFrame([("u0", "i2", START, 0.0, None)], REVIEWS, orient="row")
    reviews = pl.concat([tables()["reviews"], more])

    assert problems({"reviews": reviews}) == {
        ("warning", "reviews", "ratings outside 1 to 5, in no pair that is kept"): (1, 1)
    }


def test_the_page_says_what_ingest_read(project):
    counts = {"records": 9, "rows": 7, "bad_lines": 2, "not_understood": {"verified": 3}}
    entry = json.dumps({"files": {"a.gz": counts}, "reviews": None})
    table = pl.read_parquet("interim/reviews.parquet")
    write_parquet(table, Path("interim/reviews.parquet"), {INGEST: entry})

    numbers, page = run()

    assert numbers["profile"]["read"] == {"a.gz": counts}
    assert "| a.gz | 9 | 2 | 7 | verified: 3 |" in page


def test_a_fault_is_counted():
    rows = replaced("reviews", 0, "rating", 6.0)

    assert problems(rows)["error", "reviews", "ratings outside 1 to 5"] == (1, 4)


def test_ratings_of_generic_tables_may_have_another_scale():
    rows = replaced("reviews", 0, "rating", 10.0)

    assert ("warning", "reviews", "ratings outside 1 to 5") in problems(rows, "tables")


def test_a_wrong_core_is_found():
    assert problems({}, k=2) == {("error", "items", "with fewer than 2 rows"): (2, 3)}


def test_a_field_that_most_but_not_all_items_lack_is_a_warning():
    items = tables()["raw_items"]
    some = items.with_columns(title=pl.Series(["t", None, None]))
    none = items.with_columns(title=pl.lit(None, dtype=pl.String))

    assert problems({"raw_items": some}) == {("warning", "items", "without title"): (2, 3)}
    assert problems({"raw_items": none}) == {}


def test_negatives_are_distinct_existing_items():
    every = [f for f in findings_of(tables()) if "lists with" in f.what]

    assert [(f.level, f.count, f.of) for f in every] == [("error", 2, 2)]


def findings_of(parts):
    reviews, items = parts.pop("reviews"), parts.pop("raw_items")
    rules = {"k_user": 1, "k_item": 1}
    return findings(reviews, items, parts, "amazon2018", rules)


def test_text_from_outside_stays_in_its_cell():
    finding = validate.Finding("warning", "x", "y", 1, 2, "a | b\n# <script>`")
    counts = {
        "files": {},
        "read": {},
        "reviews": dict.fromkeys(("rows", "users", "items"), 0)
        | {key: {} for key in ("filled", "years", "ratings")},
        "items": {"rows": 0, "filled": {}},
        "rows": {},
    }

    page = validate.page("d", [finding], counts)

    assert "| warning | x | y | 1 of 2 | a \\| b # &lt;script>' |" in page
    assert json.dumps(counts)
