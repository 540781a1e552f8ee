from functools import partial

import pytest
import torch
import toy

from model.base import Measured, Preparation
from model.data import Interactions
from model.fit import Training
from model.parts.ultragcn import UltraGCN
from model.recommenders.invrl import InvRL

STAGES = {
    "pretrain_epochs": 6, "iterations": 2, "environments": 3, "environment_rounds": 2,
    "environment_epochs": 2, "mask_epochs": 4, "invariance": 1.0, "gate_l2": 0.1,
    "l2_projection": 0.01, "lr": 0.01, "batch_size": 16,
}  # fmt: skip
SETTINGS = {
    "dim": toy.DIM, "negatives": 5, "loss": "bce", "weights": [1.0, 1.0, 1.0, 1.0],
    "l2": 0.0001, "l2_projection": 0.1, "init": "xavier", "stages": STAGES,
}  # fmt: skip


def make(features=None, seed=1, interactions=None, **changes):
    content = toy.features() if features is None else features
    known = toy.interactions() if interactions is None else interactions
    return InvRL(known, content, generator=toy.generator(seed), **(SETTINGS | changes))


def batch():
    return next(make().batches(toy.interactions(), 16, toy.generator()))


def prepare(model, measure=None, report=lambda line: None, seed=3):
    generator = toy.generator(seed)
    model.prepare(Preparation(toy.interactions(), 16, 0.01, generator, "cpu", measure, report))
    return model


def test_a_mask_of_ones_is_the_backbone():
    shared = {k: v for k, v in SETTINGS.items() if k != "stages"}
    backbone = UltraGCN(
        toy.interactions(), toy.features(), kappa=2.0, generator=toy.generator(), **shared
    )
    model, triples = make(), batch()
    everyone = torch.arange(30)

    assert torch.equal(model.scorer()(everyone), backbone.scorer()(everyone))
    assert torch.equal(model.loss(triples), backbone.loss(triples))


def test_masking_multiplies_the_content():
    model = make()
    model.mask.copy_(torch.rand(18, generator=toy.generator()))
    content = (model.content * model.mask) @ model.projection.T
    expected = model.users @ torch.cat([model.items, content], dim=1).T

    torch.testing.assert_close(model.scorer()(torch.arange(30)), expected)


@pytest.mark.parametrize("loss", ["bce", "bpr"])
def test_the_loss_falls_in_a_few_epochs(loss):
    training = Training(
        make(loss=loss), toy.interactions(), lr=0.02, batch_size=16, generator=toy.generator()
    )

    losses = [training.run_epoch() for _ in range(8)]

    assert losses[-1] < 0.9 * losses[0]


def test_the_same_seed_gives_the_same_mask_whatever_the_global_generator():
    torch.manual_seed(1)
    one = prepare(make())
    torch.manual_seed(2)
    other = prepare(make())

    assert torch.equal(one.mask, other.mask)
    assert torch.equal(one.loss(batch()), other.loss(batch()))
    assert not torch.equal(one.mask, prepare(make(), seed=9).mask)


def test_preparing_sets_the_mask_and_keeps_the_initial_parameters():
    model, fresh = make(), dict(make().named_parameters())

    prepare(model)

    assert all(torch.equal(p, fresh[name]) for name, p in model.named_parameters())
    assert not torch.equal(model.mask, torch.ones(18))
    assert ((model.mask >= 0) & (model.mask <= 1)).all()
    assert not model.mask.requires_grad


def test_the_mask_survives_a_state_dict():
    model, restored = prepare(make()), make(seed=8)
    restored.load_state_dict(model.state_dict())

    assert torch.equal(restored.mask, model.mask)
    assert "content" not in model.state_dict()  # features are not kept with it


def test_no_iteration_leaves_all_content():
    lines = []
    model = prepare(make(stages=STAGES | {"iterations": 0}), report=lines.append)

    assert model.mask.tolist() == [1.0] * 18
    assert lines == []


