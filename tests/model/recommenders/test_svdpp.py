import math

import pytest
import torch
import toy

from model.data import Batch, Interactions
from model.recommenders import build
from model.recommenders.svdpp import SVDPP
from model.sampler import user_uniform

SETTINGS = {"dim": toy.DIM, "l2": 0.1, "exclude_target": False}

# User 0 has items 0 (twice) and 2, user 1 has item 1 alone, user 2 has nothing.
PAIRS = Interactions(
    torch.tensor([0, 0, 0, 1]), torch.tensor([0, 2, 0, 1]), n_users=3, n_items=4
)
HISTORY = {0: [0, 2], 1: [1], 2: []}
TRIPLES = Batch(*torch.tensor([[0, 1], [2, 1], [1, 3], [3, 0]]))


def make(pairs=PAIRS, seed=1, **changes):
    return SVDPP(pairs, {}, generator=toy.generator(seed), **(SETTINGS | changes))


def with_biases(model):
    with torch.no_grad():
        model.bias.copy_(torch.randn(model.bias.shape, generator=toy.generator(7)))
    return model


def score_by_hand(model, user, item, history):
    x = model.users[user].clone()
    for j in history:
        x += model.implicit[j] / math.sqrt(len(history))
    return float(model.bias[item] + model.items[item] @ x)


def test_without_implicit_vectors_it_is_bprmf():
    bprmf = build(
        "bprmf", toy.interactions(), {}, dim=toy.DIM, l2=0.1, generator=toy.generator()
    )
    model = make(toy.interactions())
    torch.nn.init.zeros_(model.implicit)
    batch = next(user_uniform(toy.interactions(), 16, toy.generator()))
    everyone = torch.arange(toy.N_USERS)

    torch.testing.assert_close(model.scorer()(everyone), bprmf.scorer()(everyone))
    torch.testing.assert_close(model.loss(batch), bprmf.loss(batch))
    model.loss(batch).backward()
    assert model.implicit.grad.isfinite().all()


@torch.no_grad()
def test_the_score_is_koren_s_with_distinct_items():
    model = with_biases(make())
    expected = [[score_by_hand(model, u, i, HISTORY[u]) for i in range(4)] for u in range(3)]

    torch.testing.assert_close(model.scorer()(torch.arange(3)), torch.tensor(expected))


@pytest.mark.parametrize("exclude_target", [False, True])
@torch.no_grad()
def test_the_loss_is_the_formula(exclude_target):
    """Only the positive's score leaves the positive out; user 1 has nothing else."""
    model = with_biases(make(exclude_target=exclude_target))
    total = 0.0
    for u, i, j in [(0, 2, 1), (1, 1, 3)]:
        history = HISTORY[u]
        seen = [k for k in history if k != i] if exclude_target else history
        difference = score_by_hand(model, u, i, seen) - score_by_hand(model, u, j, history)
        squares = [model.implicit[k].square().sum() for k in history]
        norms = model.users[u].square().sum() + model.items[[i, j]].square().sum()
        norms += model.bias[[i, j]].square().sum() + sum(squares) / len(squares)
        total += math.log1p(math.exp(-difference)) + 0.1 / 2 * float(norms)

    assert model.loss(TRIPLES).item() == pytest.approx(total / 2, rel=1e-5)


def test_a_target_that_is_left_out_moves_no_implicit_vector():
    """User 1's only item is the target: y_1 is then in the negative's score alone."""
    model = make(exclude_target=True, l2=0.0)
    with torch.no_grad():
        model.items[3] = 0.0  # the negative of user 1
    model.loss(Batch(*(x[1:] for x in vars(TRIPLES).values()))).backward()

    assert not model.implicit.grad.any()
