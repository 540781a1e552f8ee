"""What every model of the registry must do."""

import pytest
import torch
import toy

from model import MODELS, build
from model.fit import Training
from model.sampler import user_uniform


def make(name, features=None, seed=1, **changes):
    content = toy.features() if features is None else features
    settings = toy.SETTINGS[name] | changes
    return build(name, toy.interactions(), content, generator=toy.generator(seed), **settings)


def batch():
    return next(user_uniform(toy.interactions(), 16, toy.generator()))


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name):
    model = make(name)
    model.loss(batch()).backward()

    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]

    assert silent == []


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_falls_in_a_few_epochs(name):
    model = make(name)
    training = Training(
        model, toy.interactions(), lr=0.02, batch_size=16, generator=toy.generator()
    )

    losses = [training.run_epoch() for _ in range(8)]

    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_loss_whatever_the_global_generator(name):
    torch.manual_seed(1)
    one = make(name).loss(batch())
    torch.manual_seed(2)

    assert torch.equal(one, make(name).loss(batch()))
    assert not torch.equal(one, make(name, seed=9).loss(batch()))


@pytest.mark.parametrize("name", MODELS)
def test_scores_do_not_depend_on_who_else_is_asked_for(name):
    scorer = make(name).eval().scorer()
    with torch.inference_mode():
        torch.testing.assert_close(scorer(torch.arange(30))[7], scorer(torch.tensor([7]))[0])


@pytest.mark.parametrize("name", MODELS)
def test_users_who_never_interacted_get_finite_scores(name):
    scores = make(name).eval().scorer()(torch.arange(30))

    assert scores.shape == (30, 20)
    assert scores.isfinite().all()


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown model 'x'.*bprmf.*mcln"):
        build("x", toy.interactions(), {})
