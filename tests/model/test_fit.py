import math

import pytest
import torch
import toy

from model.base import Measured
from model.fit import LossNotFinite, Progress, Training, fit
from model.recommenders import build


def training(lr=0.01, name="mcln"):
    generator = toy.generator()
    pairs = toy.interactions()
    model = build(name, pairs, toy.features(), generator=generator, **toy.SETTINGS[name])
    return Training(model, pairs, lr=lr, batch_size=16, generator=generator)


def scripted(values):
    """A measure that returns the given values in turn; NDCG@10 chooses nothing."""
    left = iter(values)
    return lambda model: Measured(0.0, 0.5, next(left))


def test_training_stops_without_improvement_and_keeps_the_best():
    run = training()
    measure = scripted([0.1, 0.3, 0.2, 0.2, 0.9])

    records = list(fit(run, epochs=50, evaluate_every=2, patience=2, measure=measure))

    assert [r.epoch for r in records] == [2, 4, 6, 8]
    assert run.progress.best_epoch == 4
    assert not torch.equal(run.best["users"], run.model.state_dict()["users"])


def test_without_a_measure_training_runs_all_epochs_and_keeps_the_last():
    run = training()

    records = list(fit(run, epochs=5, evaluate_every=2, patience=1, measure=None))

    assert [r.epoch for r in records] == [2, 4, 5]
    assert torch.equal(run.best["users"], run.model.state_dict()["users"])


def test_a_restored_training_ends_in_the_same_bits():
    whole = training()
    list(fit(whole, epochs=6, evaluate_every=1, patience=9, measure=scripted([0.1] * 6)))
    first = training()
    for record in fit(
        first, epochs=6, evaluate_every=1, patience=9, measure=scripted([0.1] * 6)
    ):
        if record.epoch == 3:
            break
    saved = {k: v.clone() for k, v in first.tensors().items()}
    second = training()
    second.restore(saved, Progress(3, 1, 0.1, list(first.progress.records)))

    list(fit(second, epochs=6, evaluate_every=1, patience=9, measure=scripted([0.1] * 3)))

    assert second.progress.records == whole.progress.records
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_a_non_finite_loss_stops_training_and_names_epoch_and_step():
    run = training()
    with torch.no_grad():
        run.model.users.fill_(math.nan)

    with pytest.raises(LossNotFinite, match="epoch 1, step 0"):
        list(fit(run, epochs=2, evaluate_every=1, patience=1, measure=None))
