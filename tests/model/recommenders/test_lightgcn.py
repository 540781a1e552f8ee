import pytest
import torch
import toy
from by_hand import loss_by_hand

from model.recommenders import build


def make(name="lightgcn", **changes):
    settings = {"dim": 4, "l2": 0.1, "layers": 3} | changes
    return build(name, toy.interactions(), {}, generator=toy.generator(), **settings)


def test_no_layers_is_bprmf():
    bprmf = build("bprmf", toy.interactions(), {}, dim=4, l2=0.1, generator=toy.generator())
    everyone = torch.arange(30)

    torch.testing.assert_close(make(layers=0).scorer()(everyone), bprmf.scorer()(everyone))


def test_embeddings_are_the_mean_of_the_layers():
    model = make()
    layer = torch.cat([model.users, model.items])
    matrix = model.graph.matrix.to_dense()
    layers = [torch.linalg.matrix_power(matrix, power) @ layer for power in range(4)]

    torch.testing.assert_close(torch.cat(model.embeddings()), torch.stack(layers).mean(0))


def test_the_penalty_is_on_layer_0():
    model = make()
    batch, expected = loss_by_hand(*model.embeddings(), model.users, model.items, l2=0.1)

    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)
