import pytest
import torch
import toy
from by_hand import loss_by_hand

from model.recommenders import build


def test_the_loss_is_the_formula():
    model = build("bprmf", toy.interactions(), {}, dim=4, l2=0.1, generator=toy.generator())
    batch, expected = loss_by_hand(model.users, model.items, model.users, model.items, l2=0.1)

    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_tables_start_inside_xaviers_bound():
    model = build("bprmf", toy.interactions(), {}, dim=4, l2=0.0, generator=toy.generator())

    assert model.users.abs().max() <= (6 / (30 + 4)) ** 0.5
    assert torch.count_nonzero(model.items) == model.items.numel()
