import math

import pytest
import torch
import toy

from model.recommenders.bprmf import BPRMF
from model.recommenders.vbpr import VBPR
from model.sampler import user_uniform

SETTINGS = {
    "dim": toy.DIM, "content_dim": 4, "l2": 0.001, "l2_projection": 0.001,
    "feature_norm": "unit_mean",
}  # fmt: skip
EVERYONE = torch.arange(toy.N_USERS)


def make(features=None, pairs=None, seed=1, **changes):
    content = toy.features() if features is None else features
    pairs = pairs or toy.interactions()
    model = VBPR(pairs, content, generator=toy.generator(seed), **(SETTINGS | changes))
    with torch.no_grad():  # biases start at 0, where a test would not see them
        model.bias.copy_(torch.randn(toy.N_ITEMS, generator=toy.generator(3)))
    return model


def batch(size=16):
    return next(user_uniform(toy.interactions(), size, toy.generator()))


def dot(x, y):
    return sum(a * b for a, b in zip(x.tolist(), y.tolist(), strict=True))


def score_by_hand(model, u, i):
    feature = model.feature[i]
    identity = dot(model.users[u], model.items[i])
    projected = torch.tensor([dot(column, feature) for column in model.projection.T])
    content = dot(model.content_users[u], projected) + dot(model.content_bias[:, 0], feature)
    return model.bias[i].item() + identity + content


def test_the_score_is_the_formula():
    model = make()
    expected = [
        [score_by_hand(model, u, i) for i in range(toy.N_ITEMS)] for u in range(toy.N_USERS)
    ]

    torch.testing.assert_close(model.scorer()(EVERYONE), torch.tensor(expected))


def test_the_loss_is_the_formula():
    model, drawn = make(l2=0.1, l2_projection=0.3), batch(8)
    total = 0.0
    for u, i, j in zip(drawn.users, drawn.positives, drawn.negatives, strict=True):
        difference = score_by_hand(model, u, i) - score_by_hand(model, u, j)
        rows = [
            model.users[u], model.items[i], model.items[j], model.content_users[u],
            model.bias[i], model.bias[j],
        ]  # fmt: skip
        squares = sum(row.square().sum().item() for row in rows)
        total += math.log1p(math.exp(-difference)) + 0.1 / 2 * squares
    shared = model.projection.square().sum() + model.content_bias.square().sum()

    expected = total / 8 + 0.3 / 2 * shared.item()

    assert model.loss(drawn).item() == pytest.approx(expected, rel=1e-5)


def test_without_content_and_biases_it_is_bprmf():
    model = make(l2_projection=0.0)
    bprmf = BPRMF(toy.interactions(), {}, dim=toy.DIM, l2=0.001, generator=toy.generator())
    with torch.no_grad():
        for parameter in (model.projection, model.content_bias, model.bias):
            parameter.zero_()
        model.content_users.zero_()  # which the penalty still counts

    torch.testing.assert_close(model.scorer()(EVERYONE), bprmf.scorer()(EVERYONE))
    torch.testing.assert_close(model.loss(batch()), bprmf.loss(batch()))


def test_modalities_are_concatenated_after_scaling_each():
    both, visual = make(), make({"visual": toy.features()["visual"]})

    assert both.feature.shape == (toy.N_ITEMS, 12 + 6)
    assert both.projection.shape == (12 + 6, 4)
    assert visual.projection.shape == (12, 4)
    torch.testing.assert_close(both.feature[:, :12], visual.feature)
    assert both.feature[:, 12:].norm(dim=1).mean().item() == pytest.approx(1.0)


def test_items_without_content_are_scored_by_their_embedding_and_bias_alone():
    features = {name: feature.clone() for name, feature in toy.features().items()}
    for feature in features.values():
        feature[5] = 0
    model = make(features)

    expected = model.users @ model.items[5] + model.bias[5]

    torch.testing.assert_close(model.scorer()(EVERYONE)[:, 5], expected)


def test_no_modality_is_refused():
    with pytest.raises(ValueError, match="at least one modality"):
        make({})
