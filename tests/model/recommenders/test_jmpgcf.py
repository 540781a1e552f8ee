import math

import pytest
import torch
import toy

from model.fit import Progress, Training
from model.recommenders import build
from model.recommenders.jmpgcf import JMPGCF
from model.sampler import user_uniform

SETTINGS = {"dim": toy.DIM, "layers": 3, "l2": 0.1, "popularity": [0.2, 0.0], "stage": 0}


def make(pairs=None, seed=1, **changes):
    pairs = toy.interactions() if pairs is None else pairs
    return JMPGCF(pairs, {}, generator=toy.generator(seed), **(SETTINGS | changes))


def layers_by_hand(model, pairs, alpha):
    """All layers, from a dense matrix filled entry by entry."""
    users, items = pairs.unique_pairs
    looped = torch.eye(50, dtype=torch.float64)
    for u, i in zip(users.tolist(), items.tolist(), strict=True):
        looped[u, 30 + i] = looped[30 + i, u] = 1.0
    degree = looped.sum(1)
    matrix = (degree**-0.5)[:, None] * looped * degree ** -(0.5 - alpha)
    layers = [torch.cat([model.users, model.items]).double()]
    for _ in range(model.layers):
        layers.append(matrix @ layers[-1])
    return layers


@torch.no_grad()
def test_the_score_sums_the_last_two_layers_of_each_granularity():
    model, pairs = make(), toy.interactions()
    expected = torch.zeros(30, 20, dtype=torch.float64)
    for alpha in (0.2, 0.0):
        for layer in layers_by_hand(model, pairs, alpha)[-2:]:
            expected += layer[:30] @ layer[30:].T

    torch.testing.assert_close(model.scorer()(torch.arange(30)), expected.float())


@torch.no_grad()
def test_each_layer_ranks_by_itself_and_the_last_one_is_penalised():
    model, pairs = make(), toy.interactions()
    batch = next(user_uniform(pairs, 8, toy.generator(4)))
    total = 0.0
    for alpha in (0.2, 0.0):
        layers = layers_by_hand(model, pairs, alpha)
        nodes = batch.users, 30 + batch.positives, 30 + batch.negatives
        for u, i, j in torch.stack(nodes, dim=1).tolist():
            for layer in layers[-2:]:
                total += math.log1p(math.exp(-float(layer[u] @ layer[i] - layer[u] @ layer[j])))
            total += 0.1 / 2 * float(layers[-1][[u, i, j]].square().sum())

    assert model.loss(batch).item() == pytest.approx(total / 8, rel=1e-5)


def test_one_layer_uses_the_embeddings_themselves_too():
    model = make(layers=1, popularity=[0.0])
    graph, nodes = model.graphs[0], torch.cat([model.users, model.items])
    bprmf = build(
        "bprmf", toy.interactions(), {}, dim=toy.DIM, l2=0.1, generator=toy.generator()
    )
    everyone = torch.arange(30)
    users, items = graph(nodes).split([30, 20])

    torch.testing.assert_close(
        model.scorer()(everyone), bprmf.scorer()(everyone) + users @ items.T
    )


def test_a_granularity_joins_after_each_stage():
    model = make(popularity=[0.2, 0.1, 0.0], stage=2)
    joined = [model.granularities()]
    for _ in range(7):
        list(model.batches(toy.interactions(), 16, toy.generator()))
        joined.append(model.granularities())

    assert joined == [1, 1, 1, 2, 2, 3, 3, 3]
    assert make(popularity=[0.2, 0.1, 0.0]).granularities() == 3


def test_a_granularity_that_has_not_joined_is_neither_scored_nor_trained():
    staged, alone = make(popularity=[0.2, 0.0], stage=2), make(popularity=[0.2])
    batch = next(user_uniform(toy.interactions(), 8, toy.generator(4)))
    everyone = torch.arange(30)

    assert torch.equal(staged.scorer()(everyone), alone.scorer()(everyone))
    assert torch.equal(staged.loss(batch), alone.loss(batch))


def test_the_stage_is_saved_with_the_parameters_and_resumed():
    """A checkpoint of epoch 2 must score as it did in epoch 2."""

    def training():
        generator, pairs = toy.generator(), toy.interactions()
        model = JMPGCF(pairs, {}, generator=generator, **(SETTINGS | {"stage": 2}))
        return Training(model, pairs, lr=0.01, batch_size=16, generator=generator)

    whole, second = training(), training()
    for _ in range(2):
        whole.run_epoch()
    whole.keep()
    scores = whole.model.scorer()(torch.arange(30))
    saved = {k: v.clone() for k, v in whole.tensors().items()}
    second.restore(saved, Progress(epoch=2))

    assert second.run_epoch() == whole.run_epoch()
    assert whole.model.granularities() == 2
    fresh = make(stage=2, seed=3)
    fresh.load_state_dict(whole.best)
    assert torch.equal(fresh.scorer()(torch.arange(30)), scores)
