"""Lengths, cosines, copies and components, against the plain forms."""

import numpy as np
import pytest

from pipeline.explore import neighbours as n


@pytest.fixture
def feature():
    """2500 vectors, so several blocks; every 50th is absent."""
    vectors = np.random.default_rng(3).normal(size=(2500, 7)).astype(np.float32)
    vectors[::50] = 0
    return vectors


def test_the_neighbours_are_those_of_brute_force(feature):
    queries = np.array([1, 1024, 2499])
    wide = feature.astype(np.float64)

    rows = n.nearest(feature, n.lengths(feature), queries, 8)

    for query, row in zip(queries, rows, strict=True):
        cosine = {
            item: wide[item] @ wide[query]
            / np.linalg.norm(wide[item]) / np.linalg.norm(wide[query])
            for item in range(len(wide))
            if item != query and wide[item].any()
        }  # fmt: skip
        expected = sorted(cosine, key=lambda item: -cosine[item])[:8]
        assert [near.item for near in row] == expected
        assert [near.cosine for near in row] == pytest.approx(
            [cosine[item] for item in expected], abs=1e-6
        )
        assert not any(near.same for near in row)


def test_copies_are_marked_and_ties_are_in_the_order_of_the_items():
    feature = np.float32([[3, 4], [6, 8], [3, 4], [0, 0], [4, -3]])

    (row,) = n.nearest(feature, n.lengths(feature), np.array([2]), 8)

    assert row == [
        n.Neighbour(0, 1.0, True),
        n.Neighbour(1, 1.0, False),
        n.Neighbour(4, 0.0, False),
    ]
    assert n.lengths(feature).tolist() == [5, 10, 5, 0, 5]


def test_a_length_does_not_overflow():
    feature = np.float32([[3e38, 3e38], [3e38, 3e38]])

    (row,) = n.nearest(feature, n.lengths(feature), np.array([0]), 1)

    assert row == [n.Neighbour(1, 1.0, True)]


def test_items_that_share_a_vector_are_counted():
    feature = np.float32([[1, 0], [1, -0.0], [2, 0], [5, 5], [1, 0], [2, 0]])

    assert n.copies(feature, np.arange(6)) == (5, 3)
    assert n.copies(feature, np.array([0, 2, 3])) == (0, 0)


@pytest.mark.parametrize("shape", [(30, 5), (5, 30), (1, 4)])
def test_components_are_those_of_the_singular_value_decomposition(shape):
    rows = np.random.default_rng(1).normal(size=shape)

    coordinates, shares = n.principal(rows)

    left, singular, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    assert coordinates.shape == (shape[0], min(shape))
    np.testing.assert_allclose(np.abs(coordinates), np.abs(left * singular), atol=1e-6)
    total = np.square(singular).sum() or 1
    np.testing.assert_allclose(shares, np.square(singular) / total, atol=1e-9)
    assert (coordinates.max(axis=0) >= -coordinates.min(axis=0) - 1e-12).all()
