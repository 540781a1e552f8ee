import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from pipeline import evaluate, params, recommend, split, train, validate
from pipeline.comparison import protocol, user_metrics
from pipeline.interactions.splits import by_ratio, by_time, instants, midnight, ranked
from pipeline.job.errors import RawDataError
from pipeline.tables.io import read_json, read_metadata, write_json, write_parquet
from pipeline.tables.schema import INTERACTIONS, ITEMS, RAW_ITEMS, REVIEWS, USERS


def table(rows):
    return pl.DataFrame(rows, schema=INTERACTIONS, orient="row")


def rows(parts):
    return {name: part.rows() for name, part in parts.items()}


# --- a share of each user's history -------------------------------------------------------

SHARES = {
    5: (3, 1, 1),
    4: (4, 0, 0),
    10: (8, 1, 1),
    14: (12, 1, 1),
    15: (11, 2, 2),
    1: (1, 0, 0),
}


@pytest.mark.parametrize(("n", "sizes"), SHARES.items())
def test_shares_are_rounded_half_up(n, sizes):
    parts = by_ratio(table([(0, i, i) for i in range(n)]), [0.8, 0.1, 0.1])

    assert tuple(part.height for part in parts.values()) == sizes


def test_the_last_rows_are_held_out_in_their_order():
    """Times are equal: the order of the file decides."""
    parts = by_ratio(table([(0, i, 7) for i in (3, 1, 2, 0)]), [0.5, 0.25, 0.25])

    assert rows(parts) == {
        "train": [(0, 3, 7), (0, 1, 7)],
        "validation": [(0, 2, 7)],
        "test": [(0, 0, 7)],
    }


def test_a_user_without_a_remaining_row_stays_in_train():
    parts = by_ratio(table([(0, 0, 1), (1, 0, 1), (1, 1, 2)]), [0.2, 0.4, 0.4])

    assert rows(parts)["train"] == [(0, 0, 1), (1, 0, 1), (1, 1, 2)]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.sampled_from([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.45, 0.45], [0.98, 0.01, 0.01]]),
)
def test_every_interaction_is_in_one_part_and_train_has_every_user(sizes, shares):
    every = [(u, i, i) for u, n in enumerate(sizes) for i in range(n)]

    parts = by_ratio(table(every), shares)

    assert sorted(row for part in parts.values() for row in part.rows()) == every
    assert set(parts["train"]["user"]) == set(range(len(sizes)))
    for user in range(len(sizes)):
        times = [part.filter(pl.col("user") == user)["timestamp"] for part in parts.values()]
        assert pl.concat(times).is_sorted()


# --- a cut in time ------------------------------------------------------------------------


def names(n_users, n_items):
    """Return the tables of users and items, whose raw ids are u0, u1, ... and i0, i1, ..."""
    users = pl.DataFrame([(u, f"u{u}") for u in range(n_users)], USERS, orient="row")
    rows = [(i, f"i{i}", None, None, None) for i in range(n_items)]
    return users, pl.DataFrame(rows, ITEMS, orient="row")


TIMES = table([(0, 0, 1), (0, 1, 5), (0, 2, 9), (1, 0, 5), (1, 3, 6), (2, 1, 9), (2, 2, 10)])


def test_a_cut_belongs_to_the_later_part():
    assert rows(by_time(TIMES, 5, 9)) == {
        "train": [(0, 0, 1)],
        "validation": [(0, 1, 5), (1, 0, 5), (1, 3, 6)],
        "test": [(0, 2, 9), (2, 1, 9), (2, 2, 10)],
    }


def test_quantiles_are_times_of_the_data():
    assert instants(TIMES, [0.3, 0.7]) == (5, 9)
    assert instants(TIMES, [0.01, 0.999]) == (1, 10)


def test_users_that_are_not_in_train_are_not_ranked():
    shown = ranked(by_time(TIMES, 5, 9))

    assert shown["test"].rows() == [(0, 2, 9)]
    assert shown["validation"].rows() == [(0, 1, 5)]


def test_interactions_without_a_time_cannot_be_split_by_time():
    """The message has the raw ids."""
    some = table([(0, 0, 1), (3, 4, None)])
    how = params.TimeSplit(method="time", quantiles=[0.5, 0.6])

    with pytest.raises(
        RawDataError, match="got 1 without, the first of user 'u3' and item 'i4'"
    ):
        split.divided(some, how, *names(5, 5), 1)


@pytest.mark.parametrize("cut", [("2030-01-01", "2031-01-01"), ("1960-01-01", "1961-01-01")])
def test_an_empty_part_is_an_error_with_the_counts(cut):
    how = params.TimeSplit(method="time", validation_from=cut[0], test_from=cut[1])

    with pytest.raises(RawDataError, match=r"got none in .*'test': \d"):
        split.divided(TIMES, how, *names(3, 4), 1)


def test_days_begin_at_midnight_in_utc():
    assert midnight(date(1970, 1, 2)) == 86400


# --- through the stages -------------------------------------------------------------------

