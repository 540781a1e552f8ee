"""The generated dump: its format, its flaws made on purpose, and its causes."""

from __future__ import annotations

import gzip
import html
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipeline import params
from pipeline.sources.sample.catalogue import Catalogue, draw_catalogue, identifiers
from pipeline.sources.sample.choices import (
    N_GROUPS,
    Exposures,
    Users,
    draw_exposures,
    draw_tastes,
    draw_users,
    exposure_table,
)
from pipeline.sources.sample.dump import generate, sizes
from pipeline.sources.sample.factors import BY_NAME, NUISANCES, PREFERENCES
from pipeline.sources.sample.pictures import Look, draw
from pipeline.sources.sample.silhouettes import SILHOUETTES

SMALL = 0.05
REVIEW_TYPES = {
    "overall": float,
    "verified": bool,
    "reviewTime": str,
    "reviewerID": str,
    "asin": str,
    "reviewerName": str,
    "reviewText": str,
    "summary": str,
    "unixReviewTime": int,
}
METADATA_TYPES = {
    "category": list,
    "description": list,
    "title": str,
    "brand": str,
    "feature": list,
    "also_buy": list,
    "also_view": list,
    "rank": (str, list),
    "price": str,
    "asin": str,
    "imageURL": list,
    "imageURLHighRes": list,
}


class Dump(NamedTuple):
    folder: Path
    reviews: list[dict[str, Any]]
    metadata: list[dict[str, Any]]
    items: pl.DataFrame
    users: pl.DataFrame


def make(folder: Path, scale: float, seed: int = 2023) -> Path:
    generate(params.SampleSource(format="sample", scale=scale), seed, folder)
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read(folder: Path) -> Dump:
    return Dump(
        folder,
        lines(folder / "Sample.json.gz"),
        lines(folder / "meta_Sample.json.gz"),
        pl.read_parquet(folder / "ground_truth" / "items.parquet"),
        pl.read_parquet(folder / "ground_truth" / "users.parquet"),
    )


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    return read(make(tmp_path_factory.mktemp("small") / "raw", SMALL))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    return read(make(tmp_path_factory.mktemp("whole") / "raw", 1.0))


def sequences(dump: Dump) -> dict[str, list[str]]:
    """Each user's items by time, the first of repeated pairs only; file order breaks ties."""
    items_of_user: dict[str, list[str]] = defaultdict(list)
    for review in sorted(dump.reviews, key=lambda row: row["unixReviewTime"]):
        if review["asin"] not in items_of_user[review["reviewerID"]]:
            items_of_user[review["reviewerID"]].append(review["asin"])
    return dict(items_of_user)


