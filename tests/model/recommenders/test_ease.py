import numpy as np
import pytest
import torch
import toy
from torch.nn.functional import normalize

from model.data import Interactions
from model.parts import linear_items
from model.recommenders.ease import EASE


def make(pairs=None, features=None, **changes):
    settings = {"l2": 3.0, "content_weight": 0.0} | changes
    return EASE(
        pairs or toy.interactions(), features or {}, generator=toy.generator(), **settings
    )


def matrix(pairs):
    X = np.zeros((pairs.n_users, pairs.n_items))
    X[pairs.users.numpy(), pairs.items.numpy()] = 1.0
    return X


def closed_form(users_by_items, l2):
    """Steck's Eq. 8."""
    identity = np.eye(users_by_items.shape[1])
    P = np.linalg.inv(users_by_items.T @ users_by_items + l2 * identity)
    return identity - P @ np.diag(1 / np.diag(P))


def scores(model, n_users=30):
    return model.scorer()(torch.arange(n_users)).numpy()


@pytest.mark.parametrize("l2", [0.1, 3.0, 500.0])
def test_scores_are_those_of_the_closed_form(l2):
    pairs = toy.interactions()
    X = matrix(pairs)

    found = make(pairs, l2=l2)

    B = closed_form(X, l2)
    np.testing.assert_allclose(found.linear.weights.numpy(), B, atol=1e-6)
    np.testing.assert_allclose(scores(found), X @ B, atol=1e-5)


def test_content_is_further_users():
    """Rows of X are the columns of the joined unit features, times the root of the weight."""
    pairs, features = toy.interactions(), toy.features()
    unit = normalize(torch.cat([normalize(f) for f in features.values()], dim=1)).numpy()
    X = matrix(pairs)
    stacked = np.concatenate([X, 2.0**0.5 * unit.T])

    found = make(pairs, features, content_weight=2.0)

    np.testing.assert_allclose(scores(found), X @ closed_form(stacked, 3.0), atol=1e-5)


def test_no_other_matrix_with_a_zero_diagonal_has_a_smaller_error():
    pairs = toy.interactions()
    X, B = matrix(pairs), make(pairs).linear.weights.double().numpy()
    random = np.random.default_rng(0)

    def error(weights):
        return ((X - X @ weights) ** 2).sum() + 3.0 * (weights**2).sum()

    assert (np.diag(B) == 0.0).all()
    for _ in range(50):
        change = 0.01 * random.normal(size=B.shape)
        np.fill_diagonal(change, 0.0)
        assert error(B) < error(B + change)


def test_repeated_pairs_count_once_and_users_without_items_score_0():
    pairs = Interactions(
        torch.tensor([0, 0, 0, 2]), torch.tensor([0, 1, 1, 1]), n_users=4, n_items=3
    )

    found = scores(make(pairs), 4)

    np.testing.assert_allclose(
        found, matrix(pairs) @ closed_form(matrix(pairs), 3.0), atol=1e-6
    )
    assert not found[[1, 3]].any()


def test_users_may_be_scored_in_any_order():
    asked = torch.tensor([7, 2, 7])
    model = make()

    np.testing.assert_array_equal(model.scorer()(asked).numpy(), scores(model)[asked.numpy()])


def test_blocks_of_the_matrix_do_not_change_it(monkeypatch):
    whole = make(features=toy.features(), content_weight=2.0)
    monkeypatch.setattr(linear_items, "ROWS", 7)

    blocks = make(features=toy.features(), content_weight=2.0)

    torch.testing.assert_close(blocks.linear.weights, whole.linear.weights)


def test_a_catalogue_that_does_not_fit_in_memory_is_refused(monkeypatch):
    monkeypatch.setattr(linear_items, "MOST_ITEMS", 19)

    with pytest.raises(ValueError, match=r"expected at most 19 items.* got 20 .*kcore.k_item"):
        make()


def test_a_weight_of_content_without_features_is_refused():
    with pytest.raises(ValueError, match="expected features for a content_weight above 0"):
        make(content_weight=1.0)


def test_there_is_nothing_to_learn():
    assert not make().learns
    assert make().state_dict() == {}
