import pytest
import torch
import toy

from model.data import Batch, Interactions
from model.fit import Training
from model.recommenders.mmgcn import MMGCN
from model.sampler import user_uniform

SETTINGS = {
    "dim": 8, "layers": 2, "content_dim": 8, "feature_norm": "none", "concat": True,
    "l2": 0.001, "learn_ids": True,
}  # fmt: skip
EVERYONE = torch.arange(toy.N_USERS)


def make(features=None, interactions=None, seed=1, **changes):
    return MMGCN(
        toy.interactions() if interactions is None else interactions,
        toy.features() if features is None else features,
        generator=toy.generator(seed),
        **(SETTINGS | changes),
    )


def batch(size=16):
    return next(user_uniform(toy.interactions(), size, toy.generator()))


def leaky(x):
    return torch.where(x > 0, x, 0.01 * x)


def by_hand(model, name, feature, concat):
    """One node at a time, neighbours transformed before their mean as the paper has it."""
    users, items = (t.tolist() for t in toy.interactions().unique_pairs)
    neighbours = [[] for _ in range(50)]
    for user, item in zip(users, items, strict=True):
        neighbours[user].append(30 + item)
        neighbours[30 + item].append(user)
    nodes, layers = model.graphs.nodes[name], model.graphs.layers[name]
    layer = [*nodes.users, *(nodes.project(row) for row in feature)]
    layer = [x / x.norm() for x in layer]
    for step in layers:
        theta, a, g = step.aggregate.weight, step.transform, step.combine
        new = []
        for i, around in enumerate(neighbours):
            heard = torch.stack([theta @ layer[j] for j in around]).mean(0)
            own = leaky(a.weight @ layer[i] + a.bias) + model.graphs.identity[i]
            if concat:
                out = g.weight @ torch.cat([leaky(heard), own]) + g.bias
            else:
                out = g.weight @ leaky(heard) + g.bias + own
            new.append(leaky(out))
        layer = new
    return torch.stack(layer)


@pytest.mark.parametrize("concat", [True, False])
def test_scores_are_the_formula(concat):
    model = make(concat=concat)
    for parameter in model.parameters():
        if parameter.dim() == 1:  # biases start at 0, where a missing one would not show
            torch.nn.init.normal_(parameter, generator=toy.generator())
    hands = [by_hand(model, n, f, concat) for n, f in toy.features().items()]

    mean = (hands[0] + hands[1]) / 2

    torch.testing.assert_close(model.scorer()(EVERYONE), mean[:30] @ mean[30:].T)


def test_the_loss_is_the_formula():
    model, drawn = make(l2=0.5), batch(4)
    scores = model.scorer()(EVERYONE)
    total, rows = 0.0, zip(drawn.users, drawn.positives, drawn.negatives, strict=True)
    for user, positive, negative in rows:
        difference = scores[user, positive] - scores[user, negative]
        identity = model.graphs.identity
        squares = identity[user].square().sum() + identity[30 + positive].square().sum()
        squares = squares + identity[30 + negative].square().sum()
        for table in model.graphs.user_tables:
            squares = squares + table[user].square().sum()
        total = total - difference.sigmoid().log() + 0.25 * squares

    torch.testing.assert_close(model.loss(drawn), total / 4)


def test_several_layers_work_with_either_combination():
    one, many = make(layers=1), make(layers=6, concat=False)

    assert [len(layers) for layers in one.graphs.layers.values()] == [1, 1]
    assert [len(layers) for layers in many.graphs.layers.values()] == [6, 6]
    assert many.scorer()(EVERYONE).isfinite().all()


def test_only_features_wider_than_content_dim_are_projected():
    names = {name for name, _ in make(content_dim=8).named_parameters() if "project" in name}

    assert names == {
        "graphs.nodes.visual.project.weight", "graphs.nodes.visual.project.bias"
    }  # fmt: skip


def test_one_modality_leaves_no_trace_of_others():
    model = make({"visual": toy.features()["visual"]})
    hand = by_hand(model, "visual", toy.features()["visual"], True)

    torch.testing.assert_close(model.scorer()(EVERYONE), hand[:30] @ hand[30:].T)
    assert not [name for name, _ in model.named_parameters() if "textual" in name]


def test_as_released_the_ids_are_kept_but_not_learned():
    model = make(learn_ids=False)
    drawn = batch()
    model.loss(drawn).backward()
    fixed = {name for name, p in model.named_parameters() if not p.requires_grad}

    assert fixed == {
        "graphs.identity", "graphs.nodes.visual.users", "graphs.nodes.textual.users"
    }  # fmt: skip
    assert fixed <= set(model.state_dict())
    before = model.graphs.identity.clone()
    Training(
        model, toy.interactions(), lr=0.1, batch_size=16, generator=toy.generator()
    ).run_epoch()
    assert torch.equal(before, model.graphs.identity)


@pytest.mark.parametrize("concat", [True, False])
def test_every_parameter_gets_a_gradient(concat):
    model = make(concat=concat)
    model.loss(batch()).backward()

    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_absent_features_and_lonely_nodes_give_finite_scores_and_gradients():
    features = {name: feature.clone() for name, feature in toy.features().items()}
    for feature in features.values():
        feature[:3] = 0.0
    pairs = Interactions(
        torch.tensor([0, 1]), torch.tensor([3, 4]), n_users=30, n_items=20
    )  # user 5 and items 0 to 2 are lonely too
    model = make(features, pairs)
    drawn = Batch(*torch.tensor([[5, 0], [0, 3], [1, 2], [1, 2]]))

    model.loss(drawn).backward()

    assert model.scorer()(EVERYONE).isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert max(float(p.grad.abs().max()) for p in model.parameters()) < 1e3
