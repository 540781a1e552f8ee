"""What every model of the registry must do."""

import inspect
from pathlib import Path

import pytest
import torch
import toy

from model import recommenders
from model.data import Interactions
from model.fit import Training
from model.recommenders import MODELS, build
from pipeline import params

LEARN = [name for name in MODELS if name not in ("popularity", "itemknn", "ease")]


def make(name, features=None, seed=1, **changes):
    content = toy.features() if features is None else features
    settings = toy.SETTINGS[name] | changes
    return build(name, toy.interactions(), content, generator=toy.generator(seed), **settings)


def batch(model):
    return next(model.batches(toy.interactions(), 16, toy.generator()))


def test_the_files_of_the_folder_are_the_models():
    files = Path(recommenders.__file__).parent.glob("*.py")

    assert {file.stem for file in files} == {"__init__", *MODELS}


def keywords(model):
    """Return a constructor's keywords, with those that it passes on to its base class."""
    arguments = inspect.signature(model).parameters.values()
    passes_on = any(a.kind is a.VAR_KEYWORD for a in arguments)
    own = {a.name for a in arguments if a.kind is a.KEYWORD_ONLY}
    return own | (keywords(model.__base__) if passes_on else set())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_section_with_its_settings(name):
    """What the section has besides is about training and features."""
    section = params.ARCHITECTURES[name]
    settings = keywords(recommenders.get(name)) - {"generator"}

    assert section.__name__ == MODELS[name]
    assert set(section.model_fields) - settings <= {"lr", "modalities", "tokens"}
    assert settings <= set(section.model_fields)


@pytest.mark.parametrize("name", MODELS)
def test_all_models_except_the_baselines_have_parameters(name):
    assert make(name).learns == (name in LEARN)


@pytest.mark.parametrize("name", LEARN)
def test_every_parameter_gets_a_gradient(name):
    model = make(name)
    model.loss(batch(model)).backward()

    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]

    assert silent == []


@pytest.mark.parametrize("name", LEARN)
def test_the_loss_falls_in_a_few_epochs(name):
    model = make(name)
    training = Training(
        model, toy.interactions(), lr=0.02, batch_size=16, generator=toy.generator()
    )

    losses = [training.run_epoch() for _ in range(8)]

    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", LEARN)
def test_the_same_seed_gives_the_same_loss_whatever_the_global_generator(name):
    torch.manual_seed(1)
    first, second, reseeded = make(name), make(name), make(name, seed=9)
    loss = first.loss(batch(first))
    torch.manual_seed(2)

    assert torch.equal(loss, second.loss(batch(second)))
    assert not torch.equal(loss, reseeded.loss(batch(reseeded)))


@pytest.mark.parametrize("name", MODELS)
def test_scores_do_not_depend_on_the_other_users_of_a_call(name):
    scorer = make(name).eval().scorer()
    with torch.inference_mode():
        torch.testing.assert_close(scorer(torch.arange(30))[7], scorer(torch.tensor([7]))[0])


@pytest.mark.parametrize("name", MODELS)
def test_users_who_never_interacted_get_finite_scores(name):
    scores = make(name).eval().scorer()(torch.arange(30))

    assert scores.shape == (30, 20)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_permuting_item_ids_permutes_scores(name):
    """No model depends on the number of an item."""
    pairs, content = toy.interactions(), toy.features()
    order = torch.randperm(toy.N_ITEMS, generator=toy.generator(5))  # new id -> old id
    place = order.argsort()  # old id -> new id
    renamed = Interactions(pairs.users, place[pairs.items], n_users=30, n_items=20)
    moved = {key: feature[order] for key, feature in content.items()}
    model = make(name).eval()
    permuted = build(
        name, renamed, moved, generator=toy.generator(), **toy.SETTINGS[name]
    ).eval()
    rows = {20: order, 50: torch.cat([torch.arange(30), 30 + order])}

    def moved_rows(key, value):
        if key == "permutation":  # holds item ids as well
            return place[value][order]
        is_table = value.dim() and len(value) in rows and not key.endswith((".weight", ".bias"))
        return value[rows[len(value)]] if is_table else value

    permuted.load_state_dict({k: moved_rows(k, v) for k, v in model.state_dict().items()})

    scores = model.scorer()(torch.arange(30))

    expected = scores[:, order]
    torch.testing.assert_close(
        permuted.scorer()(torch.arange(30)), expected, rtol=1e-4, atol=1e-5
    )


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown model 'x'.*bprmf.*mcln"):
        build("x", toy.interactions(), {})
