import pytest
import torch
import toy
from by_hand import loss_by_hand

from model.data import Batch, Interactions
from model.fit import Progress, Training
from model.recommenders import build
from model.recommenders.ngcf import NGCF
from model.sampler import user_uniform

SETTINGS = {"dim": toy.DIM, "layers": 2, "l2": 0.1, "variant": "official", "dropout": 0.1}


def make(pairs=None, seed=1, **changes):
    pairs = toy.interactions() if pairs is None else pairs
    return NGCF(pairs, {}, generator=toy.generator(seed), **(SETTINGS | changes))


def with_biases(model):
    """Move what starts at zero, so that a term left out would show."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=toy.generator(7)))
    return model


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def neighbours(pairs, node):
    users, items = pairs.unique_pairs
    near = (pairs.n_users + items)[users == node], users[pairs.n_users + items == node]
    return torch.cat(near).tolist()


def official(pairs, layer, node, w1, w2):
    """Node by node: the mean over itself and its neighbours, two activations."""
    near = [node, *neighbours(pairs, node)]
    mean = sum(layer[n] for n in near) / len(near)
    return leaky(w1.weight @ mean + w1.bias) + leaky(w2.weight @ (mean * layer[node]) + w2.bias)


def paper(pairs, layer, node, w1, w2):
    """NGCF Eq. 3, 4 and 7: messages with p_ui = 1 / sqrt(|N_u| |N_i|) and a self message."""
    total = w1.weight @ layer[node]
    for other in neighbours(pairs, node):
        p = (len(neighbours(pairs, node)) * len(neighbours(pairs, other))) ** -0.5
        message = w1.weight @ layer[other] + w2.weight @ (layer[other] * layer[node])
        total = total + p * message
    return leaky(total)


def final_by_hand(model, pairs, formula):
    layer = torch.cat([model.users, model.items])
    parts = [layer]
    for w1, w2 in zip(model.sums, model.affinities, strict=True):
        layer = torch.stack([formula(pairs, layer, n, w1, w2) for n in range(len(layer))])
        parts.append(layer / layer.norm(dim=1, keepdim=True))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("formula", [official, paper])
@torch.no_grad()
def test_embeddings_are_the_formula_written_node_by_node(formula):
    pairs = toy.interactions()
    model = with_biases(make(variant=formula.__name__)).eval()
    expected = final_by_hand(model, pairs, formula)
    rows = torch.tensor([3, 49, 0])

    torch.testing.assert_close(model.embeddings(torch.arange(50)), expected)
    torch.testing.assert_close(model.embeddings(rows), expected[rows])
    torch.testing.assert_close(
        model.scorer()(torch.arange(30)), expected[:30] @ expected[30:].T
    )


@pytest.mark.parametrize("variant", ["official", "paper"])
def test_no_layers_is_bprmf(variant):
    bprmf = build(
        "bprmf", toy.interactions(), {}, dim=toy.DIM, l2=0.1, generator=toy.generator()
    )
    model = make(layers=0, variant=variant)
    batch = next(user_uniform(toy.interactions(), 16, toy.generator()))
    everyone = torch.arange(toy.N_USERS)

    torch.testing.assert_close(model.scorer()(everyone), bprmf.scorer()(everyone))
    torch.testing.assert_close(model.loss(batch), bprmf.loss(batch))


def test_the_penalty_is_on_the_final_rows():
    model = make(dropout=0.0)
    users, items = model.embeddings(torch.arange(50)).split([30, 20])
    batch, expected = loss_by_hand(users, items, users, items, l2=0.1)

    assert model.loss(batch).item() == pytest.approx(expected, rel=1e-5)


def test_the_paper_has_no_biases():
    assert not any(name.endswith("bias") for name in make(variant="paper").state_dict())


def test_dropout_zeroes_its_share_in_training_only_and_keeps_the_mean():
    model = make(dropout=0.25)
    ones = torch.ones(400, 100)

    dropped = model._drop(ones)

    assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(model.eval()._drop(ones), ones)


def test_each_layer_drops_before_it_is_passed_on():
    """With everything dropped, layer 1 is 0 and layer 2 sees nothing but biases of 0."""
    model = make(dropout=1.0 - 1e-12)
    final = model.embeddings(torch.arange(50))

    assert final[:, : toy.DIM].all()
    assert not final[:, toy.DIM :].any()


def test_a_node_that_occurs_twice_drops_the_same_numbers():
    one = make(dropout=0.5).loss(Batch(*torch.tensor([[0], [1], [2], [3]])))
    two = make(dropout=0.5).loss(Batch(*torch.tensor([[0, 0], [1, 1], [2, 2], [3, 3]])))

    torch.testing.assert_close(one, two)


def training():
    generator = toy.generator()
    pairs = toy.interactions()
    model = NGCF(pairs, {}, generator=generator, **(SETTINGS | {"dropout": 0.5}))
    return Training(model, pairs, lr=0.01, batch_size=16, generator=generator)


def test_a_restored_training_drops_the_same_numbers():
    whole, second = training(), training()
    whole.run_epoch()
    saved = {k: v.clone() for k, v in whole.tensors().items()}
    second.restore(saved, Progress(epoch=1))

    assert second.run_epoch() == whole.run_epoch()


@pytest.mark.parametrize("variant", ["official", "paper"])
def test_nodes_without_neighbours_stay_finite(variant):
    pairs = Interactions(torch.tensor([0, 1]), torch.tensor([0, 1]), n_users=3, n_items=4)
    model = make(pairs, variant=variant)

    model.loss(Batch(*torch.tensor([[0, 1], [0, 1], [3, 2], [3, 2]]))).backward()

    assert model.eval().scorer()(torch.arange(3)).isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
