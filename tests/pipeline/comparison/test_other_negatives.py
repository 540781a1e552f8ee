"""Moments over lists of negatives, compared with lists that are really drawn."""

import math

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import hypergeom

from model.data import Interactions
from model.ranking import inner_product
from model.ranking import ranks as ranked
from pipeline import split
from pipeline.comparison import other_negatives, user_metrics
from pipeline.job.errors import SchemaError
from pipeline.learning.dataset import tensor
from pipeline.tables import rank_metrics
from pipeline.tables import schema as s

N_USERS, N_ITEMS, DRAWS = 40, 600, 300
USERS = pl.DataFrame([(u, f"u{u}") for u in range(N_USERS)], s.USERS, orient="row")


@pytest.fixture(scope="module")
def parts():
    """Like a published split: the validation items are in train, and some targets recur."""
    rows = [(u, (7 * u + 11 * k) % N_ITEMS, None) for u in range(N_USERS) for k in range(6)]
    train = pl.DataFrame(rows, schema=s.INTERACTIONS, orient="row")
    held = train.filter(pl.int_range(pl.len()) % 6 == 5)
    targets = [
        (u, rows[6 * u][1] if u < 4 else (7 * u + 90) % N_ITEMS, None) for u in range(N_USERS)
    ]
    test = pl.DataFrame(targets, schema=s.INTERACTIONS, orient="row")
    return {s.TRAIN: train, s.VALIDATION: held, s.TEST: test}


def tensors(parts):
    test, train = parts[s.TEST], parts[s.TRAIN]
    columns = (train[s.USER], train[s.ITEM], test[s.USER], test[s.ITEM])
    users, items, who, targets = map(tensor, columns)
    return Interactions(users, items, n_users=N_USERS, n_items=N_ITEMS), who, targets


def really_drawn(parts, n_negatives):
    """Return schema.RANKS under `DRAWS` other seeds of the candidates, by a random scorer."""
    generator = torch.Generator().manual_seed(1)
    vectors = [torch.randn(n, 4, generator=generator) for n in (N_USERS, N_ITEMS)]
    known, who, targets = tensors(parts)
    vectors[1][targets] += vectors[0] / 2
    tables = []
    for seed in range(DRAWS):
        drawn = split.candidates(parts, USERS, N_ITEMS, n_negatives, seed).filter(
            pl.col(s.PART) == s.TEST
        )
        negatives = tensor(drawn["negatives"])
        sampled, full = ranked(inner_product(*vectors), who, targets, negatives, known)
        columns = (who, targets, sampled, full, torch.full_like(who, seed))
        rows = {n: c.numpy() for n, c in zip(s.RANKS, columns, strict=True)}
        tables.append(pl.DataFrame(rows).cast(pl.Schema(s.RANKS)))
    return tables


@pytest.mark.parametrize("n_negatives", [99, 12])
def test_mean_and_standard_deviation_are_those_of_lists_really_drawn(parts, n_negatives):
    """By the stage `split`, for scores slightly better than random."""
    drawn = really_drawn(parts, n_negatives)
    opponents = other_negatives.opponents(parts, N_ITEMS)

    moments = other_negatives.expectation(drawn[0], opponents, n_negatives, "m")

    assert all(table["rank_full"].equals(drawn[0]["rank_full"]) for table in drawn)
    for name in user_metrics.names():
        values = [rank_metrics.means(table, "sampled", [name])[name] for table in drawn]
        sd = np.std(values, ddof=1)
        assert moments[name]["mean"] == pytest.approx(
            np.mean(values), abs=4 * sd / math.sqrt(DRAWS)
        )
        assert moments[name]["sd"] == pytest.approx(sd, rel=4 / math.sqrt(2 * DRAWS))
        assert sd > 0


def test_opponents_are_the_items_that_a_user_never_met(parts):
    """A held-out item that recurs in train is one item."""
    opponents = other_negatives.opponents(parts, N_ITEMS)

    assert opponents.filter(pl.col(s.USER) == 0)["opponents"].item() == N_ITEMS - 6
    assert opponents.filter(pl.col(s.USER) == 10)["opponents"].item() == N_ITEMS - 7


def test_probabilities_are_those_of_scipy():
    """Also where fewer than 99 opponents are below the target."""
    above, opponents, places = (
        np.array([0, 3, 70, 101, 9000]),
        np.array([99, 500, 120, 150, 12000]),
        np.arange(99),
    )

    chances = other_negatives.probabilities(above, opponents, 99, places)

    expected = hypergeom.pmf(places, opponents[:, None], above[:, None], 99)
    np.testing.assert_allclose(chances, expected, rtol=1e-8, atol=1e-12)


def test_a_target_above_all_is_found_on_every_list_and_one_below_all_on_none():
    mean, variance = other_negatives.moments(np.array([0, 500]), np.array([500, 500]), 99)

    assert mean.tolist() == [[1.0] * 4, [0.0] * 4]
    assert variance.tolist() == [[0.0] * 4] * 2


def test_one_item_above_is_drawn_as_often_as_expected():
    """Of 198 opponents half are drawn: rank 0 or 1, each in one list of two."""
    mean, variance = other_negatives.moments(np.array([1]), np.array([198]), 99)

    ndcg = user_metrics.names().index("ndcg@5")
    second = 1 / math.log2(3)
    assert mean[0, ndcg] == pytest.approx((1 + second) / 2)
    assert variance[0, ndcg] == pytest.approx(((1 - second) / 2) ** 2)


def test_ranks_of_another_split_are_refused(parts):
    opponents = other_negatives.opponents(parts, N_ITEMS)
    rows = pl.DataFrame([(0, 0, 0, N_ITEMS, 7)], schema=s.RANKS, orient="row")

    with pytest.raises(SchemaError, match=r"m/ranks.parquet: .*not of this split"):
        other_negatives.expectation(rows, opponents, 99, "m")
    with pytest.raises(SchemaError, match=r"m/ranks.parquet: .*not of this split"):
        other_negatives.expectation(
            rows.with_columns(pl.lit(99, pl.Int32).alias(s.USER)), opponents, 99, "m"
        )
