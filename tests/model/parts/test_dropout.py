import torch
import toy

from model.parts.dropout import drop


def test_a_share_becomes_zero_and_the_mean_stays():
    rows = torch.ones(1000, 50)

    dropped = drop(rows, 0.2, toy.generator())

    assert set(dropped.unique().tolist()) == {0.0, 1.25}
    assert abs((dropped == 0).float().mean().item() - 0.2) < 0.01
    assert torch.equal(dropped, drop(rows, 0.2, toy.generator()))


def test_nothing_is_drawn_for_a_share_of_zero():
    generator = toy.generator()
    before = generator.get_state()
    rows = torch.ones(3, 2)

    assert drop(rows, 0.0, generator) is rows
    assert torch.equal(generator.get_state(), before)
