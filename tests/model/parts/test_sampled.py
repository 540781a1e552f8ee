import pytest
import torch
import toy

from model.parts.sampled import sampled_scores, spread

USERS, ITEMS = torch.randn(2, 7, 5, generator=toy.generator(), dtype=torch.float64)
# The second user asks for an item twice, nobody for item 3, columns are in no order.
INDEX = torch.tensor(
    [[6, 0, 2], [4, 1, 4], [5, 0, 2], [1, 2, 0], [0, 1, 6], [2, 1, 0], [6, 5, 4]]
)


def gathered(users, items, index):
    return (users[:, None] * items[index]).sum(2)


def test_scores_are_those_of_gathered_items():
    scores = sampled_scores(USERS, ITEMS, INDEX)

    torch.testing.assert_close(scores, gathered(USERS, ITEMS, INDEX))


def test_more_draws_than_items():
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(4, 3, generator=generator, requires_grad=True)
    items = torch.randn(5, 3, generator=generator, requires_grad=True)
    index = torch.randint(5, (4, 12), generator=generator)

    scores = sampled_scores(users, items, index)

    expected = (users[:, None] * items[index]).sum(2)
    torch.testing.assert_close(scores, expected)
    weights = torch.randn(4, 12, generator=generator)
    gradients = torch.autograd.grad((scores * weights).sum(), (users, items))
    wanted = torch.autograd.grad((expected * weights).sum(), (users, items))
    torch.testing.assert_close(gradients, wanted)


@pytest.mark.parametrize("fixed", ["users", "items", None])
def test_gradients_are_those_of_gathered_items(fixed):
    users, items = USERS.clone(), ITEMS.clone()
    learnt = [
        t.requires_grad_() for n, t in {"users": users, "items": items}.items() if n != fixed
    ]
    weights = torch.randn(7, 3, generator=toy.generator(5), dtype=torch.float64)

    ours = torch.autograd.grad((weights * sampled_scores(users, items, INDEX)).sum(), learnt)
    theirs = torch.autograd.grad((weights * gathered(users, items, INDEX)).sum(), learnt)

    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_spread_adds_each_user_to_the_rows_of_its_items():
    values = torch.randn(7, 3, generator=toy.generator(5), dtype=torch.float64)
    expected = torch.zeros(7, 5, dtype=torch.float64)
    for b in range(7):
        for k in range(3):
            expected[INDEX[b, k]] += values[b, k] * USERS[b]

    torch.testing.assert_close(spread(values, USERS, INDEX, 7), expected)


def test_spread_differentiates_in_the_values():
    values = torch.randn(7, 3, generator=toy.generator(5), dtype=torch.float64).requires_grad_()

    assert torch.autograd.gradcheck(lambda v: spread(v, USERS, INDEX, 7), values)


def test_a_gradient_that_was_broadcast_is_taken():
    """The gradient of a sum has no storage of its own."""
    users = USERS.clone().requires_grad_()
    sampled_scores(users, ITEMS, INDEX).sum().backward()

    torch.testing.assert_close(users.grad, ITEMS[INDEX].sum(1))
