import torch
import toy

from model.fit import Training
from model.graph import popularity_aware
from model.losses import bpr, squared_norm
from model.recommenders import build
from model.sampler import user_uniform

EVERYONE = torch.arange(toy.N_USERS)


def make(features=None, **changes):
    content = toy.features() | toy.tokens() if features is None else features
    settings = toy.SETTINGS["mhgcf"] | changes
    return build("mhgcf", toy.interactions(), content, generator=toy.generator(), **settings)


def batch():
    return next(user_uniform(toy.interactions(), 16, toy.generator()))


def test_the_collaborative_stream_is_the_last_layer():
    model = make({})
    matrix = popularity_aware(toy.interactions(), 0.1).matrix.to_dense()
    tables = torch.cat([model.users, model.items])

    torch.testing.assert_close(torch.cat(model.collaborative()), matrix @ (matrix @ tables))


def test_the_score_is_the_weighted_sum_of_the_streams():
    """A modality that is not named has weight 1."""
    model = make()
    matrix = popularity_aware(toy.interactions(), 0.1).matrix.to_dense()
    users, items = model.collaborative()
    expected = users @ items.T
    for name, weight in (("visual", 0.2), ("textual", 1.0)):
        nodes = matrix @ torch.cat(model.content(name))
        expected = expected + weight * nodes[: toy.N_USERS] @ nodes[toy.N_USERS :].T
    users, items, _ = model.tokens()

    expected = expected + users @ items.T

    torch.testing.assert_close(model.scorer()(EVERYONE), expected)


def test_without_content_and_tokens_the_loss_is_the_collaborative_one():
    model, one = make({}), batch()
    users, items = model.collaborative()
    user = users[one.users]
    scores = [(user * items[rows]).sum(1) for rows in (one.positives, one.negatives)]
    rows = model.users[one.users], model.items[one.positives], model.items[one.negatives]

    torch.testing.assert_close(model.loss(one), bpr(*scores) + 0.001 * squared_norm(*rows))


def test_items_and_tokens_have_a_term_of_their_own():
    """With weight 0 it makes no difference which tokens are drawn."""
    one = batch()

    def loss(seed, weight):
        model = make(token_loss=weight)
        model.generator.manual_seed(seed)
        return model.loss(one)

    assert torch.equal(loss(1, 0.0), loss(2, 0.0))
    assert not torch.equal(loss(1, 1.0), loss(2, 1.0))


def test_every_parameter_learns_and_the_loss_falls():
    model = make()
    training = Training(
        model, toy.interactions(), lr=0.02, batch_size=16, generator=toy.generator()
    )
    before = {name: value.clone() for name, value in model.named_parameters()}

    losses = [training.run_epoch() for _ in range(8)]

    assert losses[-1] < 0.8 * losses[0]
    assert not [n for n, value in model.named_parameters() if torch.equal(value, before[n])]
