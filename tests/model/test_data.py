import pytest
import torch

from model.data import Interactions


def test_membership_is_that_of_the_pairs_also_when_they_repeat():
    pairs = Interactions(
        torch.tensor([1, 0, 1, 1]), torch.tensor([2, 0, 0, 2]), n_users=3, n_items=4
    )

    found = [
        [pairs.contains(torch.tensor(u), torch.tensor(i)).item() for i in range(4)]
        for u in range(3)
    ]

    assert found == [[True, False, False, False], [True, False, True, False], [False] * 4]
    assert len(pairs) == 4
    assert pairs.counts.tolist() == [1, 3, 0]
    assert [t.tolist() for t in pairs.unique_pairs] == [[0, 1, 1], [0, 0, 2]]


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [([], [], "at least one"), ([0, 5], [0, 1], "users in"), ([0, 0], [0, 1], "all 2 items")],
)
def test_impossible_pairs_are_refused(users, items, message):
    with pytest.raises(ValueError, match=message):
        Interactions(
            torch.tensor(users, dtype=torch.long),
            torch.tensor(items, dtype=torch.long),
            n_users=2,
            n_items=2,
        )
