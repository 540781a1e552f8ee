"""The slice of each target, and its numbers; the command is run in test_compare.py."""

import numpy as np
import polars as pl
import pytest

from pipeline.comparison import user_slices
from pipeline.tables import schema as s

# Items by their number of users: 0 has 4; 1 and 2 have 2 each; 3, 4 and 5 have 1; 6 has none.
PAIRS = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (0, 2), (2, 2), (0, 3), (0, 4), (3, 5)]
COLUMNS = {s.USER: pl.Int32, s.ITEM: pl.Int32}


def table(rows):
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def interactions(rows):
    return table(rows).with_columns(pl.lit(None, pl.Int64).alias(s.TIME))


def ranks(rows):
    full = [(user, item, rank, rank, 7) for user, item, rank in rows]
    return pl.DataFrame(full, schema=s.RANKS, orient="row")


def test_popularity_is_by_thirds_of_the_pairs_and_equal_counts_share_a_slice():
    """11 pairs: 4 are of item 0; items 1 and 2 begin at 4 / 11, items 3 to 5 at 8 / 11."""
    targets = table([(user, item) for user, item in enumerate(range(7))])

    slices = user_slices.popularity(targets, table(PAIRS))

    assert slices.to_list() == ["head", "mid", "mid", "tail", "tail", "tail", "cold"]


def test_items_of_one_popularity_are_all_head():
    pairs = table([(0, 0), (1, 1), (2, 2)])

    assert user_slices.popularity(pairs, pairs).to_list() == ["head"] * 3


def test_activity_counts_the_users_pairs_in_classes():
    sizes = {0: 0, 1: 4, 2: 5, 3: 9, 4: 10, 5: 49, 6: 50, 7: 300}
    pairs = table([(user, item) for user, n in sizes.items() for item in range(n)])

    slices = user_slices.activity(table([(user, 0) for user in sizes]), pairs)

    assert slices.to_list() == [
        "0–4", "0–4", "5–9", "5–9", "10–19", "20–49", "50+", "50+",
    ]  # fmt: skip


def test_a_target_recurs_when_its_user_has_it_in_training():
    targets = table([(0, 3), (1, 3), (2, 6)])

    assert user_slices.recurring(targets, table(PAIRS)).to_list() == ["yes", "no", "no"]


def test_training_pairs_are_those_that_every_model_learned_from():
    """A published split lists its validation items in train."""
    train, validation = interactions([(0, 1), (0, 1), (0, 2)]), interactions([(0, 2), (1, 3)])

    refit, without = (
        user_slices.learned_from(train, validation, trained_on)
        for trained_on in (["train and validation"] * 2, ["train and validation", "train"])
    )

    assert (refit[0], refit[1].rows()) == ("train and validation", [(0, 1), (0, 2), (1, 3)])
    assert (without[0], without[1].rows()) == ("train", [(0, 1)])


TEST = [(0, 6, 0), (1, 2, 20), (2, 1, 9), (3, 1, 0)]
PARTS = {
    s.TRAIN: interactions(PAIRS),
    s.VALIDATION: interactions([]),
    s.TEST: interactions([row[:2] for row in TEST]),
}
PRESENT = {"visual": np.array([True, False, True, True, True, True, True])}


def made():
    models = {"a": ranks(TEST), "b": ranks([(u, i, 0) for u, i, _ in TEST])}
    return user_slices.table(models, PARTS, ["train"], PRESENT, seed=3)


def test_every_partition_has_every_user_once_and_every_slice_its_numbers():
    partitions = made()["partitions"]

    assert list(partitions) == ["activity", "popularity", "recurs", "has visual"]
    for partition in partitions.values():
        assert sum(part["n_users"] for part in partition["slices"]) == 4
    cold = partitions["popularity"]["slices"][3]
    assert (cold["name"], cold["n_users"]) == ("cold", 1)
    assert cold["models"]["a"]["sampled"]["hr@10"]["value"] == 1.0
    present, absent = partitions["has visual"]["slices"]
    assert (present["n_users"], absent["n_users"]) == (2, 2)
    assert present["models"]["a"]["full"]["hr@10"]["value"] == 0.5
    assert absent["models"]["a"]["sampled"]["ndcg@10"]["value"] == pytest.approx(
        (1 / np.log2(11) + 1) / 2
    )


def test_equal_values_have_no_interval_and_others_have():
    present = made()["partitions"]["has visual"]["slices"][0]["models"]

    assert present["b"]["sampled"]["hr@10"] == {"value": 1.0, "low": None, "high": None}
    assert present["a"]["sampled"]["hr@10"] == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_a_slice_without_users_is_there_and_has_no_models():
    head = made()["partitions"]["popularity"]["slices"][0]

    assert (head["name"], head["n_users"], head["models"]) == ("head", 0, {})


def test_the_same_seed_gives_the_same_file():
    assert made() == made()
