"""The places of items on the map, and the choice of queries."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline.explore import item_map


@pytest.fixture(autouse=True)
def one_thread():
    """As in the stage."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def three_groups():
    """60 points in 3 far groups, and whose group each is."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 20)
    return 50 * np.eye(3, 8)[group] + rng.normal(size=(60, 8)), group


def test_the_members_of_a_group_are_close_together(three_groups):
    points, group = three_groups

    places = item_map.positions(points, seed=5)

    assert places.min(axis=0).tolist() == [0, 0]
    assert places.max(axis=0).tolist() == [1, 1]
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (group[distance.argmin(axis=1)] == group).all()


def test_the_same_seed_gives_the_same_map(three_groups):
    points, _ = three_groups

    once, again = (item_map.positions(points, seed=5) for _ in range(2))

    assert once.tolist() == again.tolist()
    assert item_map.spread_rows(points, 6, 5) == item_map.spread_rows(points, 6, 5)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[3.0, 4.0, 5.0]], [[0.5, 0.5]]),
        ([[1.0], [3.0], [2.0]], [[0, 0.5], [1, 0.5], [0.5, 0.5]]),
        ([[2.0, 2.0]] * 9, [[0.5, 0.5]] * 9),
    ],
    ids=["one item", "one component", "all equal"],
)
def test_few_different_items_have_places_too(points, expected):
    assert item_map.positions(np.array(points), seed=1).tolist() == expected


def test_five_items_and_a_copy_have_a_map():
    places = item_map.positions(np.eye(5)[[0, 1, 2, 3, 4, 4]], seed=1)

    assert np.isfinite(places).all()


def test_every_group_has_a_query(three_groups):
    points, group = three_groups

    rows = item_map.spread_rows(points, 6, seed=5)

    assert len(set(rows)) == 6
    assert set(group[rows]) == {0, 1, 2}


def test_no_item_is_a_query_twice():
    assert len(item_map.spread_rows(np.eye(3)[[0, 1, 2, 0, 1, 2]], 12, seed=5)) == 3