def five_core(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    while True:
        users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
        kept = {(user, item) for user, item in pairs if users[user] >= 5 and items[item] >= 5}
        if kept == pairs:
            return kept
        pairs = kept


def core_of(dump: Dump) -> tuple[set[str], set[str]]:
    core = five_core({(row["reviewerID"], row["asin"]) for row in dump.reviews})
    return {user for user, _ in core}, {item for _, item in core}


# --- the files ---------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_bytes(small, tmp_path):
    again = content(make(tmp_path / "elsewhere", SMALL))

    assert again == content(small.folder)
    assert len(again) > 100


def test_another_seed_makes_another_dump(small, tmp_path):
    other = content(make(tmp_path / "other", SMALL, seed=2024))
    first = content(small.folder)

    assert set(other) != set(first)
    for name in ("Sample.json.gz", "meta_Sample.json.gz"):
        assert other[name] != first[name]


@pytest.mark.parametrize("name", ["small", "whole"])
def test_every_review_has_the_fields_of_2018(name, request):
    reviews = request.getfixturevalue(name).reviews
    for review in reviews:
        assert set(review) - {"vote", "style"} == set(REVIEW_TYPES)
        assert all(type(review[key]) is kind for key, kind in REVIEW_TYPES.items())
        assert review["overall"] in {1.0, 2.0, 3.0, 4.0, 5.0}

    for optional, kind in (("vote", str), ("style", dict)):
        present = [review[optional] for review in reviews if optional in review]
        assert all(type(value) is kind for value in present)
        assert 0 < len(present) < 0.6 * len(reviews)


def test_both_ways_of_writing_the_time_agree(whole):
    for review in whole.reviews:
        day = datetime.strptime(review["reviewTime"], "%m %d, %Y").replace(tzinfo=UTC)

        assert day.timestamp() == review["unixReviewTime"]
    times = [review["unixReviewTime"] for review in whole.reviews]
    assert 600 < (max(times) - min(times)) / 86400 < 730


def test_every_item_has_the_fields_of_2018(whole):
    for row in whole.metadata:
        assert all(isinstance(row[key], kind) for key, kind in METADATA_TYPES.items())
        assert len(row["asin"]) == 10
    assert {row["asin"] for row in whole.reviews} <= {row["asin"] for row in whole.metadata}


def test_the_dump_has_the_flaws_of_real_files(whole):
    asins = [row["asin"] for row in whole.metadata]
    pairs = Counter((row["reviewerID"], row["asin"]) for row in whole.reviews)
    days = Counter((row["reviewerID"], row["unixReviewTime"]) for row in whole.reviews)

    assert len(asins) - len(set(asins)) == 2
    assert any(asin.isdigit() and asin.startswith("0") for asin in asins)
    assert any(asin.endswith("X") and asin[:-1].isdigit() for asin in asins)
    assert any("&amp;" in row["title"] for row in whole.metadata)
    assert 0 < sum(not row["description"] for row in whole.metadata) < 10
    assert 0 < sum(not row["imageURL"] for row in whole.metadata) < 10
    assert 10 < sum(count > 1 for count in pairs.values()) < 0.03 * len(pairs)
    assert max(days.values()) > 1


# --- the pictures ------------------------------------------------------------------------


def is_whole(path: Path) -> bool:
    with Image.open(path) as image:
        try:
            image.load()
        except OSError:
            return False
        return True


def test_every_picture_named_is_there_and_opens_but_for_the_broken_one(whole):
    named = {row["imageURLHighRes"][0] for row in whole.metadata if row["imageURLHighRes"]}
    there = {f"images/{path.name}" for path in (whole.folder / "images").iterdir()}
    broken = whole.items.filter(pl.col("picture") == "broken")["asin"].to_list()

    assert named == there
    assert [Path(name).stem for name in named if not is_whole(whole.folder / name)] == broken
    assert len(broken) == 1


def test_small_dumps_have_no_broken_picture(small):
    assert all(is_whole(path) for path in (small.folder / "images").iterdir())


def test_one_picture_is_grey_and_all_are_large_enough_for_vgg16(whole):
    modes = []
    for path in (whole.folder / "images").iterdir():
        with Image.open(path) as image:
            modes.append(image.mode)
            assert min(image.size) >= 224
    assert Counter(modes) == {"L": 1, "RGB": len(modes) - 1}


def test_the_special_items_survive_the_core(whole):
    special = whole.items.filter(pl.col("picture") != "ok")["asin"].to_list()

    assert set(special) <= core_of(whole)[1]
    assert set(whole.items["picture"]) == {"ok", "grey", "missing", "broken"}


@pytest.mark.parametrize("name", ["kind", "colour", "pattern", "background", "photo"])
def test_each_value_of_a_visible_factor_changes_the_picture(name):
    base = {"kind": 0, "colour": 0, "pattern": 1, "background": 0, "photo": 0, "pose": 0}
    pictures = [
        np.asarray(draw(Look(**base | {name: code})), np.float32)
        for code in range(len(BY_NAME[name].values))
    ]

    for number, picture in enumerate(pictures):
        for other in pictures[:number]:
            assert np.abs(picture - other).mean() > 1.5  # of 255, over the whole picture


def test_there_is_a_silhouette_for_every_kind():
    assert len(SILHOUETTES) == len(BY_NAME["kind"].values)


# --- the words ---------------------------------------------------------------------------


def test_titles_name_the_factors_of_text_and_no_others(whole):
    truth = {row["asin"]: row for row in whole.items.to_dicts()}
    for row in whole.metadata:
        title = html.unescape(row["title"]).lower()
        item = truth[row["asin"]]
        for name in ("colour", "fabric", "brand", "slogan"):
            assert item[name].lower() in title
        for name in ("pattern", "background", "photo"):
            assert not any(f" {value}" in title for value in BY_NAME[name].values)


# --- sizes and popularity ----------------------------------------------------------------


def test_the_five_core_of_a_small_dump_leaves_room_for_the_candidates(small):
    users, items = core_of(small)
    longest = max(len(items_of_user) for items_of_user in sequences(small).values())

    assert len(users) >= 40
    assert len(items) - longest >= 99


def test_the_five_core_keeps_most_of_the_dump_and_drops_something(whole):
    users, items = core_of(whole)

    assert 560 <= len(users) < len({row["reviewerID"] for row in whole.reviews})
    assert 200 <= len(items) < len({row["asin"] for row in whole.metadata})


def test_users_grow_with_the_scale_and_items_more_slowly():
    assert sizes(1.0) == (600, 240)
    assert sizes(16.0) == (9600, 1920)
    assert sizes(0.001) == sizes(SMALL)


def test_popularity_has_a_long_tail(whole):
    counts = np.array(sorted(Counter(row["asin"] for row in whole.reviews).values()))
    tenth = len(counts) // 10

    assert counts[-tenth:].sum() > 0.2 * counts.sum()
    assert counts[: 5 * tenth].sum() < 0.3 * counts.sum()
    assert counts[-1] > 4 * np.median(counts)


def test_identifiers_are_distinct_and_hide_the_order():
    numbers = np.arange(20_000)
    ids = identifiers(numbers, offset=7, length=8)

    assert len(set(ids.tolist())) == len(numbers)
    assert abs(np.corrcoef(np.argsort(np.argsort(ids)), numbers)[0, 1]) < 0.05


# --- the causes --------------------------------------------------------------------------


def matched(user: dict[str, Any], item: dict[str, Any]) -> int:
    return sum(item[name] in (user[name] or ()) for name in PREFERENCES)


def hit_ratio(dump: Dump, score: Any) -> float:
    """HR@10 of each user's last item against 99 others; ties count against it."""
    generator = np.random.default_rng(0)
    every = dump.items["asin"].to_list()
    hits = []
    for user, met in sequences(dump).items():
        others = sorted(set(every) - set(met))
        negatives = generator.choice(others, 99, replace=False)
        target = score(user, met[-1])
        hits.append(sum(score(user, item) >= target for item in negatives) < 10)
    return float(np.mean(hits))


def trained_popularity(dump: Dump) -> Counter[str]:
    return Counter(item for met in sequences(dump).values() for item in met[:-1])


def test_a_ranking_by_the_true_causes_beats_popularity_by_far(whole):
    users = {row["reviewerID"]: row for row in whole.users.to_dicts()}
    items = {row["asin"]: row for row in whole.items.to_dicts()}
    popular = trained_popularity(whole)

    oracle = hit_ratio(
        whole, lambda user, item: matched(users[user], items[item]) + 0.001 * popular[item]
    )
    popularity = hit_ratio(whole, lambda user, item: popular[item])

    assert oracle > 0.6
    assert oracle > 2 * popularity


def test_the_choices_of_other_users_help_too(whole):
    """Item-to-item cosine of the training pairs: a collaborative signal without any content."""
    met = sequences(whole)
    popular = trained_popularity(whole)
    takers = defaultdict(set)
    for user, items in met.items():
        for item in items[:-1]:
            takers[item].add(user)

    def score(user: str, item: str) -> float:
        shared = (
            len((takers[item] & takers[other]) - {user})
            / (1 + len(takers[item])) ** 0.5
            / (1 + len(takers[other])) ** 0.5
            for other in met[user][:-1]
        )
        return sum(shared)

    collaborative = hit_ratio(whole, score)
    popularity = hit_ratio(whole, lambda user, item: popular[item])

    assert collaborative > 1.2 * popularity


class Shown(NamedTuple):
    catalogue: Catalogue
    users: Users
    exposures: Exposures


@pytest.fixture(scope="module")
def shown() -> Shown:
    """Many users before a large catalogue, so that chance correlations are small."""
    generator = np.random.default_rng(7)
    catalogue = draw_catalogue(3000, generator, broken=False)
    users = draw_users(0, 4000, draw_tastes(generator), generator)
    table = exposure_table(catalogue)
    return Shown(catalogue, users, draw_exposures(users, catalogue, table, generator))


def take_rates(shown: Shown, name: str) -> np.ndarray:
    """P(taken | shown, value) for each value of a factor."""
    exposures = shown.exposures
    value = shown.catalogue.codes[name][exposures.item][exposures.fresh].astype(np.int64)
    taken = exposures.chosen[exposures.fresh]
    return np.bincount(value, taken) / np.bincount(value)


@pytest.mark.parametrize("name", NUISANCES)
def test_a_nuisance_factor_does_not_influence_choices_among_the_shown_items(shown, name):
    rates = take_rates(shown, name)

    assert rates.max() / rates.min() < 1.15


@pytest.mark.parametrize("place", range(len(PREFERENCES)), ids=PREFERENCES)
def test_a_preference_factor_influences_the_choices_of_users_who_care(shown, place):
    exposures, users = shown.exposures, shown.users
    value = shown.catalogue.codes[PREFERENCES[place]][exposures.item]
    liked = (value[:, :, None] == users.preferred[:, None, place]).any(axis=2)
    ratios = {}
    for cares in (True, False):
        rows = (users.cares[:, place] == cares)[:, None] & exposures.fresh
        ratios[cares] = (
            exposures.chosen[rows & liked].mean() / exposures.chosen[rows & ~liked].mean()
        )

    assert ratios[True] > 4
    assert 0.85 < ratios[False] < 1.18


def test_groups_are_shown_their_background_more_often_and_so_take_it_more_often(shown):
    """The spurious correlation: no cause of the choice, and yet over-represented in it."""
    exposures = shown.exposures
    background = shown.catalogue.codes["background"][exposures.item]
    for group in range(N_GROUPS):
        rows = (shown.users.group == group)[:, None] & exposures.chosen
        share = (background[rows] == group).mean()
        strangers = (shown.users.group != group)[:, None] & exposures.chosen

        assert share > 1.7 * (background[strangers] == group).mean()


def test_no_user_is_shown_or_chooses_an_item_twice(shown):
    exposures = shown.exposures
    for row in range(200):
        fresh = exposures.item[row][exposures.fresh[row]]

        assert len(fresh) == len(set(fresh.tolist()))
        assert exposures.chosen[row].sum() == shown.users.n_interactions[row]
        assert (exposures.fresh[row] | ~exposures.chosen[row]).all()


def test_every_draw_is_an_item_also_at_the_end_of_an_environment(shown):
    exposures = shown.exposures

    assert exposures.item.min() >= 0
    assert exposures.item.max() < shown.catalogue.n_items
    assert (exposures.day >= shown.users.start[:, None]).all()
    assert exposures.day.max() < 730


def test_ratings_follow_the_matches(whole):
    users = {row["reviewerID"]: row for row in whole.users.to_dicts()}
    items = {row["asin"]: row for row in whole.items.to_dicts()}
    stars = defaultdict(list)
    for row in whole.reviews:
        stars[matched(users[row["reviewerID"]], items[row["asin"]])].append(row["overall"])
    mean = {matches: np.mean(values) for matches, values in stars.items()}

    assert mean[0] < mean[1] < mean[2]
    assert np.mean([row["overall"] >= 4 for row in whole.reviews]) > 0.75