SIZE = {"candidates": 100}
N_USERS, N_ITEMS, DAY = 40, 130, 86400
METHODS = {
    "ratio": {"method": "ratio", "shares": [0.6, 0.2, 0.2]},
    "days": {"method": "time", "validation_from": "1970-01-11", "test_from": "1970-01-14"},
    "quantiles": {"method": "time", "quantiles": [0.6, 0.8]},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Interactions of users who come on one day each and stay for ten; the last come late."""
    monkeypatch.chdir(tmp_path)
    taken = [
        (u, (u * 3 + 11 * n) % N_ITEMS, (u % 12 + n) * DAY)
        for u in range(N_USERS)
        for n in range(10)
    ]
    write_parquet(table(taken), Path("processed/interactions.parquet"))
    users, items = names(N_USERS, N_ITEMS)
    write_parquet(users, Path("processed/users.parquet"))
    write_parquet(items, Path("processed/items.parquet"))
    raw = [(f"u{u}", f"i{i}", time, 5.0, None) for u, i, time in taken]
    write_parquet(pl.DataFrame(raw, REVIEWS, orient="row"), Path("interim/reviews.parquet"))
    write_parquet(items.select(list(RAW_ITEMS)), Path("interim/items.parquet"))
    write_json([], Path("raw/manifest.json"))
    write_json({"k_user": 1, "k_item": 1}, Path("processed/statistics.json"))

    def run(how):
        whole = yaml.safe_load((ROOT / "params.yaml").read_text())
        whole["split"] = how
        whole["train"] |= {"epochs": 2, "evaluate_every": 1}
        Path("params.yaml").write_text(yaml.safe_dump(whole))
        split.main(["sample", "interim", "processed"])

    return run


@pytest.mark.parametrize("how", METHODS.values(), ids=METHODS)
def test_a_model_is_trained_and_ranked_on_several_items_a_user(project, how):
    project(how)
    for stage in (train, evaluate, recommend):
        stage.main(["sample", "bprmf", "processed", "features", "results", "--threads", "1"])
    validate.main(["sample", "raw", "interim", "processed", "page"])

    metrics = read_json(Path("results/metrics.json"))
    ranks = pl.read_parquet("results/ranks.parquet")
    facts = json.loads(read_metadata(Path("processed/test.parquet"))["split"])
    assert metrics["split"] == facts
    assert metrics["n_targets"] == facts["test"]["targets"] == ranks.height
    assert ranks.height > metrics["n_users"]
    assert metrics["n_users"] == facts["test"]["users"] == ranks["user"].n_unique()
    hits = ranks.group_by("user").agg(
        (pl.col("rank_sampled") < 10).mean().alias("sampled"),
        (pl.col("rank_full") < 10).mean().alias("full"),
        pl.col("rank_full").n_unique().alias("places"),
        pl.len(),
    )
    assert metrics["sampled"]["hr@10"] == pytest.approx(hits["sampled"].mean())
    assert metrics["full"]["recall@10"] == pytest.approx(hits["full"].mean())
    assert hits["places"].equals(hits["len"].rename("places"))
    assert facts["test"]["users"] + facts["test"]["users_without_targets"] == N_USERS
    words = protocol.in_words(metrics)
    assert f"means over {metrics['n_users']} users with {ranks.height} test items" in words
    assert user_metrics.means(ranks).height == metrics["n_users"]


@pytest.mark.parametrize("how", METHODS.values(), ids=METHODS)
def test_each_target_has_negatives_that_the_user_never_met(project, how):
    project(how)

    drawn = pl.read_parquet("processed/candidates.parquet")
    met = pl.read_parquet("processed/interactions.parquet")
    for user, _, target, negatives in drawn.rows():
        met_items = set(met.filter(pl.col("user") == user)["item"])
        assert target in met_items
        assert not met_items & set(negatives)
    train_users = set(pl.read_parquet("processed/train.parquet")["user"])
    assert set(drawn["user"]) <= train_users


def test_a_cut_in_time_leaves_nothing_of_the_future_in_train(project):
    project(METHODS["quantiles"])

    parts = [pl.read_parquet(f"processed/{n}.parquet") for n in ("train", "validation", "test")]
    facts = json.loads(read_metadata(Path("processed/train.parquet"))["split"])
    assert parts[0]["timestamp"].max() < parts[1]["timestamp"].min()
    assert parts[1]["timestamp"].max() < parts[2]["timestamp"].min()
    assert facts["test_from"].startswith("1970-01-")
    assert facts["test"]["targets_of_unknown_users"] > 0


def test_the_same_settings_make_the_same_bytes(project):
    def made():
        return [path.read_bytes() for path in sorted(Path("processed").glob("*.parquet"))]

    project(METHODS["ratio"])
    first = made()
    project(METHODS["ratio"])

    assert made() == first


def test_leave_one_out_has_no_metadata(project):
    project({"method": "leave_one_out"})

    assert "split" not in read_metadata(Path("processed/test.parquet"))
    assert "Leave-one-out over 7 users" in protocol.in_words(
        {"n_users": 7, "sampled": SIZE, "full": SIZE}
    )


def test_ratios_and_times_are_described_in_words():
    about = {
        "targets": 5,
        "users": 3,
        "users_without_targets": 1,
        "targets_of_unknown_users": 2,
    }
    metrics = {"n_users": 3, "sampled": SIZE, "full": SIZE}
    ratio = {"method": "ratio", "shares": [0.8, 0.1, 0.1], "test": about}
    time = {"method": "time", "validation_from": "2014", "test_from": "2015", "test": about}

    assert "The last 0.1 of each user's interactions" in protocol.in_words(
        metrics | {"split": ratio}
    )
    assert "from 2015 on, and those from 2014" in protocol.in_words(metrics | {"split": time})
