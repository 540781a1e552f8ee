import math

import pytest
import torch
import toy

from model.data import Interactions
from model.parts.ultragcn import Objective, UltraGCN, pair_items
from model.sampler import user_uniform

SETTINGS = {
    "dim": 4, "negatives": 3, "loss": "bce", "weights": [0.5, 2.0, 0.25, 3.0], "l2": 0.01,
    "kappa": 2.0, "l2_projection": 0.1, "init": "xavier",
}  # fmt: skip


def make(features=None, **changes):
    content = toy.features() if features is None else features
    settings = SETTINGS | changes
    return UltraGCN(toy.interactions(), content, generator=toy.generator(), **settings)


def batch(size=8):
    return next(make().batches(toy.interactions(), size, toy.generator(4)))


def softplus(x):
    return math.log1p(math.exp(x))


def test_the_loss_is_the_formula():
    model, triples = make(), batch()
    with torch.no_grad():
        model.bias.fill_(0.3)
        model.users.mul_(3)  # away from the flat part of the loss
    scores = model.scorer()(torch.arange(30)).tolist()
    known = toy.interactions()
    degree_u = torch.bincount(known.users, minlength=30).tolist()
    degree_i = torch.bincount(known.items, minlength=20).tolist()
    expected = 0.0
    columns = triples.users.tolist(), triples.positives.tolist(), triples.negatives.tolist()
    for u, i, negatives in zip(*columns, strict=True):

        def beta(k, u=u):
            return math.sqrt((degree_u[u] + 1) / (degree_i[k] + 1)) / degree_u[u]

        expected += (0.5 + 2.0 * beta(i)) * softplus(-scores[u][i])
        for j in negatives:
            expected += (0.25 + 3.0 * beta(j)) * softplus(scores[u][j]) / 3
    users, items = model.users.square().sum(), model.items.square().sum()
    projection = model.projection.square().sum() + model.bias.square().sum()
    expected += (0.01 * (users + 2 * items) + 0.1 * projection).item()

    assert model.loss(triples).item() == pytest.approx(expected, rel=1e-5)


def test_bpr_is_the_mean_over_negatives_and_the_sum_over_pairs():
    model, triples = make(loss="bpr", l2=0.0, l2_projection=0.0), batch()
    scores = model.scorer()(torch.arange(30)).tolist()
    columns = triples.users.tolist(), triples.positives.tolist(), triples.negatives.tolist()
    expected = sum(
        softplus(scores[u][j] - scores[u][i]) / 3
        for u, i, negatives in zip(*columns, strict=True)
        for j in negatives
    )

    assert model.loss(triples).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["bce", "bpr"])
def test_slopes_are_the_derivative_of_the_loss(kind):
    objective = Objective(toy.interactions(), kind, [0.5, 2.0, 0.25, 3.0])
    triples = batch()
    scores = torch.randn(8, 4, generator=toy.generator()).requires_grad_()
    loss = objective(scores, triples.users, pair_items(triples)).sum()
    (expected,) = torch.autograd.grad(loss, scores)

    slopes = objective.slopes(scores, triples.users, pair_items(triples))

    torch.testing.assert_close(slopes, expected)


def test_a_batch_with_one_negative_is_taken():
    one = next(user_uniform(toy.interactions(), 8, toy.generator()))

    assert pair_items(one).shape == (8, 2)
    assert make().loss(one).isfinite()


def test_repeated_pairs_count_once_in_the_degrees():
    known = toy.interactions()
    again = Interactions(
        torch.cat([known.users, known.users[:9]]),
        torch.cat([known.items, known.items[:9]]),
        n_users=30,
        n_items=20,
    )
    once, twice = (Objective(k, "bce", [1.0] * 4) for k in (known, again))

    assert torch.equal(once.of_user, twice.of_user)
    assert torch.equal(once.of_item, twice.of_item)


def test_scores_are_the_id_and_the_content_side_by_side():
    features = toy.features()
    model = make(features)
    content = torch.cat([f / f.norm(dim=1, keepdim=True) for f in features.values()], dim=1)
    expected = model.users[:, :4] @ model.items.T
    expected = expected + model.users[:, 4:] @ (content @ model.projection.T + model.bias).T

    torch.testing.assert_close(model.scorer()(torch.arange(30)), expected)


def test_a_pass_has_every_pair_once_and_negatives_of_all_items():
    batches = list(make().batches(toy.interactions(), 32, toy.generator()))
    keys = torch.cat([b.users * 20 + b.positives for b in batches])
    users, negatives = (
        torch.cat([getattr(b, n) for b in batches]) for n in ("users", "negatives")
    )
    taken = toy.interactions().contains(users[:, None].expand_as(negatives), negatives)

    assert torch.equal(keys.sort().values, toy.interactions().keys)
    assert negatives.shape == (150, 3)
    assert negatives.unique().tolist() == list(range(20))
    assert taken.any()  # not rejected


def test_one_modality_leaves_no_parameters_of_the_other():
    visual = {"visual": toy.features()["visual"]}

    assert make(visual).projection.shape == (4, 12)
    assert make().projection.shape == (4, 18)


def test_an_item_without_content_has_its_id_and_the_bias():
    features = toy.features()
    for feature in features.values():
        feature[3] = 0.0
    model = make(features)
    with torch.no_grad():
        model.bias.fill_(0.5)

    assert model.item_embeddings()[3].tolist() == [*model.items[3].tolist(), 0.5, 0.5, 0.5, 0.5]


def test_no_modality_is_refused():
    with pytest.raises(ValueError, match="at least one modality"):
        make({})


def test_the_released_initialisation_is_narrow():
    model = make(init="normal")

    assert 0.008 < model.projection.std() < 0.012
    assert make().projection.std() > 0.1