def test_pre_training_keeps_the_best_measurement():
    """Here the first one, so that it equals a pre-training of as many epochs."""
    values = iter([0.9, 0.5])
    measured = make(stages=STAGES | {"pretrain_epochs": 10})
    short = make(stages=STAGES | {"pretrain_epochs": 5})

    def preparation(measure):
        return Preparation(
            toy.interactions(), 16, 0.01, toy.generator(), "cpu", measure, lambda line: None
        )

    best = measured._pretrained(preparation(lambda model: Measured(0.0, 0.0, next(values))))
    expected = short._pretrained(preparation(None))

    assert torch.equal(best.users, expected.users)
    assert torch.equal(best.projection, expected.projection)


def test_every_stage_is_reported():
    lines = []
    prepare(make(), measure=lambda model: Measured(0.5, 0.25, 0.25), report=lines.append)

    starts = [line.split(":")[0].split(",")[0] for line in lines]
    assert starts[0] == "pre-training"
    assert starts.count("environments") in range(2, 5)
    assert starts.count("mask") == 2


def test_coefficients_grow_with_the_iterations(monkeypatch):
    grown = []
    monkeypatch.setattr(
        "model.recommenders.invrl.Invariance.environments", lambda self, mask: mask
    )
    monkeypatch.setattr(
        "model.recommenders.invrl.Invariance.mask",
        lambda self, labels, growth: grown.append(growth) or labels,
    )

    prepare(make(stages=STAGES | {"iterations": 3}))

    assert grown == pytest.approx([1.0, 1.05, 1.05**2])


def test_one_modality_is_enough_and_leaves_no_parameters_of_others():
    model = prepare(make({"visual": toy.features()["visual"]}))

    assert model.mask.shape == (12,)
    assert model.scorer()(torch.arange(30)).isfinite().all()


def test_missing_content_gives_finite_values():
    features = toy.features()
    features["textual"][::2] = 0.0
    features["visual"][3] = 0.0
    model = prepare(make(features))
    model.loss(batch()).backward()

    assert model.mask.isfinite().all()
    assert model.projection.grad.isfinite().all()
    assert model.scorer()(torch.arange(30)).isfinite().all()


def test_users_and_items_without_pairs_get_finite_scores():
    known = toy.interactions()
    keep = (known.users != 4) & (known.items != 7)
    fewer = Interactions(known.users[keep], known.items[keep], n_users=30, n_items=20)

    model = make(interactions=fewer)

    assert model.objective.of_user.isfinite().all()
    assert model.scorer()(torch.arange(30)).isfinite().all()


def test_renumbering_items_renumbers_scores_and_changes_no_loss():
    order = torch.randperm(20, generator=toy.generator())  # new item n was order[n]
    known, features = toy.interactions(), toy.features()
    renumbered = Interactions(known.users, order.argsort()[known.items], n_users=30, n_items=20)
    model = make()
    other = make({n: f[order] for n, f in features.items()}, interactions=renumbered)
    mask = torch.rand(18, generator=toy.generator())
    state = model.state_dict() | {"mask": mask}
    model.load_state_dict(state)
    other.load_state_dict(state | {"items": state["items"][order]})
    triples = batch()
    renamed = type(triples)(
        triples.users,
        *(order.argsort()[getattr(triples, n)] for n in ("positives", "negatives", "others")),
    )

    everyone = torch.arange(30)
    torch.testing.assert_close(other.scorer()(everyone), model.scorer()(everyone)[:, order])
    torch.testing.assert_close(other.loss(renamed), model.loss(triples))


def test_an_unknown_stage_setting_is_refused():
    with pytest.raises(TypeError, match="epochs"):
        make(stages=STAGES | {"epochs": 3})


def test_no_modality_is_refused():
    with pytest.raises(ValueError, match="at least one modality"):
        partial(make, features={})()
