import pytest
import torch
import toy
from torch.nn.functional import cosine_similarity

from model.recommenders import build


def make(features=None, **changes):
    content = toy.features() if features is None else features
    settings = toy.SETTINGS["bm3"] | changes
    return build("bm3", toy.interactions(), content, generator=toy.generator(), **settings)


def first_batch(model):
    return next(model.batches(toy.interactions(), 16, toy.generator()))


@pytest.mark.parametrize("layers", [0, 2])
def test_with_the_identity_as_predictor_it_is_its_backbone(layers):
    """LightGCN, whose items have layer 0 once more."""
    model = make(layers=layers, alignment_weight=0.0, dropout=0.0)
    torch.nn.init.eye_(model.predictor.weight)
    settings = {"dim": toy.DIM, "layers": layers, "l2": 0.0}
    lightgcn = build("lightgcn", toy.interactions(), {}, generator=toy.generator(9), **settings)
    tables = {"users": model.users, "items": model.items}
    lightgcn.load_state_dict(tables)
    users, items = lightgcn.embeddings()

    found = model.eval().scorer()(torch.arange(30))

    torch.testing.assert_close(found, users @ (items + lightgcn.items).T)
    assert set(model.state_dict()) == {*tables, "predictor.weight", "predictor.bias"}


def test_without_content_the_alignment_is_left_out():
    model, plain = make({}), make(alignment_weight=0.0)
    batch = first_batch(model)

    assert torch.equal(model.loss(batch), plain.loss(batch))


def test_the_loss_is_that_of_every_pair():
    model = make(dropout=0.0, l2=0.1, alignment_weight=3.0)
    for bias in (model.predictor.bias, model.projections["visual"].bias):
        torch.nn.init.normal_(bias, generator=toy.generator())
    batch = first_batch(model)
    users, items = model.embeddings()

    def distance(row, target):
        return 1 - cosine_similarity(model.predictor(row), target, dim=0)

    total = torch.zeros(())
    for u, i in zip(batch.users, batch.positives, strict=True):
        total += distance(users[u], items[i]) + distance(items[i], users[u])
        total += 0.1 / 2 * (users[u] @ users[u] + items[i] @ items[i])
        for name, feature in toy.features().items():
            content = model.projections[name](feature[i])
            total += 3.0 * (distance(content, items[i]) + distance(content, content))

    torch.testing.assert_close(model.loss(batch), total / 16)


def test_targets_get_no_gradient():
    """With layers 0, a batch's items are targets of its users, whose gradient stops there."""
    model = make({}, layers=0, dropout=0.0, l2=0.0)
    batch = first_batch(model)
    target = model.items[batch.positives].detach() * 2  # layer 0 and once more

    user = model.predictor(model.users[batch.users])
    (1 - cosine_similarity(user, target, dim=1).mean()).backward()
    expected = model.users.grad.clone()
    model.zero_grad()
    model.loss(batch).backward()

    torch.testing.assert_close(model.users.grad, expected)


def test_the_dropout_is_of_training_and_of_the_generator():
    one, two, plain = make(dropout=0.5), make(dropout=0.5), make(dropout=0.0)
    batch = first_batch(one)

    losses = [one.loss(batch), one.loss(batch), two.loss(batch)]

    assert torch.equal(losses[0], losses[2])
    assert not torch.equal(losses[0], losses[1])
    assert torch.equal(one.eval().loss(batch), plain.loss(batch))


def test_negatives_are_not_used():
    model = make(dropout=0.0)
    batch = first_batch(model)
    moved = type(batch)(batch.users, batch.positives, batch.others, batch.negatives)

    assert torch.equal(model.loss(batch), model.loss(moved))


def test_the_parameters_alone_give_the_scores_again():
    model, again = make().eval(), make(layers=1).eval()
    torch.nn.init.normal_(model.items, generator=toy.generator(5))

    again.load_state_dict(model.state_dict())

    users = torch.arange(30)
    assert torch.equal(model.scorer()(users), again.scorer()(users))
