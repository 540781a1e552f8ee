"""Metrics from tables, against those from tensors: two computations of one definition."""

import numpy as np
import polars as pl
import pytest
import torch

from model.measures import MEASURES
from model.metrics import UserRanks
from pipeline.tables import rank_metrics
from pipeline.tables import schema as s

METRICS = [
    (p, f"{m}@{k}") for p, measures in MEASURES.items() for m in measures for k in (1, 5)
]


def ranks(seed):
    """One to six held-out items of each of 40 users, whose full ranks differ."""
    drawn = np.random.default_rng(seed)
    rows = [
        (user, item, int(drawn.integers(12)), int(rank), seed)
        for user in range(40)
        for item, rank in enumerate(drawn.permutation(12)[: 1 + user % 6])
    ]
    return pl.DataFrame(rows, schema=s.RANKS, orient="row").sample(
        fraction=1.0, shuffle=True, seed=1
    )


def from_tensors(table, protocol, name, of="user"):
    columns = (table[c].to_torch().long() for c in (rank_metrics.RANK[protocol], of))
    return UserRanks.of(protocol, *columns).per_user(name).tolist()


def test_the_metrics_of_users_are_those_of_the_stage_evaluate():
    table = ranks(3)

    of_users = rank_metrics.of_groups(table, METRICS)

    assert of_users["user"].to_list() == list(range(40))
    for protocol, name in METRICS:
        values = of_users[rank_metrics.title(protocol, name)].to_list()
        expected = from_tensors(table, protocol, name)
        assert values == pytest.approx(expected)
        mean = rank_metrics.means(table, protocol, [name])[name]
        assert mean == pytest.approx(sum(expected) / 40)


def test_seeds_are_averaged_after_the_metric():
    two = [ranks(3), ranks(4)]

    values = rank_metrics.of_groups(pl.concat(two), METRICS)

    for protocol, name in METRICS:
        first, second = (torch.tensor(from_tensors(table, protocol, name)) for table in two)
        found = values[rank_metrics.title(protocol, name)].to_list()
        assert found == pytest.approx(((first + second) / 2).tolist())


def test_a_held_out_item_by_itself_is_its_users_only_one():
    table = ranks(3).sort("user", "item").with_row_index("row")

    values = rank_metrics.of_groups(table.select(list(s.RANKS)), METRICS, rank_metrics.TARGETS)

    for protocol, name in METRICS:
        found = values[rank_metrics.title(protocol, name)].to_list()
        assert found == pytest.approx(from_tensors(table, protocol, name, of="row"))


def test_a_metric_that_the_protocol_lacks_is_refused():
    with pytest.raises(ValueError, match="in the sampled ranking, got 'map'"):
        rank_metrics.means(ranks(3), "sampled", ["map@5"])
