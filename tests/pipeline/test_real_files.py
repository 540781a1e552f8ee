"""Ingest and k-core of published files, beside short programs that share nothing with them.

The files' licences are not stated, so they are no part of the project; without them the tests
are skipped.
"""

import ast
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from limits import LIMITS
from paths import ROOT, SHARED

from pipeline import ingest, kcore, params
from pipeline.tables.io import read_json

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published data are not in ../shared/data"
)
GIFT_CARDS, TIANCHI = SHARED / "gift_cards", SHARED / "tianchi_head"
VARIANTS = ("meta_Gift_Cards.json.gz", "meta_Gift_Cards.variant_image.json.gz")


def json_lines(name):
    with gzip.open(GIFT_CARDS / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def text_lines(name):
    return (TIANCHI / name).read_text(encoding="utf-8").splitlines()


@pytest.fixture(params=VARIANTS)
def gift_cards(request, tmp_path):
    """The tables of one variant, and the name of its metadata."""
    source = params.AmazonSource(
        format="amazon2018", category="Gift_Cards", reviews="5core", metadata=request.param
    )
    ingest.ingest(source, GIFT_CARDS, tmp_path, LIMITS)
    reviews, items = (pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("reviews", "items"))
    return reviews, items, request.param


def test_gift_cards_have_the_rows_of_a_plain_loop(gift_cards):
    reviews, items, metadata = gift_cards
    rows = [
        (r["reviewerID"], r["asin"], r["unixReviewTime"], r["overall"], None, r["verified"])
        for r in json_lines("Gift_Cards_5.json.gz")
    ]
    reviewed = {row[1] for row in rows}
    first = {}
    for record in json_lines(metadata):
        first.setdefault(record["asin"], record)

    assert reviews.rows() == rows
    assert reviews.height == 2972
    assert items["raw_id"].to_list() == sorted(reviewed)
    assert items["title"].count() == sum(
        bool(first[i]["title"]) for i in reviewed if i in first
    )
    assert items["category"].to_list() == [
        first[i]["category"] or None for i in sorted(reviewed)
    ]
    assert items["description"].to_list() == [
        " ".join(t for t in first[i]["description"] if t).strip() or None
        for i in sorted(reviewed)
    ]


def test_both_variants_of_gift_cards_are_the_same_tables(tmp_path):
    for number, name in enumerate(VARIANTS):
        source = params.AmazonSource(
            format="amazon2018", category="Gift_Cards", reviews="5core", metadata=name
        )
        ingest.ingest(source, GIFT_CARDS, tmp_path / str(number), LIMITS)

    # The metadata of the reviews has the names of the files.
    first, second = (pl.read_parquet(tmp_path / n / "reviews.parquet") for n in "01")
    assert first.equals(second)
    first, second = ((tmp_path / n / "items.parquet").read_bytes() for n in "01")
    assert first == second


def test_gift_cards_as_literals_of_2014_give_the_same_items(tmp_path):
    """The real texts, with their quotes and escapes, through the other reader."""
    raw = tmp_path / "raw"
    raw.mkdir()
    reviews = (GIFT_CARDS / "Gift_Cards_5.json.gz").read_bytes()
    (raw / "reviews_Gift_Cards_5.json.gz").write_bytes(reviews)
    records = [
        {
            "asin": r["asin"], "title": r["title"], "brand": r["brand"],
            "description": " ".join(r["description"]), "categories": [r["category"]],
        }
        for r in json_lines(VARIANTS[0])
    ]  # fmt: skip
    text = "".join(f"{record!r}\n" for record in records)
    assert [ast.literal_eval(line) for line in text.splitlines()] == records
    (raw / "meta_Gift_Cards.json.gz").write_bytes(gzip.compress(text.encode()))
    first, second = (
        params.AmazonSource(format=format_, category="Gift_Cards", reviews="5core")
        for format_ in ("amazon2014", "amazon2018")
    )

    ingest.ingest(first, raw, tmp_path / "2014", LIMITS)
    ingest.ingest(second, GIFT_CARDS, tmp_path / "2018", LIMITS)

    old, new = (pl.read_parquet(tmp_path / year / "items.parquet") for year in ("2014", "2018"))
    assert old.drop("image", "description").equals(new.drop("image", "description"))
    assert old["description"].count() == new["description"].count()


def test_the_core_of_gift_cards_is_that_of_a_plain_loop(gift_cards):
    reviews, _, _ = gift_cards
    pairs = {(r["reviewerID"], r["asin"]) for r in json_lines("Gift_Cards_5.json.gz")}
    n_rounds = 0
    while True:
        users, items = Counter(u for u, _ in pairs), Counter(i for _, i in pairs)
        kept = {(u, i) for u, i in pairs if users[u] >= 5 and items[i] >= 5}
        if kept == pairs:
            break
        pairs, n_rounds = kept, n_rounds + 1

    core, rounds = kcore.k_core(kcore.distinct_pairs(reviews), 5)

    assert set(core.select("user", "item").rows()) == pairs
    assert core.height == len(pairs) == 2941
    assert len(rounds) - 1 == n_rounds == 2
    assert rounds[-1] == {"users": 453, "items": 147, "interactions": 2941}


def test_the_stage_counts_gift_cards_as_the_functions_do(gift_cards, tmp_path, monkeypatch):
    root = ROOT
    (tmp_path / "params.yaml").write_bytes((root / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)

    kcore.main(["gift_cards", ".", "processed"])

    counts = read_json(Path("processed/statistics.json"))
    assert [counts[name] for name in ("users", "items", "interactions")] == [453, 147, 2941]
    assert [r["interactions"] for r in counts["rounds"]] == [2965, 2949, 2941]


def test_tianchi_has_the_rows_of_a_plain_loop(tmp_path):
    rows = []
    for line in text_lines("user_bought_history.txt"):
        user, item, day = line.split()
        midnight = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        rows.append((user, item, int(midnight.timestamp()), None, None))
    items_by_id = {line.split()[0]: line.split()[1:] for line in text_lines("dim_items.txt")}
    bought = sorted({row[1] for row in rows})

    ingest.ingest(params.TianchiSource(format="tianchi"), TIANCHI, tmp_path, LIMITS)

    reviews, items = (pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("reviews", "items"))
    assert reviews.rows() == rows
    assert reviews.height == 20_000
    assert items["raw_id"].to_list() == bought
    assert items["category"].to_list() == [
        items_by_id[i][:1] if i in items_by_id else None for i in bought
    ]


def test_tianchi_has_no_core(tmp_path):
    """The first lines of a file that is sorted by item."""
    ingest.ingest(params.TianchiSource(format="tianchi"), TIANCHI, tmp_path, LIMITS)
    pairs = kcore.distinct_pairs(pl.read_parquet(tmp_path / "reviews.parquet"))

    core, rounds = kcore.k_core(pairs, 5)

    assert core.is_empty()
    assert rounds[-1] == {"users": 0, "items": 0, "interactions": 0}
